"""Download what the metadata is made of: WordNet, dumps of Wikipedias, and counts of article views."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from metaclip_dagster.words.languages import list_names
from resources.deployments import Deployment, deployment
from resources.sources.wikimedia import DUMPS, Download, list_dump, list_pageviews
from resources.sources.wikipedia import pageview_days
from resources.sources.wordnet import MULTILINGUAL, NLTK_DATA, PACKAGE, check_package
from resources.web.client import NO_CONTACT, Web


def main(asked: argparse.Namespace) -> None:
    """Download what is not there yet; raises ValueError or OSError for what cannot be had."""
    where = deployment()
    if not where.contact:
        print(f"metaclip download: {NO_CONTACT}", file=sys.stderr, flush=True)
    if asked.part == "wordnet":
        packages = [PACKAGE] if where.languages == ("en",) else [PACKAGE, MULTILINGUAL]
        files = [Download(f"{asked.root or NLTK_DATA}/packages/{package}") for package in packages]
        fetch_files(where, Path(where.nltk_data, PACKAGE).parent, files)
        for package in packages:
            check_package(where.nltk_data, package)
        return
    if "://" in where.wikipedia:
        raise ValueError(f"{where.wikipedia} is no folder; set METACLIP_WIKIPEDIA to one, and copy it from there")
    root = asked.root or DUMPS
    if asked.part == "dump":
        of_lists = {list_names(language)[0] for language in where.own_lists}
        languages = [language for language in where.languages if list_names(language)[0] not in of_lists]
        if listed := [language for language in where.languages if language not in languages]:
            print(f"{', '.join(listed)}: no dump is needed, for there is a list in METACLIP_LISTS", flush=True)
        if odd := {"all", "other"} & {*languages}:
            raise ValueError(
                f"METACLIP_LANGUAGES has {', '.join(odd)}: which Wikipedias? For this command name them by their "
                "codes, as in METACLIP_LANGUAGES=en,zh,zh-yue"
            )
        web = Web(where.web, contact=where.contact)
        files = [file for language in languages for file in list_dump(web, language, asked.day, root=root)]
    else:
        days = pageview_days(asked.days, first=asked.first, last=asked.last, seed=asked.seed)
        files = [*list_pageviews(days, root=root)]
    fetch_files(where, Path(where.wikipedia), files)


def fetch_files(where: Deployment, folder: Path, files: Sequence[Download]) -> None:
    """Download what is not there yet into the folder, one after the other.

    Run again, it goes on where it was stopped or cut.
    """
    web = Web(where.web, contact=where.contact, connections=2)
    size = sum(file.size or 0 for file in files)
    print(f"{len(files)} files to {folder}{f', {size / 1e9:.1f} GB' if size else ''}", flush=True)
    for file in tqdm(files, unit="file", disable=None):
        file.bring(web, folder)
