"""Compare balanced with unbalanced training on the sample: zero-shot scores at an equal number of seen pairs, 3 seeds.

python -m benchmarks.bench_sweep [--sets KEY ...] [--seeds N] [--json]

Runs the demo, which reuses what it made before, goes on in its lake through the same Dagster assets, and trains the
cells that are not there (a minute each on two cores). The baseline is the unbalanced pool, t = inf. `random` is a
control of no asset: as many images as t = 20 has, drawn from the pool without balancing. All see as many pairs by the
same recipe.
"""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from tqdm import tqdm

from assets.jobs import Training
from assets.keys import Cell
from benchmarks.measure import Row, options, print_rows, row
from commands import demo
from definitions import bind
from metaclip_dagster.evaluation import load_model, read_task, score_model
from metaclip_dagster.reporting.sweeps.cells import keep_own_language
from metaclip_dagster.training import SetFile, TrainingPlan, recipe_of
from resources.deployments import Deployment, deployment
from resources.files.digests import combine
from resources.lake.resource import open_lake

SETS = ("20", "100", "inf", "online-20", "random")
METRICS = (
    ("twemoji", "all", "acc1"),
    ("twemoji", "tail", "acc1"),
    ("twemoji", "head", "acc1"),
    ("twemoji-unseen", "all", "acc1"),
)


def main() -> None:
    """Print what was measured."""
    parser = options(__doc__)
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    with redirect_stdout(sys.stderr):
        demo.run(deployment())
    print_rows(measure(deployment(), args.sets, deployment().models[: args.seeds]), args.json)


def measure(where: Deployment, sets: list[str], models: tuple[str, ...]) -> list[Row]:
    """Give a row for each set and score: the mean over seeds beside the unbalanced pool's."""
    cells = [Cell(name, model) for model in models for name in sets]
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        scores = {cell: _score(where, instance, cell) for cell in tqdm(cells, unit="training", disable=None)}
        demo.materialize(bind(where), instance, ["sweep"])
    budget = Training().pairs_to_see
    rows = []
    for name in sets:
        for metric in METRICS:
            balanced, base = (
                np.array([scores[Cell(each, model)][metric] for model in models]) * 100 for each in (name, "inf")
            )
            spread = f", s.d. {balanced.std(ddof=1):.2f}" if len(models) > 1 else ""
            described = f"{name}: {metric[0]} {metric[1]} top-1{spread}"
            source = f"{len(models)} seeds, {budget:,} pairs seen each; chance 0.057 %, unseen 0.82 %"
            mean, unbalanced = float(balanced.mean()), float(base.mean())
            rows.append(row(described, mean, "%", unbalanced, mean / unbalanced, input=source))
    return rows


def _score(where: Deployment, instance: dg.DagsterInstance, cell: Cell) -> dict[tuple[str, str, str], float]:
    if cell.training_set == "random":
        table = _train_on_random(where, cell)
    else:
        demo.materialize(bind(where), instance, ["training_sets"], cell.training_set)
        demo.materialize(bind(where), instance, ["checkpoints", "scores"], cell.key)
        table = keep_own_language(open_lake(where).read("scores", [cell.key]))
    return {(scored["task"], scored["part"], scored["metric"]): scored["score"] for scored in table.to_pylist()}


def _train_on_random(where: Deployment, cell: Cell) -> pa.Table:
    """Train on images that are drawn by a hash of their id and the seed."""
    lake, (recipe, seed) = open_lake(where), recipe_of(cell.model)
    pool, size = lake.read("training_sets", ["inf"]), lake.manifest("training_sets", "20").rows
    drawn = np.argsort(
        [xxhash.xxh3_64_intdigest(f"{seed} {image}".encode()) for image in pool["image_id"].to_pylist()]
    )[:size]
    subset = pool.take(np.sort(drawn))
    versions = [lake.manifest("training_sets", "inf").version, str(size), str(recipe), str(Training().pairs_to_see)]
    folder = where.checkpoints / "random" / cell.model / combine(versions)[:16]
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(subset, folder / "rows.parquet", row_group_size=1024)
    job = TrainingPlan(
        training_set="random",
        model=cell.model,
        recipe=recipe,
        seed=seed,
        budget=Training().pairs_to_see,
        images=where.images,
        shards=(SetFile(str(folder / "rows.parquet"), tuple(pc.unique(subset["tar"]).to_pylist())),),
        uniform="metaclip_dagster.balancing:uniform",
        loader_workers=where.loader_workers,
        out=str(folder),
    )
    content: dict[str, Any] = {**asdict(job), "train": "metaclip_dagster.training:train"}
    (folder / "job.json").write_text(json.dumps(content), "utf-8")
    if not (folder / "result.json").exists():
        launch = [sys.executable, "-m", "resources.models.rank", "--launch", str(folder / "job.json")]
        subprocess.run(launch, check=True)
    model = load_model(f"local-dir:{folder / 'model'}")
    return pa.concat_tables(
        score_model(read_task(Path(task)), model=model, model_name=cell.model) for task in where.tasks
    )


if __name__ == "__main__":
    main()
