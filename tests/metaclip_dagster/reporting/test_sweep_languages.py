"""Laws of the sweep's scores by language: they stand apart from all else, beside what there is of each language."""

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.sweeps.cells import TrainedCell, keep_own_language
from metaclip_dagster.reporting.sweeps.languages import LanguageSize, language_table, list_scores_by_language
from metaclip_dagster.reporting.sweeps.page import render_sweep
from metaclip_dagster.reporting.sweeps.plots import plot_sweep
from metaclip_dagster.reporting.sweeps.sweep import describe_sweep
from metaclip_dagster.schemas import CLASS_SCORES, SCORES
from tests.metaclip_dagster.reporting.test_sweeps import cell, score_rows

SIZES = {
    "en": LanguageSize(1000, 50_000, {"20": 20.0, "inf": float("inf")}, {"20": 4000, "inf": 9000}),
    "zh": LanguageSize(300, 2_000, {"20": 7.0}, {"20": 100, "inf": 400}),
    "other": LanguageSize(40, 90, {"20": 3.0}, {"20": 30, "inf": 30}),
}


def in_languages(training_set: str, scores: Mapping[str, float], *, seed: int = 0, images: int = 500) -> TrainedCell:
    """A cell whose scores on birds are in several languages, English first."""
    base = cell(training_set, 0.5, seed=seed)
    tables = []
    for language, score in scores.items():
        rows = score_rows(training_set, base.model, {"birds": {"all": score}}, seed=seed).to_pylist()
        size = images if language == "en" else images - 100
        texts = {"language": language, "num_images": size, "num_templates": 0 if language == "hak" else 2}
        tables.append(pa.Table.from_pylist([row | texts for row in rows], SCORES))
    return TrainedCell(base.checkpoint, pa.concat_tables(tables))


def sweep_of(*cells: TrainedCell, baselines: pa.Table | None = None) -> dict[str, Any]:
    return describe_sweep(cells=cells, languages=SIZES, baselines=baselines)


def test_further_languages_change_nothing_but_the_part_that_is_theirs() -> None:
    scores = {"20": {"en": 0.3, "yue": 0.2, "hak": 0.9}, "inf": {"en": 0.25, "yue": 0.1, "hak": 0.05}}
    alone = sweep_of(*(in_languages(name, {"en": of_set["en"]}) for name, of_set in scores.items()))
    several = sweep_of(*(in_languages(name, of_set) for name, of_set in scores.items()))
    turned = sweep_of(
        *(in_languages(name, {k: of_set[k] for k in ("en", "hak", "yue")}) for name, of_set in scores.items())
    )
    assert alone["languages"] == [] != several["languages"]
    assert {**several, "languages": []} == alone
    assert several == turned
    baseline = pa.concat_tables([in_languages("inf", {"en": 0.6, "yue": 0.7}).scores])
    nobody = pa.nulls(baseline.num_rows, pa.string())
    baseline = baseline.set_column(baseline.schema.get_field_index("training_set"), "training_set", nobody)
    [described] = sweep_of(in_languages("20", {"en": 0.3}), baselines=baseline)["baselines"]
    assert {score["mean"] for score in described["scores"]} == {0.6}


def test_a_baseline_of_before_there_were_languages_stands_beside_a_new_one() -> None:
    new, old = (in_languages("inf", scores).scores for scores in ({"en": 0.6, "yue": 0.7}, {"en": 0.4}))
    assert new is not None
    assert old is not None
    old = old.set_column(old.schema.get_field_index("model"), "model", pa.repeat("old", old.num_rows))
    both = pa.concat_tables([new, old.drop_columns(["language", "num_templates"])], promote_options="default")
    sweep = sweep_of(in_languages("20", {"en": 0.3, "yue": 0.2}), baselines=both)
    assert {row["model"]: row["scores"][0]["mean"] for row in sweep["baselines"]} == {"tiny": 0.6, "old": 0.4}
    assert "old" not in {row["recipe"] for row in sweep["languages"]}


def test_each_language_stands_beside_its_list_and_the_set_that_its_t_keeps() -> None:
    cells = [in_languages(name, {"en": 0.3, "yue": 0.2, "hak": 0.1}) for name in ("20", "inf")]
    cells.append(in_languages("20", {"en": 0.4, "yue": 0.4, "hak": 0.1}, seed=1))
    sweep = sweep_of(*cells)
    facts = [
        [row[name] for name in ("language", "training_set", "entries", "matches", "t", "pairs")]
        for row in sweep["languages"]
    ]
    assert facts == [
        ["en", "20", 1000, 50_000, 20.0, 4000],
        ["en", "inf", 1000, 50_000, None, 9000],
        # Cantonese has no list of its own, and Hakka none at all.
        ["yue", "20", 300, 2_000, 7.0, 100],
        ["yue", "inf", 300, 2_000, None, 400],
        ["hak", "20", 40, 90, 3.0, 30],
        ["hak", "inf", 40, 90, None, 30],
    ]
    json.dumps(sweep, allow_nan=False)
    headings, *rows = language_table(sweep["languages"], sweep["tasks"])
    assert headings == ["Language", "Training set", "Entries", "Matches", "Its t", "Pairs", "birds, top-1; chance 1.0%"]
    assert rows[2][-1] == "30.0 ± 14.1%; 400 of 500 images"
    assert rows[4][-1] == "10.0 ± 0.0%; 400 of 500 images; names alone"
    plots = plot_sweep(sweep)
    assert "languages tiny" in plots
    page = render_sweep(sweep, plots)
    assert all(text in page for text in ("Scores by language", "names alone", "50,000"))


def test_a_task_is_read_in_its_own_language_which_comes_first_whatever_its_code() -> None:
    rows = [
        {"task": task, "language": language, "class_id": number, "acc1": 0.5}
        for task, languages in (("birds", ["ja", "de", "en"]), ("cars", ["en", "ja"]))
        for language in languages
        for number in range(3)
    ]
    in_own_language = keep_own_language(pa.Table.from_pylist(rows, CLASS_SCORES))
    assert {(row["task"], row["language"]) for row in in_own_language.to_pylist()} == {("birds", "ja"), ("cars", "en")}
    assert in_own_language["class_id"].to_pylist() == [0, 1, 2, 0, 1, 2]
    before = in_own_language.drop_columns(["language"])
    assert keep_own_language(before) == before


def test_one_models_scores_are_listed_by_language_where_there_are_two() -> None:
    scores = in_languages("20", {"en": 0.3, "de": 0.2}).scores
    assert scores is not None
    headings, rows = list_scores_by_language(scores)
    assert [row[:4] for row in rows] == [["de", "birds", "all", 0.2], ["en", "birds", "all", 0.3]]
    assert list_scores_by_language(scores.filter(pc.equal(scores["language"], "en"))) == (headings, [])
