"""The report on concepts: slopes that are known come out, chance gives none, and nothing vanishes unnamed."""

import io
import json
import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from metaclip_dagster.reporting.concepts.concepts import CountedSet, ScoredCell, describe_concepts
from metaclip_dagster.reporting.concepts.page import render_concepts
from metaclip_dagster.reporting.concepts.plots import plot_concepts
from metaclip_dagster.reporting.concepts.relations import bin_classes, relate, relate_within
from metaclip_dagster.reporting.concepts.tables import class_table, fit_table, language_table, suggestion_table
from metaclip_dagster.schemas import CLASS_SCORES
from tests.metaclip_dagster.pages import parse_harmless, strict

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=https://example.org/x onerror=alert(1)>',
    "[click](javascript:alert(1)) | **bold** `code`",
    "evil\u202egnp.exe\x1b[31m",
    r"$\frac{1$ 日本",
    "x" * 100_000,
]


def classes(accuracy: Sequence[float], names: Sequence[str] = (), task: str = "birds", images: int = 10) -> pa.Table:
    rows = [
        {
            "task": task,
            "class_id": at,
            "class_name": names[at] if names else f"class {at}",
            "part": None,
            "num_images": images,
            "acc1": share if images else None,
            "acc5": share if images else None,
        }
        for at, share in enumerate(accuracy)
    ]
    return pa.Table.from_pylist(rows, CLASS_SCORES)


def counted(training_set: str, counts: Sequence[int], names: Sequence[str] = (), language: str = "en") -> CountedSet:
    by_name = {(names[at] if names else f"class {at}", language): num for at, num in enumerate(counts)}
    return CountedSet(training_set, f"t = {training_set}", "training_sets", {language: 10_000}, by_name, by_name)


def describe(cells: Sequence[ScoredCell], sets: Sequence[CountedSet], **options: Any) -> dict[str, Any]:
    report = describe_concepts(cells=cells, sets=sets, **{"entries": (), "words": {}, "uncountable": {}, **options})
    assert strict(json.dumps(report, allow_nan=False)) == report
    return report


def test_a_line_that_accuracy_follows_is_the_slope_with_an_interval_that_holds_it() -> None:
    rng = np.random.default_rng(1)
    num_pairs = 10 ** rng.uniform(0, 4, 400)
    truth = 0.1 * np.log10(1 + num_pairs)
    drawn = rng.binomial(10, truth) / 10
    exact, noisy = relate(num_pairs, truth), relate(num_pairs, drawn)
    assert [exact[name] for name in ("slope", "pearson", "spearman")] == pytest.approx([0.1, 1, 1])
    assert noisy["slope"] == pytest.approx(np.polyfit(np.log10(1 + num_pairs), drawn, 1)[0])
    assert noisy["low"] < 0.1 < noisy["high"]


def test_shuffled_classes_give_intervals_that_cover_zero_as_often_as_they_say() -> None:
    rng = np.random.default_rng(2)
    num_pairs, accuracy = 10 ** rng.uniform(0, 4, 200), rng.binomial(5, 0.3, 200) / 5
    fits = [relate(num_pairs, rng.permutation(accuracy)) for _ in range(100)]
    assert sum(fit["low"] <= 0 <= fit["high"] for fit in fits) >= 88  # of 100 at 95%, fewer come 1 time in 250


def test_the_same_numbers_give_the_same_report_in_any_order_of_cells() -> None:
    counts, shares = [0, 1, 5, 20, 100, 1000], [0.0, 0.1, 0.1, 0.3, 0.2, 0.6]
    cells = [ScoredCell(t, "tiny", seed, 1000, classes(shares)) for t in ("20", "inf") for seed in (0, 1)]
    sets = [counted("20", counts), counted("inf", [3 * num for num in counts])]
    report = describe(cells, sets)
    assert report == describe(random.Random(0).sample(cells, 4), sets)
    assert [fit["slope_spread"] for fit in report["tasks"][0]["fits"]] == [0, 0]


def test_without_variation_or_with_few_classes_there_is_no_slope() -> None:
    for num_pairs in ([7] * 20, [0] * 20, [1, 10, 100, 1000], [0] * 97 + [90, 900, 9000]):
        fit = relate(np.array(num_pairs, float), np.linspace(0, 1, len(num_pairs)))
        assert (fit["slope"], fit["low"], fit["spearman"]) == (None, None, None)
        within = relate_within(np.array([num_pairs, [7] * len(num_pairs)], float).T, np.zeros((len(num_pairs), 2)))
        assert (within["slope"], within["low"]) == (None, None)
    assert relate(np.array([0] * 96 + [9] * 4, float), np.linspace(0, 1, 100))["low"] is not None
    flat = relate(np.arange(20.0), np.zeros(20))
    assert (flat["slope"], flat["pearson"]) == (0.0, None)


