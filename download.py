"""The front door for what the metadata is made of: WordNet, dumps of Wikipedias, how often articles were read."""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tqdm import tqdm

from resources.deployments import Deployment, deployment
from resources.sources.wikimedia import DUMPS, Download, list_dump, list_pageviews
from resources.sources.wikipedia import pageview_days
from resources.sources.wordnet import NLTK_DATA, PACKAGE, check_package
from resources.web.client import NO_CONTACT, Web


def bring(where: Deployment, folder: Path, files: Sequence[Download]) -> None:
    """Download what is not there yet into the folder, one after the other.

    Run again, it goes on where it was stopped or cut.
    """
    web = Web(where.web, contact=where.contact, connections=2)
    size = sum(file.size or 0 for file in files)
    print(f"{len(files)} files to {folder}{f', {size / 1e9:.1f} GB' if size else ''}", flush=True)
    for file in tqdm(files, unit="file", disable=None):
        file.bring(web, folder)


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    dump = commands.add_parser("dump", help="the articles of every language of METACLIP_LANGUAGES")
    dump.add_argument("day", help="of the dump, as in 20261101")
    views = commands.add_parser("pageviews", help="hourly views of random days: 25 of five years in the paper")
    views.add_argument("--days", type=int, default=25)
    views.add_argument("--first", type=date.fromisoformat, required=True, help="as in 2021-11-01")
    views.add_argument("--last", type=date.fromisoformat, required=True)
    views.add_argument("--seed", type=int, default=0)
    wordnet = commands.add_parser("wordnet", help="nltk's package of WordNet 3.0")
    for command, root in ((dump, DUMPS), (views, DUMPS), (wordnet, NLTK_DATA)):
        command.add_argument("--root", default=root, help="where from, or a mirror of it")
    asked, where = parser.parse_args(), deployment()
    if not where.contact:
        print(f"download: {NO_CONTACT}", file=sys.stderr, flush=True)
    if asked.what != "wordnet" and "://" in where.wikipedia:
        sys.exit(f"download: {where.wikipedia} is no folder; set METACLIP_WIKIPEDIA to one, and copy it from there")
    try:
        if asked.what == "wordnet":
            bring(where, Path(where.nltk_data, PACKAGE).parent, [Download(f"{asked.root}/packages/{PACKAGE}")])
            check_package(where.nltk_data)
        elif asked.what == "dump":
            web = Web(where.web, contact=where.contact)
            listed = [list_dump(web, language, asked.day, root=asked.root) for language in where.languages]
            bring(where, Path(where.wikipedia), [file for files in listed for file in files])
        else:
            days = pageview_days(asked.days, first=asked.first, last=asked.last, seed=asked.seed)
            bring(where, Path(where.wikipedia), [*list_pageviews(days, root=asked.root)])
    except (ValueError, OSError) as error:
        sys.exit(f"download: {error}")
    except KeyboardInterrupt:
        sys.exit("download: stopped; run it again to go on")


if __name__ == "__main__":
    main()
