"""Parts of a dataset that no lake has."""

from typing import Any

from metaclip_dagster.publishing.parts import Part


def make_part(t: str, snapshots: list[str], crawled: tuple[str, str] | None = None, **versions: str) -> Part:
    """A part of four pairs, of these snapshots."""
    entries = {"entries": 5, "entries_matched": 3, "head_before": 0.5, "head_after": 0.25}
    card: dict[str, Any] = {
        "t": t,
        "pairs": {"pool": 10, "subset": 4, "kept": 0.4},
        "stages": [
            {"stage": "pairs", "rows": 12, "dropped": {"no_text": 1_000}},
            {"stage": "subset", "rows": 4, "dropped": {}},
        ],
        "languages": [
            {"language": "en", "subset": 3},
            {"language": "de", "subset": 1},
            {"language": "fr", "subset": 0},
        ],
        "snapshots": [{"snapshot": name} for name in snapshots],
        "language_scores": {},
        "entries": entries,
        "provenance": {"seed": "0", **versions},
    }
    return Part(card, files=[], beside=[], licenses={}, crawled=crawled, software="s", example={})
