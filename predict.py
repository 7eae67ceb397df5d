"""The front door for budgets: what a snapshot, or a t, will cost, beside what it took where it is made already."""

import argparse
import math
import sys
from collections.abc import Sequence

from assets.costs import Prediction, predict_snapshot, predict_t
from resources.crawl.resource import draw_archives, open_crawl
from resources.deployments import Deployment, deployment
from resources.lake.costs import Cost
from resources.lake.resource import open_lake


def snapshot_table(where: Deployment, key: str, *, share: float | None = None) -> str:
    """The stages of curation for a snapshot; where it is made and no share is asked for, for what it was made of."""
    lake = open_lake(where)
    made = lake.store("pairs", key).manifest()
    if made and share is None:
        told = f"{key}: {len(made.shards):,} files, as it was made"
        return f"{told}\n{_table(predict_snapshot(where, lake, key, len(made.shards)))}"
    files = len(draw_archives(open_crawl(where).files(key, "wat")[1], share=1.0 if share is None else share))
    told = f"{key}: {files:,} files{f', of which {len(made.shards):,} are made' if made else ''}"
    return f"{told}\n{_table(predict_snapshot(where, lake, key, files, from_own=made is not None))}"


def t_table(where: Deployment, t: str) -> str:
    """The stages from subset to scores for a t."""
    return f"t = {t}\n{_table(predict_t(where, open_lake(where), t))}"


UNKNOWN = "unknown"


def _table(predictions: Sequence[Prediction]) -> str:
    head = ["stage", "", "CPU seconds", "", "read", "written", "rows"]
    rows = [head]
    for told in predictions:
        off = "" if told.off is None or math.isinf(told.off) else f"± {told.off:.0%}"
        rows.append([told.stage, "expected", *_numbers(told.expected, told.at_most, off)])
        if told.took:
            rows.append(["", "took", *_numbers(told.took, None, "")])
    known = [told for told in predictions if told.expected]
    unknown = [told.stage for told in predictions if not told.expected]
    in_all = sum((told.expected for told in known if told.expected), Cost())
    at_most = sum((told.at_most or told.expected or Cost() for told in known), Cost())
    rows.append(
        ["in all", "at least" if known and unknown else "expected", *_numbers(in_all if known else None, at_most, "")]
    )
    rows[-1][-1] = ""
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, *_notes(unknown, any(told.at_most for told in known))])


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


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    snapshot = commands.add_parser("snapshot", help=snapshot_table.__doc__, description=snapshot_table.__doc__)
    snapshot.add_argument("key", help="a snapshot that the crawl lists, made or not")
    snapshot.add_argument("--share", type=float, help="of its files; 1 is all, also of one that is made in part")
    rung = commands.add_parser("t", help=t_table.__doc__, description=t_table.__doc__)
    rung.add_argument("t", help="a rung or any other number, or inf")
    asked = parser.parse_args()
    try:
        if asked.what == "t":
            print(t_table(deployment(), asked.t))
        else:
            print(snapshot_table(deployment(), asked.key, share=asked.share))
    except (FileNotFoundError, ValueError) as error:
        sys.exit(f"predict: {error}")


if __name__ == "__main__":
    main()