def test_within_classes_neither_easy_classes_nor_better_sets_count() -> None:
    rng = np.random.default_rng(3)
    times_seen = 10 ** rng.uniform(0, 4, (100, 3))
    easiness, merit = np.log10(1 + times_seen).mean(axis=1, keepdims=True) ** 2, [0, 0.5, -0.5]
    accuracy = 0.05 * np.log10(1 + times_seen) + easiness + merit
    fit = relate_within(times_seen, accuracy)
    assert [fit["slope"], fit["low"], fit["high"]] == pytest.approx([0.05] * 3)
    assert relate_within(times_seen[:, :1], accuracy[:, :1])["slope"] is None


def test_the_interval_within_classes_covers_zero_as_often_as_it_says_where_sets_differ_in_merit() -> None:
    rng = np.random.default_rng(4)
    times_seen = 10 ** (rng.uniform(0, 3, (30, 1)) + rng.uniform(0, 1, (30, 3)) * [1, 2, 3])
    fits = [relate_within(times_seen, rng.binomial(5, [0.1, 0.3, 0.6], (30, 3)) / 5) for _ in range(100)]
    assert sum(fit["low"] <= 0 <= fit["high"] for fit in fits) >= 85


def test_bins_hold_every_class_and_image_once() -> None:
    counts = np.array([0, 0, 1, 9, 10, 99, 100, 1000, 999], float)
    bins = bin_classes(counts, np.full(9, 0.5), np.full(9, 4.0))
    assert [(it["from"], it["to"], it["classes"], it["images"]) for it in bins] == [
        (0, 0, 2, 8), (1, 9, 2, 8), (10, 99, 2, 8), (100, 999, 2, 8), (1000, 9999, 1, 4),
    ]  # fmt: skip
    assert all(it["low"] < 0.5 < it["high"] for it in bins)


def test_starved_classes_are_those_with_few_pairs_and_low_scores_and_lead_to_what_brings_more() -> None:
    names = ["rare bird", "thin", "common", "good", "fine", "well", "nice", "great"]
    shares = [0.0, 0.0, 0.0, 0.9, 0.9, 0.9, 0.9, 0.9]
    sets = [
        counted("20", [2, 2, 400, 50, 50, 50, 50, 50], names),
        counted("inf", [200, 90, 400, 60, 60, 60, 60, 60], names),
    ]
    cells = [
        ScoredCell("20", "tiny", 0, 1000, classes(shares, names)),
        ScoredCell("inf", "tiny", 0, 1000, classes([share / 2 for share in shares], names)),
    ]
    report = describe(cells, sets, entries=names[1:], words={"rare bird": ["rare"]}, spell=str.upper)
    starved, failing = (class_table(report, kind)[1:] for kind in ("starved", "failing"))
    assert [row[0] for row in starved] == ["rare bird", "thin"]
    assert [row[0] for row in failing] == ["common"]
    suggestions = {row[0]: row for row in suggestion_table(report)[1:]}
    assert [*suggestions] == ["THIN", "RARE BIRD", "RARE"]
    assert suggestions["RARE BIRD"][-1] == "22 at t = 20"  # the 2, and 20 of 200 of the other 198
    assert suggestions["THIN"][1] == "entry thinned by t"
    assert (
        "2 classes are starved (few pairs, low accuracy), and 1 fails although it has many pairs."
        in report["findings"][2]
    )
    assert report["findings"][-1].startswith("3 entries, or a larger t for one, are suggested")
    alone = describe(cells, [counted("20", [2, 2, 400, 50, 50, 50, 50, 50], names)], entries=names[1:])
    assert alone["findings"][-1].startswith(
        "1 entry, or a larger t for one, is suggested for starved classes; 0 of them"
    )


@pytest.mark.parametrize(("num_pairs", "kind"), [(100, "failing"), (3, "starved"), (0, "starved")])
def test_where_all_classes_have_equally_many_pairs_ten_of_them_part_starved_from_failing(
    num_pairs: int, kind: str
) -> None:
    shares = [0.0, 0.0, 0.5, 0.5, 0.5, 0.5]
    report = describe([ScoredCell("20", "tiny", 0, 1000, classes(shares))], [counted("20", [num_pairs] * 6)])
    [task] = report["tasks"]
    assert {name: task[name] for name in ("starved", "failing")} == {"starved": [], "failing": [], kind: [0, 1]}
    assert "nearly all with equally many pairs, so there is no slope" in report["findings"][0]
    render_concepts(report, plot_concepts(report))


