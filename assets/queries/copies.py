"""Delete published data and reports that repeat what is taken down; both can be made again without it."""

import html
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assets.queries.gone import Gone
from resources.published.folders import lock_folder, mend_folder, remove_folder
from resources.takedowns.journal import Journal


def list_urls(reports: Path) -> dict[Path, set[str]]:
    """What of each report may be a URL or, put into one, a host; receipts are no such reports, for they name neither.

    Where a URL ends nobody can tell, so each goes on to the next blank.
    """
    files = [path for path in reports.rglob("*") if path.suffix in _TEXTS and path.parent != reports / "takedowns"]
    return {path: _find_urls(path.read_text("utf-8", "replace")) for path in sorted(files)}


def drop_reports(reports: Path, shown: Collection[Path], journal: Journal, *, dry_run: bool = False) -> list[str]:
    """Delete the reports that show what goes, in all forms that they have (HTML, JSON, CSV and others); gives them."""
    stems = {(path.parent, path.name.partition(".")[0]) for path in shown}
    files = sorted(
        p for folder, stem in stems for p in folder.glob("*") if p.is_file() and p.name.partition(".")[0] == stem
    )
    for path in files:
        journal.note("report", str(path.relative_to(reports)))
        if not dry_run:
            path.unlink()
    return [str(path.relative_to(reports)) for path in files]


def drop_published(published: Path, gone: Gone, journal: Journal, *, dry_run: bool = False) -> dict[str, int]:
    """Delete the published dataset where a subset of it holds a pair that goes; gives by t how many each held.

    Its other subsets and its documents go with it: all of it is made again by publishing. What a killed
    publishing left is put back or deleted first. Raises ValueError naming a file that is no Parquet.
    """
    dataset = published / "dataset"
    if published.exists() and not dry_run:
        with lock_folder(dataset):
            mend_folder(dataset)
    num_pairs: dict[str, int] = {}
    for folder in sorted(dataset.glob("data/t*/")):
        t, pairs, requests = folder.name.removeprefix("t"), 0, Counter[str]()
        for path in sorted(folder.rglob("*.parquet")):
            try:
                for batch in pq.ParquetFile(path).iter_batches():
                    dropped = gone.drop("subsets", t, "", batch)
                    pairs += dropped.num_rows
                    requests.update(gone.count(dropped))
            except pa.ArrowInvalid as error:
                raise ValueError(f"{path}: {error}; delete {dataset}, and publish again after the purge") from None
        if pairs:
            num_pairs[t] = pairs
            journal.note("published", t, str(pairs), requests=requests)
    if num_pairs and not dry_run:
        with lock_folder(dataset):
            remove_folder(dataset)
    return num_pairs


def _find_urls(text: str) -> set[str]:
    """What may be a URL or a host in a text, read as it is, as HTML, and as JSON, which a page's script may hold."""
    readings = (text, html.unescape(text), text.replace(r"\\", "\\"))
    return {url for it in readings for url in (*_URL.findall(it), *(f"http://{host}" for host in _HOST.findall(it)))}


_TEXTS = {".html", ".json", ".csv", ".md", ".txt", ".tsv"}
_URL = re.compile(r"https?://[^\s\"<>]+")  # a path may have apostrophes; what goes on after a URL harms nothing
_HOST = re.compile(r"(?<![\w.-])(?:(?:[\w-]+\.)+[^\W\d_][\w-]*|\d+(?:\.\d+){3})")
