"""The sweep report: what it compares, what it leaves out and says so, and that its numbers are numpy's."""

import io
import itertools
import json
import math
import random
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.costs import PartitionCost
from metaclip_dagster.reporting.sweeps.page import render_sweep
from metaclip_dagster.reporting.sweeps.plots import plot_sweep
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from metaclip_dagster.reporting.sweeps.scores import mean_over_tasks
from metaclip_dagster.reporting.sweeps.sweep import SetFacts, describe_sweep
from metaclip_dagster.reporting.sweeps.tables import sweep_table
from metaclip_dagster.schemas import CLASS_SCORES, SCORES
from tests.metaclip_dagster.pages import parse_harmless, strict

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=https://example.org/x onerror=alert(1)>',
    "</style></td></table><script src=//example.org></script>",
    "[click](javascript:alert(1)) | **bold** `code`",
    "\x1b[31mred\x1b[0m\x00\x07\n",
    "evil\u202egnp.exe",
    r"$\frac{1$ 日本 ",
    "x" * 100_000,
]
Parts = Mapping[str, float]


def score_rows(
    training_set: str | None,
    model: str,
    tasks: Mapping[str, Parts],
    *,
    seed: int | None = 0,
    pairs_seen: int | None = 1000,
    chance: float | None = 0.01,
    version: str = "1",
    metrics: Sequence[str] = ("acc1", "main"),
) -> pa.Table:
    rows = [
        {
            "task": task,
            "part": part,
            "metric": metric,
            "score": score,
            "chance": chance,
            "num_classes": 100,
            "num_images": 500,
            "training_set": training_set,
            "model": model,
            "seed": seed,
            "pairs_seen": pairs_seen,
            "task_version": version,
        }
        for task, parts in tasks.items()
        for part, score in parts.items()
        for metric in metrics
    ]
    return pa.Table.from_pylist(rows, SCORES)


def class_rows(scores: Sequence[tuple[float, float]], task: str = "birds", names: Sequence[str] = ()) -> pa.Table:
    rows = [
        {
            "task": task,
            "class_id": class_id,
            "class_name": names[class_id] if names else f"class{class_id}",
            "part": (names[class_id] if names else "tail") if class_id else None,
            "num_images": 5,
            "acc1": acc1,
            "acc5": acc5,
        }
        for class_id, (acc1, acc5) in enumerate(scores)
    ]
    return pa.Table.from_pylist(rows, CLASS_SCORES)


def cell(
    training_set: str,
    scores: float | Parts | Mapping[str, Parts] | None,
    *,
    recipe: str = "tiny",
    seed: int = 0,
    pairs_seen: int = 1000,
    scored_at: int | None = None,
    losses: Sequence[Sequence[float]] = (),
    classes: pa.Table | None = None,
    trained_by: Mapping[str, Any] | None = None,
    outdated: str | None = None,
    pool: PoolVersion | None = None,
    **row_options: Any,
) -> TrainedCell:
    model = f"{recipe}-s{seed}" if seed else recipe
    checkpoint = {
        "training_set": training_set,
        "model": model,
        "architecture": "a",
        "seed": seed,
        "path": "p",
        "pairs_seen": pairs_seen,
        "budget": 1000,
        "loss": losses[-1][1] if losses else math.nan,
        "sha256": "00",
        "recipe": json.dumps(trained_by or {"lr": 0.1}),
        "set_version": "1",
    }
    if scores is None:
        return TrainedCell(checkpoint, losses=losses, outdated=outdated, pool=pool)
    tasks: Any = {"birds": {"all": scores}} if isinstance(scores, float) else scores  # narrowed below
    if not isinstance(next(iter(tasks.values())), Mapping):
        tasks = {"birds": tasks}
    table = score_rows(training_set, model, tasks, seed=seed, pairs_seen=scored_at or pairs_seen, **row_options)
    return TrainedCell(checkpoint, table, classes, losses, outdated, pool)


