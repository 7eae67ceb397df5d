"""Say why a pair is kept and at which t, and which pairs match an entry."""

import argparse

import dagster as dg

from assets.queries.answers import explain_entry, explain_pair
from metaclip_dagster.explaining import render_text
from resources.deployments import Deployment, deployment
from resources.lake.resource import open_lake


def main(asked: argparse.Namespace) -> None:
    """Print the answer; raises QuestionError, a ValueError, where there is none."""
    print(answer(deployment(), asked))


def answer(where: Deployment, asked: argparse.Namespace) -> str:
    """The answer as text that is harmless to a terminal, whatever the crawl brought."""
    lake = open_lake(where)
    if asked.part == "entry":
        return render_text(explain_entry(lake, asked.entry, limit=asked.limit))
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        snapshots = sorted(instance.get_dynamic_partitions("snapshot"))
    return render_text(explain_pair(lake, snapshots, asked.pair, text=asked.text, limit=asked.limit))
