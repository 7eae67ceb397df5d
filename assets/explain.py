"""The job `explain`: say in its log and metadata why a pair is kept, and which pairs match an entry."""

import dagster as dg
from pydantic import Field

from assets.queries.answers import explain_entry, explain_pair
from assets.shown import table
from metaclip_dagster.explaining import QuestionError, render_text
from resources.lake.resource import Lake


class Question(dg.Config, use_attribute_docstrings=True):
    """What is asked: about a pair, or about an entry."""

    pair: str = ""
    """The image's URL, a pair_id, or an image_id of 24 hexadecimal digits."""
    text: str = ""
    """With a URL: the pair of exactly this text, and no other of the image."""
    entry: str = ""
    """The entry, as it stands in the metadata: matching minds case."""
    limit: int = Field(default=20, ge=1)
    """How many pairs are shown, and how many places of each."""


@dg.op
def ask(context: dg.OpExecutionContext, config: Question, lake: Lake) -> None:
    """Log the answer and attach it, as text and as tables; nothing of it is rendered."""
    try:
        if bool(config.pair) == bool(config.entry):
            raise QuestionError("ask about a pair or about an entry: set one of `pair` and `entry`")
        if config.pair:
            snapshots = sorted(context.instance.get_dynamic_partitions("snapshot"))
            answer = explain_pair(lake, snapshots, config.pair, text=config.text or None, limit=config.limit)
        else:
            answer = explain_entry(lake, config.entry, limit=config.limit)
    except QuestionError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info(f"the answer:\n{render_text(answer)}")
    tables = {part.title: table(part.headings, part.rows) for part in answer if part.rows}
    context.add_output_metadata({"answer": dg.MetadataValue.text(render_text(answer)), **tables})


@dg.job(description="Why is this pair kept, and at which t? Who matches this entry? Set `pair` or `entry` of the op.")
def explain() -> None:
    """One question, one answer."""
    ask()
