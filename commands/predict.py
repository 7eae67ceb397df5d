"""Predict what a snapshot or a threshold t will cost, beside what it cost where it is already made."""

import argparse
import math
from collections.abc import Sequence

from assets.queries.costs import Prediction, predict_snapshot
from assets.queries.costs_of_t import predict_t
from commands.tables import render_table
from resources.crawl.listing import draw_archives
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, deployment
from resources.lake.costs import Cost
from resources.lake.resource import open_lake

UNKNOWN = "unknown"
HEADINGS = ["stage", "", "CPU seconds", "", "read", "written", "rows"]


def main(asked: argparse.Namespace) -> None:
    """Print the table; raises ValueError for a t that is none, or a snapshot that the crawl does not list."""
    if asked.part == "t":
        print(t_table(deployment(), asked.t))
    else:
        print(snapshot_table(deployment(), asked.key, share=asked.share))


def snapshot_table(where: Deployment, key: str, *, share: float | None = None) -> str:
    """The stages of curation for a snapshot; where it is made and no share is asked for, for what it was made of."""
    lake = open_lake(where)
    manifest = lake.store("pairs", key).manifest()
    if manifest and share is None:
        num_files = len(manifest.shards)
        return f"{key}: {num_files:,} files, as it was made\n{_table(predict_snapshot(where, lake, key, num_files))}"
    num_files = len(draw_archives(open_crawl(where).files(key, "wat")[1], share=1.0 if share is None else share))
    title = f"{key}: {num_files:,} files{f', of which {len(manifest.shards):,} are made' if manifest else ''}"
    return f"{title}\n{_table(predict_snapshot(where, lake, key, num_files, from_own=manifest is not None))}"


def t_table(where: Deployment, t: str) -> str:
    """The stages from subset to scores for a t."""
    return f"t = {t}\n{_table(predict_t(where, open_lake(where), t))}"


def _table(predictions: Sequence[Prediction]) -> str:
    rows = [HEADINGS]
    for prediction in predictions:
        off = "" if prediction.off is None or math.isinf(prediction.off) else f"± {prediction.off:.0%}"
        rows.append([prediction.stage, "expected", *_numbers(prediction.expected, prediction.at_most, off)])
        if prediction.took:
            rows.append(["", "took", *_numbers(prediction.took, None, "")])
    with_cost = [prediction for prediction in predictions if prediction.expected]
    unknown = [prediction.stage for prediction in predictions if not prediction.expected]
    in_all = sum((prediction.expected for prediction in with_cost if prediction.expected), Cost())
    at_most = sum((prediction.at_most or prediction.expected or Cost() for prediction in with_cost), Cost())
    says = "at least" if with_cost and unknown else "expected"
    *numbers, _ = _numbers(in_all if with_cost else None, at_most, "")
    rows.append(["in all", says, *numbers, ""])
    notes = _notes(unknown, any(prediction.at_most for prediction in with_cost))
    return "\n".join([render_table(rows, num_left=2), *notes])


def _notes(unknown: Sequence[str], is_ranged: bool) -> list[str]:
    notes = []
    if unknown:
        notes.append(
            f"unknown, since nothing of the kind has been made yet: {', '.join(unknown)}; make them of a small share "
            "first"
        )
    if is_ranged:
        notes.append(
            "low .. high: everything made so far is of one size, so the cost of a shard cannot be told from that of "
            "its rows; make it of another size too"
        )
    return notes


def _numbers(cost: Cost | None, at_most: Cost | None, off: str) -> list[str]:
    if cost is None:
        return [UNKNOWN, "", "", "", ""]
    most = at_most or cost
    return [
        _range(f"{cost.cpu_seconds:,.1f}", f"{most.cpu_seconds:,.1f}"),
        off,
        _range(_megabytes(cost.bytes_read), _megabytes(most.bytes_read)),
        _range(_megabytes(cost.bytes_written), _megabytes(most.bytes_written)),
        _range(f"{cost.rows:,.0f}", f"{most.rows:,.0f}"),
    ]


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} .. {high}"


def _megabytes(number: float) -> str:
    return f"{number / 1e6:,.1f} MB" if number else ""