def mean_of(sweep: Mapping[str, Any], training_set: str, part: str = "all", recipe: int = 0) -> Mapping[str, Any]:
    [row] = [row for row in sweep["recipes"][recipe]["sets"] if row["training_set"] == training_set]
    [score] = [s for s in row["scores"] if (s["task"], s["part"], s["metric"]) == ("birds", part, "acc1")]
    return dict(score)


any_score = st.floats(0, 1) | st.just(math.nan)


@given(
    st.dictionaries(
        st.tuples(st.sampled_from(["5", "20", "inf", "online-5", "random"]), st.integers(0, 3)),
        st.tuples(any_score, any_score, st.sampled_from([1000, 2000]), st.floats()),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_any_cells_in_any_order_give_the_same_strict_json_with_numpys_mean_and_spread(
    drawn: dict[tuple[str, int], tuple[float, float, int, float]], shuffler: random.Random
) -> None:
    cells = [
        cell(key, {"all": score, "tail": tail}, seed=seed, pairs_seen=seen, losses=[(1, loss), (2, 1.0)])
        for (key, seed), (score, tail, seen, loss) in drawn.items()
    ]
    sweep = describe_sweep(cells=cells)
    shuffled = [
        TrainedCell(c.checkpoint, c.scores and c.scores.take(shuffler.sample(range(4), 4)), None, c.losses)
        for c in cells
    ]
    shuffler.shuffle(shuffled)
    assert strict(json.dumps(sweep)) == json.loads(json.dumps(describe_sweep(cells=shuffled)))
    for recipe in sweep["recipes"]:
        for row in recipe["sets"]:
            of_set = [drawn[row["training_set"], seed] for seed in range(4) if (row["training_set"], seed) in drawn]
            for index, part in enumerate(("all", "tail")):
                of_part = [(scores[:2][index], scores[2]) for scores in of_set]
                values = [value for value, seen in of_part if seen == recipe["pairs_seen"] and not math.isnan(value)]
                scores = [s for s in row["scores"] if (s["part"], s["metric"]) == (part, "acc1")]
                assert [s["mean"] for s in scores] == ([pytest.approx(np.mean(values))] if values else [])
                assert [s["spread"] for s in scores] == (
                    [pytest.approx(np.std(values, ddof=1)) if len(values) > 1 else None] if values else []
                )
    assert {c["pairs_seen"] for c in sweep["cells"] if not c["not_compared"]} == {
        recipe["pairs_seen"] for recipe in sweep["recipes"]
    }


def test_the_first_sentence_tells_both_scores_with_chance_and_by_part() -> None:
    control, best = ({"all": 0.031, "tail": 0.019, "head": 0.079}, {"all": 0.073, "tail": 0.08, "head": 0.045})
    sweep = describe_sweep(cells=[cell("inf", control), cell("20", best)])
    assert sweep["findings"] == [
        "At 1,000 seen pairs, t = 20 scores 7.3% top-1 on birds against 3.1% unbalanced (chance 1.0%): "
        "8.0% against 1.9% on the tail, 4.5% against 7.9% on the head.",
        "That is one seed each: no spread is known, and a small difference may be chance.",
    ]


def test_it_says_so_when_balancing_did_not_win() -> None:
    sweep = describe_sweep(cells=[cell("inf", 0.3), cell("20", 0.2), cell("100", 0.25)])
    assert sweep["findings"][0].startswith(
        "At 1,000 seen pairs, balancing did not win: t = 100, the best of 2, scores 25.0% top-1"
    )
    assert sweep["comparisons"][0]["won"] is False
    assert describe_sweep(cells=[cell("inf", 0.3), cell("20", 0.3)])["comparisons"][0]["won"] is False


def test_seeds_are_told_with_their_spread_and_one_by_one() -> None:
    scores = {"inf": [0.30, 0.34, 0.32], "20": [0.31, 0.33, 0.35]}
    cells = [cell(key, score, seed=seed) for key, of_set in scores.items() for seed, score in enumerate(of_set)]
    sweep = describe_sweep(cells=cells)
    assert [recipe["recipe"] for recipe in sweep["recipes"]] == ["tiny"]
    certainty = sweep["findings"][1]
    assert "means of 3 seeds, with a standard deviation of 2.0 and 2.0 points" in certainty
    assert "t = 20 is ahead in 2 of 3, by -1.0 to +3.0 points" in certainty
    assert "smaller than the spread over seeds" in certainty
    assert "no spread is known" not in certainty


def test_scores_near_chance_are_called_so() -> None:
    assert "their order means little" in describe_sweep(cells=[cell("inf", 0.011), cell("20", 0.025)])["findings"][1]
    assert "their order means little" not in describe_sweep(cells=[cell("inf", 0.01), cell("20", 0.1)])["findings"][1]


@pytest.mark.parametrize(("best", "means_little"), [(0.74, True), (0.76, False)])
def test_of_two_classes_halfway_to_all_right_is_clear_of_chance(best: float, means_little: bool) -> None:
    sweep = describe_sweep(cells=[cell("inf", 0.5, chance=0.5), cell("20", best, chance=0.5)])
    assert ("No score is above 75.0%" in sweep["findings"][1]) is means_little


def test_a_cell_that_saw_other_pairs_is_named_and_not_compared() -> None:
    cells = [cell("inf", 0.1), cell("20", 0.2), cell("20", 0.9, seed=1, pairs_seen=500), cell("100", 0.8, pairs_seen=1)]
    sweep = describe_sweep(cells=cells)
    assert mean_of(sweep, "20")["values"] == [0.2]
    assert [row["training_set"] for row in sweep["recipes"][0]["sets"]] == ["20", "inf"]
    assert sweep["findings"][-1] == (
        "Kept out of every comparison: tiny-s1 on 20 saw 500 pairs, not 1,000; tiny on 100 saw 1 pairs, not 1,000."
    )


def test_recipes_of_other_budgets_are_each_compared_within_themselves() -> None:
    cells = [cell(key, 0.1, recipe=recipe, pairs_seen=n) for key in ("inf", "20") for recipe, n in (("a", 5), ("b", 9))]
    sweep = describe_sweep(cells=cells)
    assert [(comparison["recipe"], comparison["pairs_seen"]) for comparison in sweep["comparisons"]] == [
        ("a", 5),
        ("b", 9),
    ]
    assert all(c["not_compared"] is None for c in sweep["cells"])
    rows = [row[0] + row[1] for row in sweep_table(sweep)[1:]]
    assert rows == ["20a", "infa", "20b", "infb", "chance"]


def test_only_seeds_that_both_sides_have_decide_who_won() -> None:
    """The control has the lucky seed alone: at that seed it is ahead."""
    cells = [cell("20", {"all": score, "tail": score / 2}, seed=seed) for seed, score in enumerate((0.1, 0.3, 0.4))]
    sweep = describe_sweep(cells=[*cells, cell("inf", {"all": 0.2, "tail": 0.1})])
    comparison = sweep["comparisons"][0]
    assert (comparison["won"], comparison["best"]["mean"], comparison["control"]["mean"]) == (False, 0.1, 0.2)
    assert "balancing did not win: t = 20 scores 10.0%" in sweep["findings"][0]
    assert "5.0% against 10.0% on the tail" in sweep["findings"][0]
    assert sweep["findings"][1].startswith("Only seeds that both have are compared. That is one seed each")
    apart = describe_sweep(cells=[cell("20", 0.3, seed=1), cell("inf", 0.2)])
    assert apart["findings"][1].startswith("The two have no seed in common.")


def test_a_cell_of_another_recipe_under_the_same_name_is_named_and_not_compared() -> None:
    odd = cell("100", 0.9, trained_by={"lr": 0.2, "wd": 1})
    sweep = describe_sweep(cells=[cell("inf", 0.1), cell("20", 0.2), odd])
    assert sweep["findings"][-1] == (
        "Kept out of every comparison: tiny on 100 was trained with lr 0.2, not 0.1, wd 1, not None."
    )
    assert [row["training_set"] for row in sweep["recipes"][0]["sets"]] == ["20", "inf"]


def test_an_outdated_cell_counts_for_nothing_and_says_why() -> None:
    cells = [cell(key, 0.9, outdated="has scores of other weights", version="2") for key in ("20", "100", "online-20")]
    sweep = describe_sweep(cells=[*cells, cell("inf", 0.1), cell("20", 0.2, seed=1)])
    assert [c["training_set"] for c in sweep["cells"] if c["not_compared"] is None] == ["20", "inf"]
    assert "tiny on 100 has scores of other weights" in sweep["findings"][-1]
    assert sweep["comparisons"][0]["best"]["mean"] == 0.2


def test_scores_over_two_versions_of_a_task_are_not_compared() -> None:
    cells = [cell(key, 0.1 * n, version="new" if key == "100" else "old") for n, key in enumerate(["inf", "20", "100"])]
    baselines = [
        score_rows(None, f"B{version}", {"birds": {"all": 0.9}}, seed=None, pairs_seen=None, version=version)
        for version in ("old", "new")
    ]
    sweep = describe_sweep(cells=cells, baselines=pa.concat_tables(baselines))
    assert sweep["findings"][-1] == (
        "Kept out of every comparison: tiny on 100 was scored on another version of birds: score it again; "
        "baseline Bnew was scored on another version of birds: score it again."
    )
    assert [(b["model"], bool(b["scores"])) for b in sweep["baselines"]] == [("Bnew", False), ("Bold", True)]
    alone = describe_sweep(cells=[], baselines=pa.concat_tables(baselines))["baselines"]
    assert sum(bool(baseline["scores"]) for baseline in alone) == 1


def test_a_task_that_came_later_does_not_take_the_headline() -> None:
    both: dict[str, Parts] = {"birds": {"all": 0.1}, "zebras": {"all": 0.9, "tail": 0.9, "head": 0.9}}
    sweep = describe_sweep(cells=[cell("inf", 0.1), cell("20", 0.2), cell("100", both)])
    assert [task["task"] for task in sweep["tasks"]] == ["birds", "zebras"]
    assert "t = 20, the best of" not in sweep["findings"][0]
    assert "t = 20 scores 20.0% top-1 on birds" in sweep["findings"][0]


def test_the_headline_is_the_tasks_own_metric() -> None:
    def scored(key: str, per_class: float) -> TrainedCell:
        plain = cell(key, 0.5)
        main = score_rows(key, "tiny", {"birds": {"all": per_class}}, metrics=["mean_per_class", "main"])
        top1 = score_rows(key, "tiny", {"birds": {"all": 1 - per_class}}, metrics=["acc1"])
        return TrainedCell(plain.checkpoint, pa.concat_tables([top1, main]))

    sweep = describe_sweep(cells=[scored("inf", 0.2), scored("20", 0.3)])
    assert "t = 20 scores 30.0% mean per class on birds against 20.0% unbalanced" in sweep["findings"][0]
    assert sweep_table(sweep)[0][3] == "mean per class"
    assert plot_sweep(sweep)


def test_what_is_unscored_or_scored_with_other_weights_is_named() -> None:
    cells = [cell("inf", 0.1), cell("20", None), cell("100", 0.9, scored_at=999)]
    sweep = describe_sweep(cells=cells)
    assert sweep["findings"][-1] == (
        "Kept out of every comparison: tiny on 20 is trained but not scored; "
        "tiny on 100 has scores of other weights: score it again."
    )
    assert "no balanced cell is there to compare it with" in sweep["findings"][0]
    assert [row[0] for row in sweep_table(sweep)] == ["t", "20", "100", "inf", "chance"]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ([], "No cell has been scored yet"),
        ([cell("20", None)], "No cell has been scored yet"),
        ([cell("20", 0.5)], "t = 20 scores 50.0% top-1 on birds (chance 1.0%); no unbalanced control is there"),
        ([cell("inf", 0.5)], "unbalanced (t = inf) scores 50.0% top-1 on birds (chance 1.0%); no balanced cell"),
        ([cell("inf", 0.5), cell("online-20", 0.6)], "online, t = 20 scores 60.0% top-1 on birds against 50.0%"),
        ([cell("random", 0.5)], "no cell has a score on birds"),
        ([cell("20", math.nan)], "no cell has a score on birds"),
    ],
)
def test_missing_cells_are_named_and_the_rest_is_still_told(cells: list[TrainedCell], says: str) -> None:
    sweep = describe_sweep(cells=cells, missing=["100 | tiny-s2", "inf | tiny-s9"])
    assert says in sweep["findings"][0]
    assert "Not there yet (2): 100 | tiny-s2, inf | tiny-s9." in sweep["findings"]
    page = render_sweep(strict(json.dumps(sweep)), plot_sweep(sweep))
    assert [node.text() for node in LexborHTMLParser(page).css("#training li")] == ["100 | tiny-s2", "inf | tiny-s9"]
    assert len({len(row) for row in sweep_table(sweep)}) == 1


