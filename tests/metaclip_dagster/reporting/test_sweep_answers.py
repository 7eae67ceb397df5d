"""Laws of comparing models image by image: what intervals hold, and which images stand for a class."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metaclip_dagster.reporting.html.intervals import LEVEL, bound_difference, bound_share
from metaclip_dagster.reporting.html.thumbnails import Picture, encode_thumbnail
from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.page import describe_pictures, render_sweep
from metaclip_dagster.reporting.sweeps.sweep import describe_sweep
from metaclip_dagster.schemas import CLASS_SCORES, SAMPLE_PREDICTIONS
from tests.metaclip_dagster.pages import parse_harmless
from tests.metaclip_dagster.reporting.test_sweeps import cell, score_rows

NAMES = ["owl", "tit", "wren"]
PARTS = ["tail", "tail", "head"]
CLASS_ID = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]


def answered(training_set: str, answers: Sequence[int], *, seed: int = 0) -> TrainedCell:
    """A cell whose scores, scores of classes and predictions are all of these answers."""
    classes, right = np.array(CLASS_ID), np.array(answers) == CLASS_ID
    shares = {
        part: float(right[np.isin(classes, of_part)].mean())
        for part, of_part in (("all", [0, 1, 2]), ("tail", [0, 1]), ("head", [2]))
    }
    rows = score_rows(training_set, f"tiny-s{seed}" if seed else "tiny", {"birds": shares}, seed=seed).to_pylist()
    scores = pa.Table.from_pylist([row | {"num_images": len(CLASS_ID)} for row in rows])
    of_classes = [
        {"task": "birds", "class_id": k, "class_name": NAMES[k], "part": PARTS[k], "num_images": 4, "acc5": 1.0}
        | {"acc1": float(right[classes == k].mean())}
        for k in range(3)
    ]
    predictions = pa.Table.from_pylist(
        [
            {"task": "birds", "sample": i, "class_id": k, "predicted_class_id": answer, "rank": int(answer != k)}
            for i, (k, answer) in enumerate(zip(CLASS_ID, answers, strict=True))
        ][::-1],
        SAMPLE_PREDICTIONS,
    )
    return replace(
        cell(training_set, 0.5, seed=seed, classes=pa.Table.from_pylist(of_classes, CLASS_SCORES)),
        scores=scores,
        read_predictions={"birds": predictions}.get,
    )


UNBALANCED = [2, 1, 2, 2, 1, 1, 2, 2, 2, 2, 2, 2]
BALANCED = [2, 1, 0, 0, 1, 1, 1, 2, 2, 2, 1, 2]


# Intervals


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.5, 0.97])
def test_a_shares_interval_holds_it_as_often_as_it_says(share: float) -> None:
    """Also for a mean over three models that find the same images hard."""
    generator = np.random.default_rng(0)
    of_image = generator.beta(2 * share, 2 * (1 - share), (2000, 200, 1))  # how many of all models name it right
    means = (generator.random((2000, 200, 3)) < of_image).mean(axis=(1, 2))
    for shares in (generator.binomial(200, share, 2000) / 200, means):
        holds = [low <= share <= high for low, high in (bound_share(each, 200) for each in shares.tolist())]
        assert np.mean(holds) > LEVEL - 0.025


def draw_differences(generator: np.random.Generator, gained: float, lost: float, num: int) -> npt.NDArray[np.float64]:
    return generator.choice([1.0, 0.0, -1.0], size=num, p=[gained, 1 - gained - lost, lost])


@pytest.mark.parametrize(("gained", "lost"), [(0.02, 0.02), (0.1, 0.05), (0.3, 0.1), (0.03, 0.0)])
def test_the_interval_of_a_difference_holds_it_as_often_as_it_says(gained: float, lost: float) -> None:
    generator = np.random.default_rng(1)
    bounds = [bound_difference(draw_differences(generator, gained, lost, 200)) for _ in range(2000)]
    assert np.mean([low <= gained - lost <= high for low, high in bounds]) > LEVEL - 0.025


@given(st.lists(st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]), min_size=1))
def test_to_swap_the_models_mirrors_the_interval_and_equal_answers_have_none_in_its_midst(drawn: list[float]) -> None:
    differences = np.array(drawn)
    low, high = bound_difference(differences)
    assert bound_difference(-differences) == pytest.approx((-high, -low))
    assert -1 <= low < high <= 1
    low, high = bound_difference(0 * differences)
    assert low == pytest.approx(-high)
    assert low < 0


@given(st.integers(0, 50), st.integers(1, 10))
def test_more_images_narrow_the_interval_and_it_always_holds_the_share(num_right: int, times: int) -> None:
    narrow, wide = bound_share(num_right / 50, 50 * (times + 1)), bound_share(num_right / 50, 50 * times)
    assert narrow[1] - narrow[0] < wide[1] - wide[0]
    assert 0 <= narrow[0] <= num_right / 50 + 1e-12
    assert num_right / 50 - 1e-12 <= narrow[1] <= 1


# Answers


def paired(sweep: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    return {(row["training_set"], row["part"]): row for row in sweep["comparisons"][0]["paired"]}


def test_differences_of_single_images_add_up_to_those_of_scores_over_seeds_that_both_have() -> None:
    cells = [answered("20", BALANCED), answered("20", CLASS_ID, seed=1), answered("20", UNBALANCED, seed=2)]
    controls = [answered("inf", UNBALANCED, seed=seed) for seed in (0, 1)]
    sweep = describe_sweep(cells=[*cells, *controls, answered("online-20", UNBALANCED)])
    rows, [comparison] = paired(sweep), sweep["comparisons"]
    assert [*rows] == [(key, part) for key in ("20", "online-20") for part in ("all", "tail", "head")]
    row = rows["20", "all"]
    assert (row["num_images"], row["seeds"]) == (12, [0, 1])
    assert row["difference"] == pytest.approx(comparison["best"]["mean"] - comparison["control"]["mean"])
    assert rows["20", "tail"]["difference"] > 0 > rows["online-20", "tail"]["interval"][0]
    assert rows["online-20", "tail"]["difference"] == 0


def test_the_findings_say_whether_other_images_could_turn_the_difference() -> None:
    certainty = describe_sweep(cells=[answered("20", BALANCED), answered("inf", UNBALANCED)])["findings"][1]
    assert "On the same 12 test images the difference is +16.7 points; its 95% interval over" in certainty
    assert "which holds 0: other images could turn it." in certainty
    certainty = describe_sweep(cells=[answered("20", CLASS_ID), answered("inf", [1] * 4 + [2] * 4 + [0] * 4)])
    assert "the difference is +100.0 points" in certainty["findings"][1]
    assert "other images" not in certainty["findings"][1]


def test_cells_scored_before_answers_were_kept_are_named_and_the_rest_is_still_there() -> None:
    old = replace(answered("100", BALANCED), read_predictions=None)
    other = replace(answered("online-20", BALANCED), read_predictions=answered("20", UNBALANCED).read_predictions)
    sweep = describe_sweep(cells=[answered("20", BALANCED), answered("inf", UNBALANCED), old, other])
    assert sweep["comparisons"][0]["unanswered"] == ["tiny on 100", "tiny on online-20"]
    assert {key for key, _ in paired(sweep)} == {"20"}
    bare = describe_sweep(cells=[replace(old, read_predictions=None), cell("inf", 0.2, classes=old.class_scores)])
    assert (bare["comparisons"][0]["paired"], bare["classes"]["images"]) == ([], None)


def test_the_findings_say_of_which_seeds_a_difference_is_where_not_all_have_answers() -> None:
    cells = [answered(key, answers, seed=n) for key, answers in (("20", CLASS_ID), ("inf", UNBALANCED)) for n in (0, 1)]
    assert "at seed" not in describe_sweep(cells=cells)["findings"][1]
    cells[1] = replace(answered("20", UNBALANCED, seed=1), read_predictions=None)
    certainty = describe_sweep(cells=cells)["findings"][1]
    assert "difference is +50.0 points at seed 0 alone, as the others' answers were not kept; its 95%" in certainty


def test_images_that_balancing_turned_stand_first_with_the_name_that_each_set_gave() -> None:
    cells = [answered("20", BALANCED), answered("inf", UNBALANCED), answered("online-20", CLASS_ID)]
    images = describe_sweep(cells=cells)["classes"]["images"]
    assert [(image["sample"], image["class_name"]) for image in images["helped"]] == [
        *((sample, "owl") for sample in (2, 3, 0)),
        *((sample, "tit") for sample in (6, 4, 5)),
    ]
    assert [(image["sample"], image["class_name"]) for image in images["hurt"]] == [
        (sample, "wren") for sample in (10, 8, 9)
    ]
    assert images["helped"][0]["answers"] == [
        {"training_set": "20", "class_name": "owl", "right": True},
        {"training_set": "inf", "class_name": "wren", "right": False},
        {"training_set": "online-20", "class_name": "owl", "right": True},
    ]


def test_the_page_shows_each_image_with_the_names_that_it_was_given_and_hostile_names_do_nothing() -> None:
    hostile = "<script>alert(1)</script>\u202e"
    cells = [answered("20", BALANCED), answered("inf", UNBALANCED)]
    sweep = json.loads(json.dumps(describe_sweep(cells=cells)).replace('"owl"', json.dumps(hostile)))
    thumbnail = encode_thumbnail(Image.new("RGB", (30, 20), "red"))
    shown = {number: Picture(f"birds/{number}", text=hostile, thumbnail=thumbnail) for number in range(8)}
    page = parse_harmless(render_sweep(sweep, {}, shown))
    assert len(page.css("#classes .gallery img")) == 6
    rows = [[cell.text(strip=True) for cell in row.css("td")] for row in page.css("#classes tbody tr")]
    assert ["<script>alert(1)</script>⟨U+202E⟩", "✓ right", "wren"] in rows
    assert ["wren", "tit", "✓ right"] in rows  # without a picture
    assert not parse_harmless(render_sweep(sweep, {}, shown, mode="off")).css("#classes img")
    assert "Where a picture is missing" not in page.text()
    without = {number: replace(picture, thumbnail=None) for number, picture in shown.items()}
    assert "Where a picture is missing" in parse_harmless(render_sweep(sweep, {}, without)).text()
    assert [picture.note for picture in describe_pictures(sweep, shown, "helped")][:1] == ["20: right; inf: wren"]
