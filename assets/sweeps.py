"""What the sweep report is told, from what the lake holds; cells that are not there are named."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, cells, rings_up_to
from assets.pool import thresholds_of
from metaclip_dagster.reporting import Cost, Distribution, SetFacts, TrainedCell, count_subset, describe_sweep
from resources.lake import WHOLE, Lake
from resources.open_clip import Trainer

STAGES = ("pairs", "matches", "admissions", "image_texts", "images", "training_sets", "scores")
WHOLE_STAGES = ("entries", "exclusions", "entry_counts")


def make_sweep(
    lake: Lake, trainer: Trainer, *, snapshots: Sequence[str], baselines: Sequence[str], notes: Mapping[str, str]
) -> dict[str, Any]:
    """The sweep over every cell of the deployment; `notes` are what tasks say of themselves, by task."""
    keys = cells.get_partition_keys()
    trained = lake.finished("checkpoints", keys)
    scored = lake.finished("scores", trained)
    compared = lake.finished("baselines", sorted(baselines))
    sets = lake.finished("training_sets", TRAINING_SETS)
    named = [name for name in WHOLE_STAGES if lake.finished(name, [WHOLE])]
    return describe_sweep(
        cells=[_cell(lake, trainer, key, is_scored=key in scored) for key in trained],
        missing=[f"{cell.model} on {cell.training_set}" for cell in map(Cell.of, keys) if cell.key not in trained],
        sets=dict(zip(sets, _facts(lake, sets), strict=True)),
        costs=[
            *(_cost(lake, name, WHOLE) for name in named),
            *(
                _cost(lake, stage, partition)
                for stage in STAGES
                for partition in lake.finished(stage, [*snapshots, *TRAINING_SETS, *keys])
            ),
            *(_training_cost(lake, trainer, key) for key in trained),
        ],
        baselines=lake.read("baselines", compared) if compared else None,
        notes=notes,
        provenance={
            "snapshots": ", ".join(snapshots),
            **{name: lake.manifest(name).version for name in named},
            **{f"training_sets {name}": lake.manifest("training_sets", name).version for name in sets},
        },
    )


def _cell(lake: Lake, trainer: Trainer, key: str, *, is_scored: bool) -> TrainedCell:
    [row] = lake.read("checkpoints", [key]).to_pylist()
    losses = trainer.result(row["path"])["losses"]
    if not is_scored:
        return TrainedCell(row, losses=losses)
    return TrainedCell(row, lake.read("scores", [key]), lake.read("class_scores", [key]), losses)


def _facts(lake: Lake, sets: Sequence[str]) -> list[SetFacts]:
    """Sizes of each set beside its subset's, its images that failed, and what share of matches its tail has."""
    if not sets:
        return []
    entries, counts = lake.read("entries"), lake.read("entry_counts")
    of_subset = {}
    for t in lake.finished("subsets", THRESHOLDS):
        after = count_subset(lake.stream("subsets", [t])(), entries.num_rows)
        of_subset[t] = Distribution.build(entries, counts, after, thresholds_of(lake, t)).totals()
    facts = []
    for name in sets:
        t = name.removeprefix("online-")
        held = "inf" if name.startswith("online-") else t
        made = lake.manifest("training_sets", name)
        failed = sum((lake.manifest("images", ring).total("dropped") for ring in rings_up_to(held)), Counter[str]())
        head = of_subset.get(t, {}) if t != "inf" else {}
        tails = [None if share is None else 1.0 - share for share in (head.get("head_before"), head.get("head_after"))]
        pairs = lake.manifest("subsets", held).rows
        facts.append(SetFacts(pairs, made.total("seen")["pairs"], made.rows, failed, *tails))
    return facts


def _cost(lake: Lake, stage: str, partition: str) -> Cost:
    shards = lake.manifest(stage, partition).shards
    return Cost(stage, partition, sum(s.cpu_seconds for s in shards), sum(s.wall_seconds for s in shards))


def _training_cost(lake: Lake, trainer: Trainer, key: str) -> Cost:
    [row] = lake.read("checkpoints", [key]).to_pylist()
    result = trainer.result(row["path"])
    return Cost("checkpoints", key, result["cpu_seconds"], result["wall_seconds"])
