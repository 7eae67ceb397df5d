"""Collect from the lake what a model's card says: its training, its set, its scores beside those of other seeds."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from assets.keys import CELLS, Cell
from assets.queries.mixtures import describe_mixture, recorded_mixture
from assets.queries.provenance import recorded_pool
from assets.queries.sweeps import FILTERS
from metaclip_dagster.publishing.model_card import ModelFacts, Score, TrainingSet
from metaclip_dagster.reporting.sweeps.cells import keep_own_language
from metaclip_dagster.reporting.sweeps.scores import average_seeds, index_scores
from metaclip_dagster.training.tokenizing import TOKENIZER
from resources.lake.resource import Lake
from resources.published.folders import digest_file
from resources.takedowns.taking_down import read_flag


def check_tokenizer(model: Path, row: Mapping[str, Any]) -> None:
    """Raise ValueError if a model's tokenizer.json is not the one that its row of CHECKPOINTS says it was trained with.

    `model` is the exported folder. A recipe without a tokenizer of its own says nothing.
    """
    digest = json.loads(row["recipe"]).get("tokenizer")
    path = model / TOKENIZER
    if digest and not (path.is_file() and digest_file(path) == digest):
        raise ValueError(
            f"{path}: not the tokenizer that {row['model']} on {row['training_set']} was trained with: somebody "
            f"changed it; copy it from {model.parent / 'tokenizer'}, or materialize checkpoints again in a new folder"
        )


def collect_model_facts(
    lake: Lake, root: Path, cell: Cell, *, transformers_problem: str, notes: Mapping[str, str], is_sample: bool
) -> ModelFacts:
    """What the lake knows of a cell's model; `root` is the folder of all trainings.

    Raises ValueError where its scores are of other weights.
    """
    [row] = lake.read("checkpoints", [cell.key]).to_pylist()
    if not lake.manifest("scores", cell.key).inputs.get("model", "").endswith(row["sha256"]):
        raise ValueError(f"scores of {cell.model} on {cell.training_set} are of other weights: materialize its scores")
    names = ("architecture", "seed", "sha256", "set_version", "budget", "pairs_seen", "loss")
    flag = read_flag((root / row["path"]).parent)
    return ModelFacts(
        training_set=cell.training_set,
        model=cell.model,
        **{name: row[name] for name in names},
        recipe=json.loads(row["recipe"]),
        transformers_problem=transformers_problem,
        data=_describe_set(lake, cell, row),
        scores=[*_list_scores(lake, cell, row)],
        notes=notes,
        num_taken_down=flag["pairs"] if flag else 0,
        is_sample=is_sample,
    )


def _describe_set(lake: Lake, cell: Cell, row: Mapping[str, Any]) -> TrainingSet | None:
    manifest = lake.store("training_sets", row["training_set"]).manifest()
    if manifest is None or manifest.version != row["set_version"]:
        return None
    pool, pairs, dropped = recorded_pool(manifest), manifest.total("seen")["pairs"], manifest.total("dropped")
    as_trained = replace(manifest, inputs=lake.manifest("checkpoints", cell.key).inputs)
    versions = {"entries": pool.entries, "entry_counts": pool.entry_counts} if pool else {}
    return TrainingSet(
        pairs_of_subset=pairs + dropped.total(),
        pairs=pairs,
        images=manifest.rows,
        dropped=dict(sorted(dropped.items())),
        snapshots=tuple(pool.snapshots) if pool else (),
        sources=describe_mixture(as_trained, row["budget"]),
        versions={name: version for name, version in versions.items() if version},
        filters={_hide_folder(name): of for name, of in json.loads(manifest.inputs.get(FILTERS, "{}")).items()},
    )


def _hide_folder(name: str) -> str:
    """A filter's name with its model's folder, but not where that lies on this machine."""
    return re.sub(r"local-dir:[^()]*/", "local-dir:", name)


def _list_scores(lake: Lake, cell: Cell, row: Mapping[str, Any]) -> Iterator[Score]:
    """Every score of the cell, with mean and spread over the cells that differ from it by their seed alone."""
    alike = ("recipe", "budget", "set_version")
    on_set = [key for key in CELLS if Cell.of(key).training_set == cell.training_set]
    by_seed, own_mixture = {}, recorded_mixture(lake.manifest("checkpoints", cell.key))
    for key in lake.finished("scores", lake.finished("checkpoints", on_set)):
        [other] = lake.read("checkpoints", [key]).to_pylist()
        mixture = recorded_mixture(lake.manifest("checkpoints", key))
        of_its_weights = lake.manifest("scores", key).inputs.get("model", "").endswith(other["sha256"])
        if of_its_weights and mixture == own_mixture and all(other[name] == row[name] for name in alike):
            by_seed[other["seed"]] = index_scores(keep_own_language(lake.read("scores", [key])).to_pylist())
    of_cell = keep_own_language(lake.read("scores", [cell.key])).to_pylist()
    rows = {(it["task"], it["part"], it["metric"]): it for it in of_cell}
    for average in average_seeds(by_seed):
        task, part, metric = (average[name] for name in ("task", "part", "metric"))
        if it := rows.get((task, part, metric)):
            yield Score(
                task,
                part,
                metric,
                score=it["score"],
                chance=average["chance"],
                num_classes=it["num_classes"],
                num_images=it["num_images"],
                mean=average["mean"],
                spread=average["spread"],
                seeds=tuple(average["seeds"]),
            )