def test_training_sets_stand_in_the_order_of_t_whatever_comes_first() -> None:
    names = ["20", "100", "inf", "online-20", "online-100", "random"]
    facts = SetFacts(10, 9, 5, {"not_found": 1})
    for order in itertools.islice(itertools.permutations(names), 0, None, 97):
        sweep = describe_sweep(cells=[], sets=dict.fromkeys(order, facts))
        assert [row["training_set"] for row in sweep["sets"]] == names
    assert [row["t"] for row in sweep["sets"]] == ["20", "100", "inf", "20", "100", None]
    assert sweep["sets"][0]["share_failed"] == pytest.approx(1 / 6)


OLD_POOL = PoolVersion(("01", "02"), "entries of then", "counts of then")
NEW_POOL = PoolVersion(("01", "02", "03"), "entries of now", "counts of now")


def test_cells_and_sets_of_another_pool_are_kept_out_and_named() -> None:
    pools = {"20": NEW_POOL, "50": NEW_POOL, "100": OLD_POOL, "inf": OLD_POOL, "online-20": OLD_POOL}
    sets = {name: SetFacts(10, 9, 5, pool=pool, version=f"v{name}") for name, pool in pools.items()}
    cells = [cell(name, 0.1 * number, pool=pools[name]) for number, name in enumerate(pools, start=1)]
    costs = [PartitionCost("subsets", "20", 1.0, 1.0, NEW_POOL), PartitionCost("subsets", "100", 2.0, 2.0, OLD_POOL)]
    sweep = describe_sweep(cells=cells, sets=sets, costs=[*costs, PartitionCost("baselines", "a:b", 4.0, 4.0)])
    assert [(pool["compared"], pool["training_sets"]) for pool in sweep["pools"]] == [
        (True, ["100", "inf", "online-20"]),
        (False, ["20", "50"]),
    ]
    why = {row["training_set"]: row["not_compared"] for row in sweep["cells"]}
    apart = "is of another pool (snapshots 01, 02, 03; entries entries ; counts counts o)"
    assert why == {"20": apart, "50": apart, "100": None, "inf": None, "online-20": None}
    assert [row["training_set"] for row in sweep["sets"]] == ["100", "inf", "online-20"]
    assert [row["training_set"] for row in sweep["other_sets"]] == ["20", "50"]
    assert {stage["stage"]: stage["cpu_seconds"] for stage in sweep["costs"]} == {"subsets": 2.0, "baselines": 4.0}
    assert sweep["provenance"]["snapshots"] == "01, 02"
    assert {name for name in sweep["provenance"] if "training_sets" in name} == {
        f"training_sets {name}" for name in ("100", "inf", "online-20")
    }
    assert any("from 2 pools, of which one is compared: snapshots 01, 02;" in said for said in sweep["findings"])
    page = LexborHTMLParser(render_sweep(strict(json.dumps(sweep)), plot_sweep(sweep)))
    assert "Of another pool, snapshots 01, 02, 03" in page.css("#sets")[0].text()


