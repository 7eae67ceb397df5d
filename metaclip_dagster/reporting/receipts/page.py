"""Render the receipt of a takedown request: what purges removed for it, and what nobody here can remove."""

from collections.abc import Mapping
from typing import Any

from metaclip_dagster.reporting.html.pages import render

NOT_REMOVED = (
    "Models that were trained before: weights cannot be made to forget single pairs. Trainings that saw any are named "
    "above; whether such weights stay in use is for their owner to decide.",
    "Copies that others downloaded, and what was exported or published elsewhere: whoever holds it has to delete it.",
    "The archives of the crawl, which somebody else publishes, and backups of this deployment.",
    "The list of takedowns, which keeps the lines so that later crawls do not bring the same back, and of each image "
    "its id and SHA-256, so that the same picture is not stored again.",
)


def render_receipt(receipt: Mapping[str, Any]) -> str:
    """The page of one request's receipt, whose `purges` are in the order in which they were done."""
    return render("receipts/receipt.html", receipt=receipt, not_removed=NOT_REMOVED)
