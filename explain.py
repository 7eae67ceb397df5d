"""The front door for questions: why a pair is kept and at which t, and who matches an entry."""

import argparse
import sys

import dagster as dg

from assets.answers import explain_entry, explain_pair
from metaclip_dagster.explaining import QuestionError, render_text
from resources.deployments import Deployment, deployment
from resources.lake.resource import open_lake


def answer(where: Deployment, asked: argparse.Namespace) -> str:
    """The answer as text that is harmless to a terminal, whatever the crawl brought."""
    lake = open_lake(where)
    if asked.what == "entry":
        return render_text(explain_entry(lake, asked.entry, limit=asked.limit))
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        snapshots = sorted(instance.get_dynamic_partitions("snapshot"))
    return render_text(explain_pair(lake, snapshots, asked.pair, text=asked.text, limit=asked.limit))


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    pair = commands.add_parser("pair", help="why a pair is kept, and at which t")
    pair.add_argument("pair", metavar="URL_OR_ID", help="the image's URL, a pair_id, or an image_id of 24 hex digits")
    pair.add_argument("--text", help="with a URL: the pair of exactly this text")
    entry = commands.add_parser("entry", help="who matches an entry")
    entry.add_argument("entry", help="as it stands in the metadata: case counts")
    for command in (pair, entry):
        command.add_argument("--limit", type=int, default=20, help="pairs told of, and places of each (default 20)")
    return parser.parse_args(arguments)


def main() -> None:
    """Answer, or say in a line why not."""
    try:
        print(answer(deployment(), parse()))
    except (QuestionError, FileNotFoundError) as error:
        sys.exit(f"explain: {error}")


if __name__ == "__main__":
    main()