def test_of_pools_with_as_many_sets_the_one_with_more_cells_is_compared_then_the_larger() -> None:
    sets = {"20": SetFacts(10, 9, 5, pool=NEW_POOL), "100": SetFacts(10, 9, 5, pool=OLD_POOL)}
    old = [cell("100", 0.1, pool=OLD_POOL), cell("100", 0.1, seed=1, pool=OLD_POOL)]
    new = [cell("20", 0.1, pool=NEW_POOL)]
    for cells, compared in ((old + new, OLD_POOL), (old[:1] + new, NEW_POOL), (new, NEW_POOL), ([], NEW_POOL)):
        [first, *_] = describe_sweep(cells=cells, sets=sets)["pools"]
        assert first["described"] == compared.describe()


def test_one_pool_or_none_that_was_recorded_says_nothing_of_pools() -> None:
    for pool in (None, OLD_POOL):
        sweep = describe_sweep(cells=[cell("20", 0.2, pool=pool), cell("inf", 0.1, pool=pool)])
        assert (len(sweep["pools"]), sweep["other_sets"]) == (1, [])
        assert not any("pool" in said for said in sweep["findings"])


def test_a_recipe_is_the_model_without_its_own_seed_only() -> None:
    sweep = describe_sweep(cells=[cell("20", 0.1, recipe="vit-s16"), cell("20", 0.1, recipe="vit-s16", seed=3)])
    assert [recipe["recipe"] for recipe in sweep["recipes"]] == ["vit-s16"]


