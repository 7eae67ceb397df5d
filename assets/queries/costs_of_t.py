"""Predict what a t will cost, from its subset to its scores, beside what it cost where it is made."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

import pyarrow.compute as pc

from assets.keys import THRESHOLDS, Cell
from assets.queries.costs import Prediction, predict_stage, set_exactly
from assets.queries.rungs import Size, measure
from metaclip_dagster.sharding import choose_buckets_together
from metaclip_dagster.training import recipe_of
from resources.deployments import Deployment
from resources.lake.costs import Cost, observe
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest
from resources.models.resource import Trainer


def predict_t(where: Deployment, lake: Lake, t: str) -> list[Prediction]:
    """Every stage from the subset to scores at a t, a rung or not: rows exactly, costs from the rungs that are made.

    Raises as `rungs.measure` does.
    """
    size = measure(where, lake, t)
    subsets = {rung: lake.manifest("subsets", rung) for rung in lake.finished("subsets", THRESHOLDS) if rung != t}
    files = len(next(iter(subsets.values())).shards) if subsets else 0
    shards = {
        "subsets": files,
        "image_texts": -(-files // where.group_size),
        "training_sets": -(-where.image_buckets // choose_buckets_together(where.image_buckets, size.pairs)),
    }
    predictions = {}
    for stage, num_shards in shards.items():
        observed = [
            one
            for rung in lake.finished(stage, subsets)
            for one in observe(lake.manifest(stage, rung), subsets[rung].rows)
        ]
        predictions[stage] = predict_stage(lake, stage, t, observed, size.pairs, num_shards)
    for stage in ("subsets", "image_texts"):
        predictions[stage] = set_exactly(predictions[stage], rows=size.pairs)
    predictions["images"] = _predict_images(where, lake, t, size)
    ordered = [predictions[stage] for stage in ("subsets", "image_texts", "images", "training_sets")]
    return ordered + list(_predict_cells(where, lake, t))


def seconds_per_pair(
    trainer: Trainer, lake: Lake, clock: Literal["cpu_seconds", "wall_seconds"] = "cpu_seconds"
) -> Iterator[tuple[tuple[Cell, str], float]]:
    """By cell and architecture, seconds for a seen pair of every training that is finished and still there."""
    for key in lake.finished("checkpoints", [k for table, k in lake.partitions() if table == "checkpoints"]):
        [row] = lake.read("checkpoints", [key]).to_pylist()
        if result := trainer.result(row["path"]):
            yield (Cell.of(key), row["architecture"]), result[clock] / result["pairs_seen"]


def _predict_images(where: Deployment, lake: Lake, t: str, size: Size) -> Prediction:
    """The ring of t, whose cost goes by the images that are fetched."""
    rings = [lake.manifest("images", rung) for rung in lake.finished("images", THRESHOLDS) if rung != t]
    ring = lake.store("images", t).manifest()
    fetched = _fetched(ring) if ring else size.to_fetch
    observed = [one for other in rings for one in observe(other, _fetched(other))]
    prediction = predict_stage(lake, "images", t, observed, fetched, where.image_buckets)
    prediction = set_exactly(prediction, rows=size.ring, bytes_read=fetched * size.bytes_an_image)
    if prediction.took:
        sizes = lake.dataset("images", [t]).to_batches(columns=["size"])
        bytes_read = sum(pc.sum(batch["size"]).as_py() or 0 for batch in sizes)
        prediction = replace(prediction, took=replace(prediction.took, bytes_read=bytes_read))
    return prediction


def _predict_cells(where: Deployment, lake: Lake, t: str) -> Iterator[Prediction]:
    """Training and scores of each model on D(t), from those of its architecture on other sets."""
    spent = dict(seconds_per_pair(Trainer(root=str(where.checkpoints)), lake))
    for model in where.models:
        architecture = recipe_of(model)[0].architecture
        others = [s for (cell, of), s in spent.items() if of == architecture and cell.training_set != t]
        spent_here = spent.get((Cell(t, model), architecture))
        expected, took = (
            None if seconds is None else Cost(cpu_seconds=seconds * where.pairs_to_see, rows=where.pairs_to_see)
            for seconds in (sum(others) / len(others) if others else None, spent_here)
        )
        yield Prediction(f"checkpoints {model}", expected, took)
        scored = [k for table, k in lake.partitions() if table == "scores" and Cell.of(k).training_set != t]
        alike = [k for k in scored if recipe_of(Cell.of(k).model)[0].architecture == architecture]
        for table in ("scores", "class_scores", "sample_predictions"):  # the first of them embeds the images for all
            observed = [one for k in lake.finished(table, alike) for one in observe(lake.manifest(table, k), 1)]
            prediction = predict_stage(lake, table, Cell(t, model).key, observed, 1, len(where.tasks))
            yield replace(prediction, stage=f"{table} {model}")


def _fetched(ring: PartitionManifest) -> int:
    return ring.total("seen")["fetched"]
