"""Collect from the lake what the report on concepts joins: classes' scores, their names, and counts of these."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.keys import THRESHOLDS, TRAINING_SETS, rung_of
from assets.queries.distributions import list_languages
from assets.queries.provenance import recorded_pool
from assets.queries.rungs import thresholds_of
from assets.queries.sweeps import read_cells, read_manifests
from metaclip_dagster.covering import space_name, split_words, why_uncountable
from metaclip_dagster.reporting.concepts.concepts import CountedSet, ScoredCell, describe_concepts
from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.judging import Judged, judge_sweep
from metaclip_dagster.reporting.sweeps.training_sets import label_set, rank_set
from metaclip_dagster.spilling import spilling
from resources.deferred import Deferred
from resources.lake.resource import Lake
from resources.models.resource import Trainer


@dataclass(frozen=True)
class ClassNames:
    """The class names of all tasks that cells were scored on, and what the entries have of them."""

    names: tuple[str, ...]
    languages: tuple[str, ...]
    entries: frozenset[str]
    """Those that are entries, of any language."""
    words: dict[str, list[str]]
    """The words of each name that are no entry themselves."""
    uncountable: dict[str, str]
    """The names that no text can hold, and why."""

    @property
    def searched(self) -> tuple[str, ...]:
        """What texts are searched for: names and words, each once."""
        return tuple(sorted({*self.names, *chain(*self.words.values())} - self.uncountable.keys()))


@dataclass(frozen=True)
class TextsOfSet:
    """The pairs of a training set, shard by shard, or of its subset where the set is gone."""

    training_set: str
    table: str
    shards: dict[str, Deferred]
    thresholds: dict[str, float] | None
    """Of an online set, which holds the whole pool: each language's own t, by which one draw keeps pairs."""


def judge_trained(lake: Lake, trainer: Trainer) -> Judged:
    """Every trained cell, and which of them are compared: the same as in the sweep."""
    sets = read_manifests(lake, "training_sets", TRAINING_SETS)
    pools = {name: recorded_pool(manifest) for name, manifest in sets.items()}
    return judge_sweep(read_cells(lake, trainer, sets), pools, {})


def list_class_names(lake: Lake, cells: Sequence[TrainedCell]) -> ClassNames:
    """The names in the cells' class scores, in order, with what ENTRIES has of them."""
    if not cells:
        return ClassNames((), (), frozenset(), {}, {})
    tables = [cell.class_scores for cell in cells if cell.class_scores is not None]
    column = pa.chunked_array([chunk for table in tables for chunk in table["class_name"].chunks], pa.string())
    names = tuple(sorted(pc.unique(column).to_pylist()))
    languages = tuple(list_languages(lake))
    # An entry has no space at its ends; to texts, which have one around each mark, that is the same.
    spaced = {name: {name, *(space_name(name, language).strip() for language in languages)} for name in names}
    words = {name: sorted({word for language in languages for word in split_words(name, language)}) for name in names}
    entries = _find_entries(lake, set(chain(*spaced.values(), *words.values())))
    return ClassNames(
        names=names,
        languages=languages,
        entries=frozenset(name for name in names if spaced[name] & entries),
        words={name: [it for it in of_name if it != name and it not in entries] for name, of_name in words.items()},
        uncountable={name: why for name in names if (why := _why_uncountable(name, languages))},
    )


def find_texts(lake: Lake, judged: Judged) -> list[TextsOfSet]:
    """The sets of the compared pool to count names in, in the order of t: every t, and online ones that have a cell.

    Of a training set that is gone, or of another pool, its subset is taken where that is of the pool.
    """
    trained = {cell.training_set for cell in judged.fit}
    wanted = [name for name in TRAINING_SETS if name in {*trained, *THRESHOLDS}]
    texts = []
    for name in sorted(wanted, key=rank_set) if judged.fit else []:
        for table, partition in (("training_sets", name), ("subsets", rung_of(name))):
            manifest = lake.store(table, partition).manifest()
            if manifest is not None and recorded_pool(manifest) == judged.pool:
                online = thresholds_of(lake, name.removeprefix("online-")) if name.startswith("online-") else None
                texts.append(TextsOfSet(name, table, lake.shards(table, partition), online))
                break
    return texts


def make_concepts(lake: Lake, judged: Judged, names: ClassNames, texts: Sequence[TextsOfSet]) -> dict[str, Any]:
    """The report over the cells that are compared; NAME_TEXTS are there where there are names and texts."""
    tables = {of_set.training_set: of_set.table for of_set in texts}
    cells = [
        ScoredCell(cell.training_set, cell.recipe, cell.seed, cell.pairs_seen, cell.class_scores)
        for cell in judged.fit
        if cell.class_scores is not None and cell.training_set in tables
    ]
    left_out = [f"{cell.model} on {cell.training_set} {why}" for cell, why in judged.cells if why]
    left_out += [
        f"{cell.model} on {cell.training_set} has no class scores: score it again"
        if cell.class_scores is None
        else f"{cell.model} on {cell.training_set}: neither its training set nor its subset is there"
        for cell in judged.fit
        if cell.class_scores is None or cell.training_set not in tables
    ]
    with_classes = {row for cell in cells for row in pc.unique(cell.class_scores["task"]).to_pylist()}
    all_tasks = {row["task"] for cell in judged.fit for row in cell.rows()}
    return describe_concepts(
        cells=cells,
        sets=[*_read_counts(lake, texts)] if names.searched and texts else [],
        entries=names.entries,
        words=names.words,
        uncountable=names.uncountable,
        spell=lambda name: space_name(name, names.languages[0]).strip(),
        left_out=left_out,
        without_classes=sorted(all_tasks - with_classes),
    )


def _find_entries(lake: Lake, candidates: set[str]) -> set[str]:
    column = lake.dataset("entries").to_table(columns=["entry"])["entry"]
    is_one = pc.is_in(column, pa.array(sorted(candidates), pa.string()))
    return set(column.filter(is_one).to_pylist())


def _why_uncountable(name: str, languages: Sequence[str]) -> str | None:
    reasons = [why_uncountable(name, language) for language in languages]
    return None if None in reasons else next(iter(reasons), "no language has entries")


def _read_counts(lake: Lake, texts: Sequence[TextsOfSet]) -> Iterator[CountedSet]:
    with spilling() as query:
        query.register("counted", lake.dataset("name_texts"))
        rows = query.sql("""
            select training_set, name, language, sum(num_pairs)::bigint, sum(num_any_case)::bigint
            from counted group by training_set, name, language
        """).fetchall()
    seen: dict[str, Counter[str]] = {of_set.training_set: Counter() for of_set in texts}
    for shard in lake.manifest("name_texts").shards:
        seen[shard.key.partition("/")[0]].update(shard.seen)
    for of_set in texts:
        name = of_set.training_set
        pairs = {key.removeprefix("pairs "): num for key, num in sorted(seen[name].items()) if key.startswith("pairs ")}
        as_spelled, any_case = ({(row[1], row[2]): row[at] for row in rows if row[0] == name} for at in (3, 4))
        yield CountedSet(name, label_set(name), of_set.table, pairs, as_spelled, any_case)
