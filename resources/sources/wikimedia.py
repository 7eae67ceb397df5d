"""Find which of Wikimedia's downloads make a Wikipedia's dump and its pageviews, and where they are."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from resources.sources.wikipedia import name_wiki
from resources.web.client import Web

DUMPS = "https://dumps.wikimedia.org"
_JOB = "articlesmultistreamdump"


@dataclass(frozen=True)
class Download:
    """A file to bring, its size in bytes where that is announced, and its SHA-1 where that is."""

    url: str
    size: int | None = None
    sha1: str | None = None

    def bring(self, web: Web, folder: Path) -> Path:
        """Download the file into the folder, unless it is there; see `Web.download`."""
        return web.download(self.url, folder / self.url.rsplit("/", 1)[-1], sha1=self.sha1)


def list_dump(web: Web, language: str, day: str, *, root: str = DUMPS) -> list[Download]:
    """The files of a Wikipedia's articles in the dump of a day, `20261101`: one, or the parts of a large one.

    They are multistream: many bzip2 streams in a row, which many workers read at a time, where the ordinary file of the
    same articles is one stream for one worker.
    Raises FileNotFoundError where there is no dump of that day, ValueError while it is being written.
    """
    wiki = name_wiki(language)
    try:
        jobs = json.loads(web.read(f"{root}/{wiki}/{day}/dumpstatus.json"))["jobs"]
        job = jobs[_JOB]
        files = {name: file for name, file in job.get("files", {}).items() if "-multistream-index" not in name}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{root}/{wiki}/{day}/dumpstatus.json lists no {_JOB}; try another day") from None
    if job.get("status") != "done" or not files:
        raise ValueError(f"{wiki}: the dump of {day} is {job.get('status')}; take an earlier one")
    if strange := [name for name in files if not re.fullmatch(rf"{wiki}-{day}-pages-articles-[\w.-]*\.bz2", name)]:
        raise ValueError(f"{wiki}: the dump of {day} lists {strange[0]!r}, which is none of its articles' files")
    return [Download(f"{root}/{wiki}/{day}/{name}", file.get("size"), file.get("sha1")) for name, file in files.items()]


def list_pageviews(days: Iterable[date], *, root: str = DUMPS) -> Iterator[Download]:
    """The 24 hourly files of each day, of all Wikipedias together."""
    for day in days:
        for hour in range(24):
            name = f"pageviews-{day:%Y%m%d}-{hour:02d}0000.gz"
            yield Download(f"{root}/other/pageviews/{day:%Y}/{day:%Y-%m}/{name}")
