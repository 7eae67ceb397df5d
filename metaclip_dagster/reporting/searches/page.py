"""Render the page of a search, and name its file."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.thumbnails import Picture, Pictures


def render_search(report: Mapping[str, Any], pictures: Sequence[Picture], mode: Pictures) -> str:
    """The page of what a search found, with a picture for each of its `hits`; `mode` says how they are shown."""
    return render("searches/search.html", report=report, pictures=pictures, mode=mode)


def name_search(report: Mapping[str, Any]) -> str:
    """The name of the report's files: words of the query for people, and a digest, so that no two searches share one.

    >>> name_search({"training_set": "20", "model": "tiny", "by": "text", "digest": "", "query": "Crème <brûlée>/../x"})
    'search_20_creme-brulee-x_4ca94ee0'
    """
    which = "\n".join(report[name] for name in ("training_set", "model", "by", "query", "digest"))
    plain = unicodedata.normalize("NFKD", report["query"]).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:40].rstrip("-")
    digest = hashlib.sha256(which.encode()).hexdigest()[:8]
    return "_".join(filter(None, ("search", report["training_set"], words, digest)))
