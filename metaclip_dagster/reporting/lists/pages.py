"""Render the pages about entries: how the list was put together, and what a pool's texts hold of it."""

import itertools
from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.paper import ENTRIES_BY_SOURCE


def render_entries(report: Mapping[str, Any]) -> str:
    """The page of a list of entries, set beside the paper's.

    `report` is {budget, caps, languages, changes}, the last two as `describe_entries` and `compare_entries` give them;
    without a build before, changes are {}.
    """
    sources = [language["sources"] for language in report["languages"]]
    return render(
        "lists/entries.html",
        ours={source["source"]: source["taken"] for source in itertools.chain(*sources[:1])},
        theirs=ENTRIES_BY_SOURCE,
        num_unmatchable=sum(sum(source["unmatchable"].values()) for source in itertools.chain(*sources)),
        report=report,
    )


def render_coverage(report: Mapping[str, Any]) -> str:
    """The page of what `describe_coverage` gives, with `shards`: by snapshot, how many were read of how many."""
    return render("lists/coverage.html", report=report)