def test_what_cannot_be_one_sweep_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells of tiny on 20 have seed 1"):
        describe_sweep(cells=[cell("20", 0.1, seed=1), cell("20", 0.2, seed=1)])
    with pytest.raises(ValueError, match="read the scores of the checkpoint's own cell"):
        describe_sweep(cells=[TrainedCell(cell("20", None).checkpoint, cell("inf", 0.1).scores)])


def test_the_mean_over_tasks_takes_only_those_that_all_cells_have() -> None:
    def tasks(**scores: float) -> dict[str, Parts]:
        return {task: {"all": score} for task, score in scores.items()}

    ours, control = tasks(a=0.1, b=0.2, c=0.6, d=1.0), tasks(a=0.1, b=0.2, c=0.3)
    sweep = describe_sweep(cells=[cell("20", ours), cell("inf", control)])
    assert "In the mean of tasks: 30.0% against 20.0% unbalanced, main metric (chance 1.0%)." in sweep["findings"]
    assert [heading for heading in sweep_table(sweep)[0] if "mean" in heading] == ["mean of tasks"]
    few = describe_sweep(cells=[cell("20", ours), cell("inf", tasks(a=0.1, b=0.2))])
    assert "mean of tasks" not in " ".join([*sweep_table(few)[0], *few["findings"]])


