"""Compare any two pools, subsets, snapshots, lists of entries or published counts, as a page and a table."""

import argparse
import hashlib
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from assets.queries.comparisons import compare_sides, show_examples
from metaclip_dagster.reporting.comparisons.page import plot_shares_of_both, render_comparison
from resources.deployments import Deployment, deployment
from resources.files.local import create
from resources.images.store import is_url
from resources.reports.resource import Reports


def main(asked: argparse.Namespace) -> None:
    """Print how the two differ, and where the page lies."""
    print(write_comparison(deployment(), *choose_sides(asked.first, asked.second)))


def choose_sides(first: str, second: str | None) -> tuple[str, str]:
    """Both sides as they are named, or what a side alone is set beside: the pool, or the list of entries.

    >>> choose_sides("20", None), choose_sides("20", "100")
    (('pool', '20'), ('20', '100'))
    >>> choose_sides("entries", None), choose_sides("/data/sample:entries", None)
    (('entries', 'entries@before'), ('entries', '/data/sample:entries'))
    """
    if second is not None:
        return first, second
    if first.rpartition(":")[2].partition("@")[0] != "entries":
        return "pool", first
    return "entries", "entries@before" if first == "entries" else first


def write_comparison(where: Deployment, here: str, there: str) -> str:
    """Write the page, its JSON and the table among the deployment's reports; gives the sums and the path in words."""
    comparison, report, sides = compare_sides(where, here, there)
    name = name_comparison(here, there)
    where.reports.mkdir(parents=True, exist_ok=True)
    report["table"] = None
    plot = None
    if comparison is not None:
        report["table"], plot = f"{name}.parquet", plot_shares_of_both(comparison, report["here"], report["there"])
        with create(where.reports / report["table"]) as file:
            pq.write_table(comparison, file, compression="zstd")
    by_name = dict(zip(("only_here", "only_there"), sides, strict=True)) if report["pairs"] else {}
    pictures = {name: show_examples(side, report["pairs"]["examples"][name]) for name, side in by_name.items()}
    foreign = [
        name for name, side in by_name.items() if side.images and _resolve(side.images) != _resolve(where.images)
    ]
    page = render_comparison(report, plot, pictures, where.pictures, foreign=foreign)
    Reports(root=str(where.reports)).write(name, page, report)
    return f"{'; '.join(_sum_up(report))}: {Path(where.reports, f'{name}.html')}"


def _resolve(images: str) -> str:
    return images if is_url(images) else str(Path(images).resolve())


def name_comparison(here: str, there: str) -> str:
    """The report's name: both operands, each by its last part, and a digest of both where that is not all of them.

    >>> name_comparison("20", "inf"), name_comparison("pool", "/a/counts.json")
    ('comparison_20_inf', 'comparison_pool_counts_86d5d6f6')
    """
    texts = [str(Path(text).absolute()) if "/" in text or Path(text).exists() else text for text in (here, there)]
    stems = [re.sub(r"\.(json|parquet)(\.gz)?$", "", text.rstrip("/").rpartition("/")[2]) for text in (here, there)]
    # What follows a dot is no part of a report's name to who deletes reports.
    slugs = [re.sub(r"[^\w-]+", "_", stem)[:60] for stem in stems]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
    return "_".join(["comparison", *slugs, *([] if slugs == texts else [digest])])


def _sum_up(report: dict[str, Any]) -> list[str]:
    sums = [f"{report['here']} beside {report['there']}" + (", which holds the same" if report["equal"] else "")]
    if distribution := report["distribution"]:
        verdicts = ", ".join(f"{row['entries']:,} {row['verdict']}" for row in distribution["verdicts"])
        sums += [
            f"{100 * distribution['overlap']:.1f} % of the matches lie alike",
            f"of {distribution['entries']:,} entries {verdicts}",
        ]
    for what in ("pairs", "entries"):
        counts = report[what] and report[what].get("pairs", report[what])
        if counts:
            only = f"{counts['only_here']:,} {what} only here, {counts['only_there']:,} only there"
            sums.append(f"{only}, {counts['moved']:,} moved" if what == "entries" else only)
    return sums
