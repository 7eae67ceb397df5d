"""Write a dataset's datasheet (Gebru et al. 2021) and what is known of its rights."""

from collections.abc import Sequence

from metaclip_dagster.publishing.dataset_card import TITLE, name_contact
from metaclip_dagster.publishing.markdown import Markdown, escape_paragraphs, render_markdown
from metaclip_dagster.publishing.parts import Part, find_period_of
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.publishing.questions import QUESTIONS
from metaclip_dagster.publishing.sentences import (
    OPEN,
    RIGHTS,
    describe_collection,
    describe_left_out,
    describe_limits,
    describe_stages,
    is_of_common_crawl,
)


def render_datasheet(parts: Sequence[Part], publisher: Publisher) -> str:
    """The datasheet; questions that nobody has answered are there, and said to be open."""

    def ask(key: str) -> Markdown:
        answer = publisher.answer("datasheet", key) or OPEN
        return Markdown(f"**{QUESTIONS['datasheet'][key]}**\n\n{escape_paragraphs(answer)}")

    return render_markdown(
        "datasheet.md",
        title=publisher.title or TITLE,
        publisher=publisher,
        contact=name_contact(publisher),
        parts=parts,
        largest=parts[-1],
        collection=describe_collection(parts),
        period=find_period_of(parts),
        left_out=describe_left_out(parts[-1]),
        stages=describe_stages(parts[-1]),
        limits=describe_limits(parts),
        software=parts[-1].software,
        ask=ask,
        open=OPEN,
    )


def render_license_notes(parts: Sequence[Part], publisher: Publisher) -> str:
    """What the pages and the publisher say about licences and opt-outs; it claims nothing beyond."""
    return render_markdown(
        "license_notes.md",
        parts=parts,
        publisher=publisher,
        opt_outs=parts[-1].opt_outs,
        is_of_common_crawl=is_of_common_crawl(parts),
        rights=RIGHTS,
        open=OPEN,
    )
