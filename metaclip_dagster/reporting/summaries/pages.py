"""Render the EU's public summary of training content as a page, blanks marked."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.pages import render


def render_summary(content: Mapping[str, Any]) -> str:
    """The page of what `describe_summary` gives."""
    return render("summaries/eu_summary.html", summary=content)