def test_baselines_have_the_mean_over_the_same_tasks_or_none() -> None:
    names = ("a", "b", "c", "d")
    tables = [
        score_rows(None, model, {task: {"all": score} for task in names[:num]}, seed=None, pairs_seen=None)
        for model, score, num in (("B/32", 0.6, 4), ("few", 0.9, 2))
    ]
    cells = [cell(key, {task: {"all": 0.1} for task in names[:3]}) for key in ("20", "inf")]
    sweep = describe_sweep(cells=cells, baselines=pa.concat_tables(tables))
    at = sweep_table(sweep)[0].index("mean of tasks")
    assert {row[0]: row[at] for row in sweep_table(sweep)[1:]} == {
        "20": "10.0%", "inf": "10.0%", "B/32": "60.0%", "few": "–", "chance": "1.0%"
    }  # fmt: skip


def test_the_mean_of_one_models_scores_is_that_of_its_tasks_own_metrics() -> None:
    scores = score_rows("20", "tiny", {"a": {"all": 0.2, "tail": 0.9}, "b": {"all": 0.4}})
    assert mean_over_tasks(scores.to_pylist()) == pytest.approx(0.3)


def test_classes_are_counted_and_listed_by_what_balancing_changed() -> None:
    ours = [
        class_rows([(0.5, 1.0), (1.0, 1.0), (0.0, 0.5), (0.2, 0.2)]),
        class_rows([(0.5, 1.0), (0.0, 1.0), (0.0, 0.0), (0.2, 1.0)]),
    ]
    control = class_rows([(0.0, 0.5), (0.0, 0.0), (1.0, 1.0), (0.2, 0.2)])
    cells = [cell("20", 0.5, seed=seed, classes=classes) for seed, classes in enumerate(ours)]
    ignored = cell("20", 0.5, seed=7, pairs_seen=3, classes=class_rows([(0.0, 0.0)] * 4))
    controls = [cell("inf", 0.1, seed=seed, classes=control) for seed in (0, 1)]
    changed = describe_sweep(cells=[*cells, *controls, ignored])["classes"]
    assert (changed["num_better"], changed["num_worse"], changed["num_same"]) == (2, 1, 1)
    # Both helped classes gained as much in top-1; the second gained more in top-5.
    assert [(row["class_id"], row["difference"]) for row in changed["helped"]] == [(1, 0.5), (0, 0.5)]
    assert [(row["class_name"], row["unbalanced"], row["balanced"]) for row in changed["hurt"]] == [
        ("class2", 1.0, 0.0)
    ]
    assert describe_sweep(cells=[*cells, cell("inf", 0.1)])["classes"] is None


