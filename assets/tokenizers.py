"""Train a tokenizer from the texts of the pool, for models of many languages."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from pydantic import Field, field_validator

from assets.choices import AsBefore
from assets.defaults import DEFAULTS
from assets.outdated import report_outdated
from assets.partitions import all_snapshots
from assets.pool import align_shards, drawing_setup, pool_of
from assets.queries.provenance import current_pool, record_pool
from assets.shown import MAX_OF_URL, lineage, read_drawn, table
from metaclip_dagster.reporting.cards.counts import count_pairs
from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.training import balance_languages, check_vocab_size, draw_texts, split_texts, train_tokenizer
from resources.engines.resource import Compute
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest

NUM_EXAMPLES = 20


class Tokenizing(dg.Config, use_attribute_docstrings=True):
    """How many tokens there are, and which texts they are learned from."""

    vocab_size: int = DEFAULTS.vocab_size
    """Tokens; texts that are few or alike give fewer. Each is a row of the text tower's embedding."""
    alpha: float = Field(default=0.3, ge=0, le=1)
    """A language's share of what is read is its share of the pool to this power: 1 leaves it, 0 makes all alike."""
    most_texts: int = Field(default=2_000_000, ge=1)
    """Texts that are read at most, repeats among them: a million take 1 to 4 GB of memory."""

    @field_validator("vocab_size")
    @classmethod
    def _check_vocab_size(cls, vocab_size: int) -> int:
        return check_vocab_size(vocab_size)


@dg.asset(
    deps=[
        dg.AssetDep("pairs", partition_mapping=all_snapshots),
        dg.AssetDep("admissions", partition_mapping=all_snapshots),
    ],
    group_name="training",
    kinds={"python", "parquet"},
    owners=["team:models"],
    metadata=lineage(tokenizer="pairs.text admissions.language", languages="pairs.text admissions.language"),
)
def tokenizer(
    context: dg.AssetExecutionContext, config: AsBefore[Tokenizing], lake: Lake, compute: Compute
) -> dg.MaterializeResult:
    """A tokenizer that was trained from the texts of the pool, languages balanced: BPE of bytes, so no text is unknown.

    Made by hand alone: checkpoints whose recipe says `tokenizer: pool` read texts by it, and are outdated after it.

    Next: `checkpoints` of a model whose recipe reads by it.
    """
    choice = config.choose(context, lake)
    pool = pool_of(context, lake, "admissions", drawing_setup(lake), "seed")
    counts = count_pairs(lake.dataset("admissions", pool.snapshots).to_batches(columns=["language"]), "language")
    options = {"rates": balance_languages(counts, alpha=choice.config.alpha, most_texts=choice.config.most_texts)}
    drawn = [_draw_snapshot(context, compute, snapshot, options) for snapshot in pool.snapshots]
    texts = {name: lake.stream("tokenizer_texts", pool.snapshots) for name in ("texts", "texts_again")}
    facts = record_pool(current_pool(lake)) | choice.facts
    manifest = compute.map_shards(
        context,
        train_tokenizer,
        {"00000": texts},
        options={"vocab_size": choice.config.vocab_size},
        facts=facts,
        size=sum(part.rows for part in drawn),
    )
    report_outdated(context, lake)
    [row] = lake.read("tokenizer").to_pylist()
    shown = {**choice.metadata, **pool.metadata, **_show_tokenizer(context, row, counts)}
    examples = _show_examples(lake, pool.snapshots[-1], row["tokenizer"])
    return compute.result(manifest, beside=drawn, metadata={**shown, "examples": examples})


def _draw_snapshot(
    context: dg.AssetExecutionContext, compute: Compute, snapshot: str, options: Mapping[str, Any]
) -> PartitionManifest:
    """TOKENIZER_TEXTS of a snapshot."""
    shards = align_shards(compute.lake, snapshot, "pairs", "admissions")
    return compute.map_shards(context, draw_texts, shards, table="tokenizer_texts", partition=snapshot, options=options)


def _show_tokenizer(
    context: dg.AssetExecutionContext, row: Mapping[str, Any], counts: Mapping[str, int]
) -> dict[str, Any]:
    """What the tokenizer is, and how it does in each language; logs that texts gave fewer tokens than asked for."""
    if row["vocab_size"] < row["asked_vocab_size"]:
        context.log.warning(
            f"tokenizer: the texts give {row['vocab_size']:,} tokens of {row['asked_vocab_size']:,}; nothing stands "
            "twice in them that is no token yet"
        )
    columns = ["language", "pairs of the pool", "texts read", "with repeats", "tokens a text", "lone bytes"]
    rows = [
        [
            its["language"], counts[its["language"]], its["num_texts"], its["num_read"],
            round(its["tokens_a_text"], 2), percent(its["byte_share"]),
        ]
        for its in row["languages"]
    ]  # fmt: skip
    names = ("algorithm", "vocab_size", "asked_vocab_size", "sha256")
    return {**{name: row[name] for name in names}, "by_language": table(columns, rows)}


def _show_examples(lake: Lake, snapshot: str, content: bytes) -> dg.TableMetadataValue:
    """A text of each language as the tokenizer cuts it, with the URL by which takedowns find the run."""
    texts = read_drawn(lake, snapshot)[:NUM_EXAMPLES]
    split = split_texts(content, [row["text"] for row in texts])
    rows = [
        (row["language"], "|".join(pieces), len(pieces), reveal(row["url"], MAX_OF_URL))
        for row, pieces in zip(texts, split, strict=True)
    ]
    return table(["language", "tokens", "number", "url"], rows)
