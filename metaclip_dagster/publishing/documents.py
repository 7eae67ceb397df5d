"""Write every document of a dataset's folder, by file name."""

from collections.abc import Sequence

from metaclip_dagster.publishing.citation import write_citation
from metaclip_dagster.publishing.croissant import build_croissant, write_croissant
from metaclip_dagster.publishing.dataset_card import TITLE, render_dataset_card
from metaclip_dagster.publishing.datasheet import render_datasheet, render_license_notes
from metaclip_dagster.publishing.parts import Part
from metaclip_dagster.publishing.publisher import Publisher


def write_documents(parts: Sequence[Part], publisher: Publisher) -> dict[str, str]:
    """The text of each document about these parts, in ascending order of t; the same parts give the same bytes."""
    return {
        "README.md": render_dataset_card(parts, publisher),
        "croissant.json": write_croissant(build_croissant(parts, publisher)),
        "datasheet.md": render_datasheet(parts, publisher),
        "LICENSE-NOTES.md": render_license_notes(parts, publisher),
        "CITATION.cff": write_citation(publisher, title=publisher.title or TITLE, kind="dataset"),
    }