def test_a_class_without_images_is_neither_better_nor_worse_nor_the_same() -> None:
    classes = class_rows([(0.5, 0.5), (0.5, 0.5)])
    none = [None if name in ("acc1", "acc5") else 0 for name in CLASS_SCORES.names]
    row = dict(zip(CLASS_SCORES.names, none, strict=True)) | {"task": "birds", "class_id": 2, "class_name": "unseen"}
    empty = pa.Table.from_pylist([row | {"part": None, "language": None}], CLASS_SCORES)
    cells = [cell(key, 0.5, classes=pa.concat_tables([classes, empty])) for key in ("20", "inf")]
    changed = describe_sweep(cells=cells)["classes"]
    assert (changed["num_better"], changed["num_worse"], changed["num_same"]) == (0, 0, 2)


def test_costs_add_up_by_stage_the_dearest_first() -> None:
    costs = [
        PartitionCost("pairs", "S1", 1.0, 2.0),
        PartitionCost("checkpoints", "20|tiny", 90.0, 60.0),
        PartitionCost("pairs", "S2", 3.0, 4.0),
    ]
    stages = describe_sweep(cells=[], costs=costs)["costs"]
    sums = [(stage["stage"], stage["cpu_seconds"], stage["wall_seconds"]) for stage in stages]
    assert sums == [("checkpoints", 90, 60), ("pairs", 4, 6)]
    assert stages == describe_sweep(cells=[], costs=costs[::-1])["costs"]


def test_the_table_has_a_row_a_set_then_baselines_then_chance() -> None:
    baseline = score_rows(None, "B/32", {"birds": {"all": 0.6}}, seed=None, pairs_seen=None)
    cells = [cell("20", {"all": (s + 1) / 5, "tail": 0.1, "head": 0.4}, seed=s) for s in (0, 1)]
    sets = {"20": SetFacts(1300, 1234, 999), "inf": SetFacts(9000, 8999, 77)}
    assert sweep_table(describe_sweep(cells=cells, sets=sets, baselines=baseline)) == [
        ["t", "pairs", "images", "top-1", "tail", "head", "seeds", "seen pairs"],
        ["20", "1,234", "999", "30.0 ± 14.1%", "10.0 ± 0.0%", "40.0 ± 0.0%", "2", "1,000"],
        ["inf", "8,999", "77", "–", "–", "–", "–", "–"],
        ["B/32", "–", "–", "60.0% (55.6 to 64.2)", "–", "–", "–", "–"],
        ["chance", "", "", "1.0%", "1.0%", "1.0%", "", ""],
    ]


