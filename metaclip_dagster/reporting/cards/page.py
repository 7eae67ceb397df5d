"""Render the data card of one t as a page."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.pages import render
from metaclip_dagster.reporting.html.paper import NUM_ENTRIES


def render_card(card: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """The page of a card of `describe_subset`. `plots` are PNG by name (`counts`, `shares`, `sizes`)."""
    return render("cards/card.html", card=card, plots=plots, paper_entries=NUM_ENTRIES)
