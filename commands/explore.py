"""Write the page on which a slider moves t over the pool, and say where it lies."""

import argparse
from pathlib import Path

from assets.queries.exploring import write_exploration
from resources.deployments import Deployment, deployment
from resources.lake.resource import open_lake
from resources.models.resource import Trainer
from resources.reports.resource import Reports


def main(asked: argparse.Namespace) -> None:
    """Print the page's path."""
    print(explore(deployment(), asked.beside))


def explore(where: Deployment, beside: Path | None = None) -> Path:
    """Write the page of the deployment's pool, with the bins of another what-if page beside it; gives its path."""
    where.reports.mkdir(parents=True, exist_ok=True)
    reports = Reports(root=str(where.reports), pictures=where.pictures)
    write_exploration(open_lake(where), reports, where.images, Trainer(root=str(where.checkpoints)), beside)
    return where.reports / ("explore_beside.html" if beside else "explore.html")