def hostile_sweep() -> dict[str, Any]:
    tasks: dict[str, Parts] = {name: {"all": 0.3, name: 0.2} for name in HOSTILE}
    task = min(HOSTILE)  # none tells head from tail and all have as many names: the first by name leads
    cells = [
        cell(key, tasks, recipe=HOSTILE[0], losses=[(1, 2.0)], classes=class_rows([(score, score)] * 8, task, HOSTILE))
        for key, score in (("inf", 0.0), ("20", 1.0), (HOSTILE[6], 0.5))
    ]
    text = HOSTILE[1]
    return describe_sweep(
        cells=[*cells, cell(HOSTILE[3], 0.5, recipe=HOSTILE[0], pairs_seen=7)],
        missing=HOSTILE,
        sets={name: SetFacts(1, 1, 1, dict.fromkeys(HOSTILE, 3), version=text) for name in HOSTILE},
        costs=[PartitionCost(name, name, 1.0, 1.0) for name in HOSTILE],
        baselines=score_rows(None, text, tasks, seed=None, pairs_seen=None),
        notes=dict.fromkeys(HOSTILE, text),
    )


def test_hostile_names_end_as_harmless_text() -> None:
    sweep = hostile_sweep()
    page = render_sweep(sweep, plot_sweep(sweep))
    parse_harmless(page)
    assert sweep["classes"]["helped"]
    for text in (page, *itertools.chain(*sweep_table(sweep)), *sweep["findings"]):
        assert not set(text) & set("\x1b\x00\x07\u202e")
    assert len(page) < 500_000


def test_what_a_task_says_of_itself_stands_beside_its_scores_with_code_as_code_and_never_as_markup() -> None:
    note = "Names are `tit`, `<b>owl</b>`; one ` alone stays."
    sweep = describe_sweep(cells=[cell("20", 0.5)], notes={"birds": note, "unknown": "nobody asks"})
    page = LexborHTMLParser(render_sweep(sweep, {}))
    for section in ("#scores", "#tasks"):
        assert [node.text() for node in page.css(f"{section} .note")] == [
            "The task birds says of itself: Names are tit, <b>owl</b>; one ` alone stays."
        ]
        assert [node.text() for node in page.css(f"{section} .note code")] == ["tit", "<b>owl</b>"]
    assert "nobody asks" not in (page.html or "")


def test_a_task_of_captions_has_no_names_to_choose_from() -> None:
    rows = [row | {"num_classes": 0} for row in score_rows("20", "tiny", {"captions": {"all": 0.5}}).to_pylist()]
    sweep = describe_sweep(cells=[TrainedCell(cell("20", None).checkpoint, pa.Table.from_pylist(rows, SCORES))])
    page = LexborHTMLParser(render_sweep(sweep, {}))
    assert "500 images." in [node.text() for node in page.css("#tasks p")]


def test_plots_are_png_of_the_stated_size_and_the_same_every_time() -> None:
    names = ["1", "20", "21", "100000", "inf", "online-20", "online-inf", "$x^"]
    cells = [
        cell(key, {"all": 0.1, "tail": 0.2, "head": 0.3}, seed=seed, losses=[(n, math.exp(-n)) for n in range(1, 900)])
        for key in names
        for seed in (0, 1)
    ]
    sets = {name: SetFacts(1000 * i, 900 * i, 10) for i, name in enumerate(names)}
    sweep = describe_sweep(cells=cells, sets=sets)
    assert max(len(c["losses"]) for c in sweep["cells"]) <= 400
    assert {c["losses"][-1][0] for c in sweep["cells"]} == {899}
    plots = plot_sweep(sweep)
    assert plots == plot_sweep(strict(json.dumps(sweep)))
    for name, height in (("scores tiny", 700), ("losses tiny", 500)):
        picture = Image.open(io.BytesIO(plots[name]))
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (900, height))
        assert len(plots[name]) < 60_000
    page = LexborHTMLParser(render_sweep(sweep, plots))
    assert [node.attributes["height"] for node in page.css("figure img")] == ["700", "500"]
