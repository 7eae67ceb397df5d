"""The front door for what the metadata is made of: dumps of Wikipedias, and how often their articles were read."""

import argparse
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tqdm import tqdm

from resources.deployments import Deployment, deployment
from resources.web import Web
from resources.wikimedia import DUMPS, Download, list_dump, list_pageviews
from resources.wikipedia import pageview_days


def bring(where: Deployment, files: Sequence[Download]) -> None:
    """Download what is not there yet into the deployment's folder of Wikipedias, one after the other.

    Run again, it goes on where it was stopped or cut.
    """
    web, folder = Web(where.web, contact=where.contact, connections=2), Path(where.wikipedia)
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
    for command in (dump, views):
        command.add_argument("--root", default=DUMPS, help="Wikimedia's downloads, or a mirror of them")
    asked, where = parser.parse_args(), deployment()
    if "://" in where.wikipedia:
        sys.exit(f"download: {where.wikipedia} is no folder; set METACLIP_WIKIPEDIA to one, and copy it from there")
    try:
        if asked.what == "dump":
            web = Web(where.web, contact=where.contact)
            listed = [list_dump(web, language, asked.day, root=asked.root) for language in where.languages]
            bring(where, [file for files in listed for file in files])
        else:
            days = pageview_days(asked.days, first=asked.first, last=asked.last, seed=asked.seed)
            bring(where, [*list_pageviews(days, root=asked.root)])
    except (ValueError, OSError) as error:
        sys.exit(f"download: {error}")
    except KeyboardInterrupt:
        sys.exit("download: stopped; run it again to go on")


if __name__ == "__main__":
    main()
