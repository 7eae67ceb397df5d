"""Render the what-if page: its bins and entries packed into it, and the one script that reads them."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from markupsafe import Markup

from metaclip_dagster.reporting.exploring.entries import pack
from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures

SCRIPT = files(__package__).joinpath("explore.js").read_text("utf-8")
BINS = ("pool", "rungs", "stops", "languages", "images", "to_fetch", "bytes_an_image", "training")
"""Of a report, what a page needs of it to set it beside another."""


def render_exploration(
    report: Mapping[str, Any],
    entries: str,
    pictures: Mapping[str, Picture],
    *,
    mode: Pictures = "off",
    beside: Mapping[str, Any] | None = None,
) -> str:
    """The page of a report, with the text of `pack_entries`, pictures by image_id, and the bins of another report."""
    pools = [{name: it[name] for name in BINS} for it in (report, beside) if it]
    examples = [
        {"pairs": [_show(pair, pictures.get(pair["image_id"]), mode) for pair in entry["pairs"]]}
        | {name: entry[name] for name in ("entry", "language")}
        for entry in report["examples"]
    ]
    return render(
        "exploring/explore.html",
        report=report,
        other=beside,
        rungs=list(_sum_rungs(report)),
        bins=pack({"pools": pools, "joining": [entry["joining"] for entry in report["examples"]]}),
        entries=entries,
        examples=Markup(json.dumps(examples, allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")),  # noqa: S704  # no markup without it
        mode=mode,
        script=Markup(SCRIPT),  # noqa: S704  # ours
        policy=Markup(f"script-src 'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"),  # noqa: S704  # a hash
    )


def _show(pair: Mapping[str, Any], picture: Picture | None, mode: Pictures) -> dict[str, Any]:
    """A pair as the page shows it, hidden characters written out; `thumbnail` is null where a picture is gone."""
    shown: dict[str, Any] = {"text": reveal(pair["text"]), "url": reveal(pair["url"]), "stop": pair["stop"]}
    if picture and picture.score is not None:
        shown["score"] = picture.score
    if picture and mode != "off":
        jpeg = picture.thumbnail
        shown["thumbnail"] = base64.b64encode(jpeg).decode("ascii") if jpeg else None
    return shown


def _sum_rungs(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A row of exact numbers for each rung, for readers and printers without a script."""
    languages = report["languages"].values()
    for t, stop in report["rungs"].items():
        sums = {
            name: sum(sum(language[name][: stop + 1]) for language in languages)
            for name in ("pairs", "matches", "tail_entries", "tail_matches", "present")
        }
        images = {name: sum(report[name][: stop + 1]) for name in ("images", "to_fetch")}
        yield {"t": t, **sums, **images}
