"""Set scores in each language beside what there is of it: entries, matches, its own t, and pairs that this t keeps."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.html.numbers import number, percent
from metaclip_dagster.reporting.html.text import reveal
from metaclip_dagster.reporting.sweeps.cells import TrainedCell, group_by_recipe
from metaclip_dagster.reporting.sweeps.scores import (
    Json,
    Scores,
    average_seeds,
    find_score,
    index_scores,
    name_metric,
    none_unless_finite,
)
from metaclip_dagster.reporting.sweeps.tables import show_score
from metaclip_dagster.reporting.sweeps.training_sets import label_set, rank_set
from metaclip_dagster.words.languages import find_list

PARTS = ("all", "english")
"""Parts of a task that are shown by language: all of it, and the same questions in English."""


@dataclass(frozen=True)
class LanguageSize:
    """What a pool has of the language of a list of entries."""

    entries: int
    matches: int
    """Of all its entries, in the pool."""
    t: Mapping[str, float] = field(default_factory=dict)
    """Its own t, by training set."""
    pairs: Mapping[str, int] = field(default_factory=dict)
    """Pairs of it that the set's t keeps, by training set."""


def list_languages(tables: Iterable[pa.Table | None]) -> list[str]:
    """The languages of tables of SCORES, in order; none of tables that do not tell them apart."""
    named = (table["language"] for table in tables if table is not None and "language" in table.column_names)
    return sorted({language for column in named for language in pc.unique(column).to_pylist() if language})


def describe_languages(
    cells: Sequence[TrainedCell],
    baselines: Sequence[tuple[str, pa.Table]],
    tasks: Sequence[Json],
    sizes: Mapping[str, LanguageSize],
) -> list[Json]:
    """A row for each language, recipe and training set, and for each baseline: what there is of it, and its scores.

    Languages with most matches come first. `cells` and `baselines` are those that are compared, `sizes` are by list of
    entries. No row unless there are two languages.
    """
    if len(list_languages([*(cell.scores for cell in cells), *(table for _, table in baselines)])) < 2:
        return []
    metrics = {task["task"]: task["metric"] for task in tasks}
    rows = list[Json]()
    for recipe, of_recipe in group_by_recipe(cells).items():
        for name in sorted({cell.training_set for cell in of_recipe}, key=rank_set):
            by_seed = {cell.seed: cell.scores for cell in of_recipe if cell.training_set == name}
            rows += _describe_set(recipe, name, by_seed, metrics, sizes)
    for model, table in baselines:
        rows += _describe_set(model, None, {0: table}, metrics, sizes)
    return sorted(rows, key=lambda row: (-(row["matches"] or 0), row["language"]))


def language_table(rows: Sequence[Json], tasks: Sequence[Json], *, intervals: bool = True) -> list[list[str]]:
    """Rows of text, headings first: each language and training set, with every task's own metric.

    A score says its chance; how many of the task's images it is of, where they are fewer than in another language; and
    whether the names stood alone because the task has no prompt in the language. What all scores of a column say is in
    its heading alone.
    """
    several = len({row["recipe"] for row in rows}) > 1
    table = [["Language", *(["Model"] if several else []), "Training set", "Entries", "Matches", "Its t", "Pairs"]]
    for row in rows:
        set_label = label_set(row["training_set"]) if row["training_set"] else "–"
        labels = [reveal(row["language"]), *([reveal(row["recipe"])] if several else []), set_label]
        numbers = [number(row["entries"]), number(row["matches"]), _show_t(row), number(row["pairs"])]
        table.append([*labels, *numbers])
    for task in tasks:
        for part in PARTS:
            scores = [find_score(row["scores"], task["task"], part, task["metric"]) for row in rows]
            if any(scores):
                heading = f"{reveal(task['task'])}, {name_metric(task['metric'])}"
                column = _list_scores(heading + ("" if part == "all" else ", in English"), scores, intervals=intervals)
                table = [[*cells, cell] for cells, cell in zip(table, column, strict=True)]
    return table


def list_scores_by_language(scores: pa.Table) -> tuple[list[str], list[list[object]]]:
    """Headings, and the tasks' own metrics of one model's SCORES by language; no row unless there are two."""
    headings = ["language", "task", "part", "score", "chance", "num_images", "num_classes"]
    if len(list_languages([scores])) < 2:
        return headings, []
    rows = [row for row in scores.to_pylist() if row["metric"] == ("main" if row["part"] == "all" else "acc1")]
    chosen = (row for row in rows if row["part"] in PARTS)
    return headings, sorted(([row[name] for name in headings] for row in chosen), key=lambda row: str(row[:3]))


def _describe_set(
    recipe: str,
    training_set: str | None,
    by_seed: Mapping[int, pa.Table | None],
    metrics: Mapping[str, str],
    sizes: Mapping[str, LanguageSize],
) -> Iterable[Json]:
    scores: dict[str, dict[int, Scores]] = {}
    texts: dict[tuple[str, str, str], Json] = {}
    for seed, table in by_seed.items():
        of_language: dict[str, list[Json]] = {}
        for row in table.to_pylist() if table is not None and "language" in table.column_names else []:
            # Without a language is what a table of before there were several has beside others.
            if row["language"] and row["part"] in PARTS and row["metric"] == metrics.get(row["task"]):
                of_language.setdefault(row["language"], []).append(row)
                texts[row["language"], row["task"], row["part"]] = row
        for language, rows in of_language.items():
            scores.setdefault(language, {})[seed] = index_scores(rows)
    for language, seeds in scores.items():
        size = sizes.get(find_list(language, sizes) or "")
        yield {
            "language": language,
            "recipe": recipe,
            "training_set": training_set,
            "entries": size and size.entries,
            "matches": size and size.matches,
            # No t of inf: JSON has no number for it.
            "t": none_unless_finite(size.t.get(training_set or "")) if size else None,
            "pairs": size and size.pairs.get(training_set or ""),
            "scores": [
                {**score, **{name: texts[language, score["task"], score["part"]][name] for name in _TEXTS}}
                for score in average_seeds(seeds)
            ],
        }


_TEXTS = ("num_images", "num_classes", "num_templates")


def _list_scores(heading: str, scores: Sequence[Json | None], *, intervals: bool) -> list[str]:
    most = max(score["num_images"] for score in scores if score)
    notes = [_list_notes(score, most) for score in scores if score]
    shared = [note for note in notes[0] if all(note in of_score for of_score in notes)]
    cells = [
        "; ".join(
            [show_score(score, intervals=intervals), *(it for it in _list_notes(score, most) if it not in shared)]
        )
        if score
        else "–"
        for score in scores
    ]
    return ["; ".join([heading, *shared]), *cells]


def _list_notes(score: Json, most: int) -> list[str]:
    notes = [f"chance {percent(score['chance'])}"]
    if score["num_images"] < most:
        notes.append(f"{number(score['num_images'])} of {number(most)} images")
    if score["num_templates"] == 0:
        notes.append("names alone")
    return notes


def _show_t(row: Json) -> str:
    return "–" if row["t"] is None else number(round(row["t"]))
