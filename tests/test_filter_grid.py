"""Named filters give each t training sets of their own: they share scores, and the sweep tells them apart."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from resources.deployments import Deployment
from resources.lake.resource import Lake
from tests.graphs import copy_home

SIDE, ASPECT = "metaclip_dagster.filters:shorter_side", "metaclip_dagster.filters:aspect"
LIMITS = {"large": {SIDE: {"at_least": 60}}, "larger": {SIDE: {"at_least": 70}}, "square": {ASPECT: {"at_most": 1}}}
NAMED = {
    "large": {"filters": LIMITS["large"]},
    "larger": {"filters": LIMITS["larger"]},
    "square": {"filters": LIMITS["square"], "near_duplicate_distance": 0},
}
Grid = tuple[Lake, Path, dict[str, Any]]
"""The lake, the reports, and what the process printed."""
SETS = [f"{t}-{name}" for name in NAMED for t in ("20", "100")]

# Partitions are built when the graph is imported: another grid is another process.
PROGRAM = """
import json, os, sys
from pathlib import Path
import dagster as dg
from commands import export, sweep
from resources.crawl.mini import mini_deployment
from tests.graphs import Graph

where = mini_deployment(Path(sys.argv[1]), Path(sys.argv[2]), os.environ)
asked = json.loads(sys.argv[3])
sets = sweep.choose_sets(asked["t"], asked["filters"])
scored = []
with dg.DagsterInstance.ephemeral() as instance:
    graph = Graph(where, instance)
    for name in sets:
        graph.make(["training_sets"], name)
        scored.append(graph.lake.manifest("image_scores", "20").total("seen")["scored"])
    graph.make(["sweep"])
    try:
        graph.make(["training_sets"], sets[0], ops={"training_sets": {"config": {"filters": {}}}})
    except dg.Failure as failure:
        refused = str(failure.description)
exported = export.export_training_set(where, "20-large", where.home / "exported", images_per_tar=100)
cost = sweep.render_cost(sweep.predict_sweep(where, graph.lake, sets, where.models))
print(json.dumps({"sets": sets, "scored": scored, "refused": refused, "cost": cost, "exported": exported}))
"""


@pytest.fixture(scope="module")
def grid(mini: Path, imaged: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    """Each of two t by each of three names, made in a process of its own."""
    where = copy_home(imaged, tmp_path_factory.mktemp("grid"), ("lake", "images"))
    (where.home / "filters.json").write_text(json.dumps(NAMED), encoding="utf-8")
    asked = json.dumps({"t": ["20", "100"], "filters": [*NAMED]})
    environment = {**os.environ, "METACLIP_FILTERS": str(where.home / "filters.json")}
    command = [sys.executable, "-c", PROGRAM, str(mini), str(where.home), asked]
    run = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return Lake(root=where.lake), where.reports, json.loads(run.stdout.splitlines()[-1])


def test_a_set_of_each_t_and_name_holds_what_its_filter_leaves(grid: Grid) -> None:
    lake, _, printed = grid
    assert sorted(printed["sets"]) == sorted(SETS)
    scores: dict[str, dict[str, float]] = {}
    for row in lake.read("image_scores", ["20", "100"]).to_pylist():
        scores[row["image_id"]] = {score["filter"]: score["score"] for score in row["scores"]}

    def ids(key: str) -> set[str]:
        return set(lake.read("training_sets", [key])["image_id"].to_pylist())

    for t in ("20", "100"):
        assert ids(f"{t}-large") == {it for it in ids(t) if scores[it][SIDE] >= 60} < ids(t)
        assert ids(f"{t}-larger") == {it for it in ids(t) if scores[it][SIDE] >= 70} <= ids(f"{t}-large")
        assert ids(f"{t}-square") < {it for it in ids(t) if scores[it][ASPECT] <= 1}, "and no duplicate"


def test_sets_of_one_t_share_their_scores(grid: Grid) -> None:
    lake, _, printed = grid
    assert len({*printed["scored"]}) == 1
    assert lake.manifest("image_scores", "20").total("seen")["scored"] > 0


def test_the_sweep_names_each_set_with_its_limits(grid: Grid) -> None:
    _, reports, _ = grid
    sweep = json.loads((reports / "sweep.json").read_text("utf-8"))
    rows = {row["training_set"]: (row["label"], row["filters"]) for row in sweep["sets"]}
    for name, limits in LIMITS.items():
        assert rows[f"20-{name}"] == (f"t = 20, {name}", limits)
        assert f"tiny on 20-{name}" in sweep["missing"]
    assert rows["20"] == ("t = 20", {})
    assert "t = 100, square" in (reports / "sweep.html").read_text("utf-8")


def test_what_a_name_stands_for_is_changed_in_its_file_alone_and_its_sets_are_exported_and_predicted(
    grid: Grid,
) -> None:
    printed = grid[2]
    assert "METACLIP_FILTERS says what" in str(printed["refused"])
    images = grid[0].manifest("training_sets", "20-large").rows
    assert str(printed["exported"]).startswith(f"{images:,} images of 20-large: ")
    assert str(printed["cost"]).startswith(f"{len(SETS)} cells: {len(SETS) * 20_480:,} pairs to see, ")