@pytest.mark.parametrize(("images", "says"), [(1, "With 1 test image a class"), (9, "With 9 test images"), (10, "")])
def test_the_findings_doubt_single_classes_where_each_has_few_images(images: int, says: str) -> None:
    shares = [0.0, 0.0, 1.0, 0.0, 1.0, 1.0]
    cell = ScoredCell("20", "tiny", 0, 1000, classes(shares, images=images))
    findings = describe([cell], [counted("20", [0, 1, 5, 20, 100, 1000])])["findings"]
    assert says in findings[1]
    assert ("luck" in findings[1]) == bool(says)


def test_each_language_has_a_slope_of_its_own_where_there_are_several() -> None:
    counts, shares = [0, 1, 5, 20, 100, 1000], [0.0, 0.1, 0.1, 0.3, 0.2, 0.6]
    en, de = counted("20", counts), counted("20", counts[::-1], language="de")
    both = CountedSet("20", "t = 20", "training_sets", {**en.pairs, **de.pairs}, {**en.as_spelled, **de.as_spelled}, {})
    report = describe([ScoredCell("20", "tiny", 0, 1000, classes(shares))], [both])
    [fit] = report["tasks"][0]["fits"]
    assert fit["by_language"]["en"]["slope"] == pytest.approx(relate(np.array(counts), np.array(shares))["slope"])
    assert fit["by_language"]["de"]["slope"] < 0
    assert [row[2] for row in language_table(report)[1:]] == ["en", "de"]


def test_what_has_no_image_name_or_score_is_left_out_by_name() -> None:
    assert "nothing is known" in describe([], [])["findings"][0]
    shares = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    names = ["...", "b", "c", "d", "e", "f"]
    empty = classes([0.0], task="empty", images=0)
    cells = [ScoredCell("20", "tiny", 0, 1000, pa.concat_tables([classes(shares, names), empty]))]
    sets = [counted("20", [9, 0, 10, 20, 30, 40], names)]
    report = describe(
        cells, sets, uncountable={"...": "no word"}, left_out=["tiny on inf is not scored"], without_classes=["coco"]
    )
    birds, no_images = report["tasks"]
    assert birds["uncountable"] == {"...": "no word"}
    assert birds["fits"][0]["classes"] == 5
    assert (no_images["without_images"], no_images["fits"], no_images["best"]) == (1, [], None)
    page = parse_harmless(render_concepts(report, plot_concepts(report))).text()
    for sentence in ("tiny on inf is not scored", "coco has no classes", "1 classes without a test image", "no word"):
        assert sentence in page


def test_hostile_names_are_text_in_the_page_and_plots_are_900_wide() -> None:
    names = [*HOSTILE, "a", "b"]
    shares = [0.0, 0.1, 0.0, 0.3, 0.0, 0.5, 0.9, 0.2]
    cells = [
        ScoredCell(t, HOSTILE[4], seed, 1000, classes(shares, names, HOSTILE[0]))
        for t in ("20", "online-20")
        for seed in (0, 1)
    ]
    sets = [counted(t, [0, 1, 2, 3, 400, 5, 6, 0], names) for t in ("20", "online-20")]
    words = {name: [name[:50]] for name in names}
    report = describe(cells, sets, words=words, left_out=HOSTILE, without_classes=HOSTILE)
    plots = plot_concepts(report)
    page = render_concepts(report, plots)
    parse_harmless(page)
    assert len(page) < 1_000_000
    assert {Image.open(io.BytesIO(png)).width for png in plots.values()} == {900}
    assert len(fit_table(report)) == 3


def test_the_page_says_how_many_cells_it_does_not_name() -> None:
    cell, sets = ScoredCell("20", "tiny", 0, 1000, classes([0.5] * 6)), [counted("20", [1] * 6)]
    for num, says in ((30, ""), (31, "1 more are in the JSON"), (1040, "1,010 more are in the JSON")):
        report = describe([cell], sets, left_out=[f"cell {number}." for number in range(num)])
        page = render_concepts(report, {})
        assert "cell 29." in page
        assert "cell 30." not in page
        assert says in page
        assert bool(says) is ("more are in the JSON" in page)
