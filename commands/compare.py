"""Compare the pool or a subset with counts that others published, as a page and a table."""

import argparse
import re
from pathlib import Path

import pyarrow.parquet as pq

from assets.keys import THRESHOLDS
from assets.queries.distributions import compare_counts_with
from commands.names import check_choice
from metaclip_dagster.reporting.comparisons.page import plot_shares_of_both, render_comparison
from resources.deployments import Deployment, deployment
from resources.files.local import create
from resources.lake.resource import open_lake
from resources.reports.resource import Reports


def main(asked: argparse.Namespace) -> None:
    """Print how the two differ, and where the page lies."""
    t = check_choice(asked.t, THRESHOLDS, "t") if asked.t else None
    print(write_comparison(deployment(), asked.file, t))


def write_comparison(where: Deployment, url: str, t: str | None = None) -> str:
    """Write the page, its JSON and the table among the deployment's reports; gives the sums and the path in words."""
    comparison, report = compare_counts_with(open_lake(where), url, t)
    stem = re.sub(r"[^\w.-]+", "_", report["file"]).partition(".")[0] or "counts"
    name = f"comparison_{stem}" + (f"_t_{t}" if t else "")
    report["table"] = f"{name}.parquet"
    where.reports.mkdir(parents=True, exist_ok=True)
    with create(where.reports / report["table"]) as file:
        pq.write_table(comparison, file, compression="zstd")
    page = render_comparison(report, plot_shares_of_both(comparison))
    Reports(root=str(where.reports)).write(name, page, report)
    verdicts = ", ".join(f"{row['entries']:,} {row['verdict']}" for row in report["verdicts"])
    return (
        f"{report['compared']} beside {report['file']}: {100 * report['overlap']:.1f} % of the matches lie alike; "
        f"of {report['entries']:,} entries {verdicts}: {Path(where.reports, f'{name}.html')}"
    )
