"""Laws of the notes on rights: a signal is said with its pairs and whether it was honoured, or that nobody looked."""

from dataclasses import replace

from metaclip_dagster.publishing.datasheet import render_license_notes
from metaclip_dagster.publishing.publisher import Publisher
from tests.metaclip_dagster.publishing.parts import make_part


def name_signal(signal: str, pairs: int, *, honoured: bool) -> dict[str, object]:
    return {"signal": signal, "says": "a | b", "pairs": pairs, "honoured": honoured, "excluded": 3 * honoured}


def test_signals_are_told_with_what_became_of_them() -> None:
    part = make_part("20", ["a"])
    assert "were not gathered" in render_license_notes([part], Publisher())
    opt_outs = {
        "matched": 1_000,
        "signals": [name_signal("meta_robots", 7, honoured=True), name_signal("tdmrep_page", 2, honoured=False)],
        "not_gathered": ["SAMPLE-2026-02"],
        "robots_not_read": ["a"],
        "robots_in_part": ["b, 1 of 4 archives"],
        "robots_agents": ["*", "CCBot"],
    }
    notes = render_license_notes([replace(part, card={**part.card, "opt_outs": opt_outs})], Publisher())
    assert "1,000 pairs whose text contains an entry" in notes
    assert "Common Crawl" not in notes
    assert "| meta\\_robots | a \\| b | 7 | 3 |" in notes
    assert "| tdmrep\\_page | a \\| b | 2 | not honoured |" in notes
    assert "- No signals were gathered for SAMPLE-2026-02." in notes
    assert "- robots.txt was asked on behalf of \\*, CCBot;" in notes
    assert "- robots.txt was not read for a." in notes
    assert "- robots.txt was read for b, 1 of 4 archives; more" in notes
