"""What the sweep report is told, from what the lake holds; cells that are not there are named."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, cells, rings_up_to
from assets.pool import thresholds_of
from metaclip_dagster.reporting import Cost, Distribution, SetFacts, TrainedCell, count_subset, describe_sweep
from resources.lake import WHOLE, Lake
from resources.open_clip import Trainer
from resources.tables import PartitionManifest
from resources.takedowns import read_flag


def make_sweep(
    lake: Lake, trainer: Trainer, *, snapshots: Sequence[str], baselines: Sequence[str], notes: Mapping[str, str]
) -> dict[str, Any]:
    """The sweep over every cell of the deployment; `notes` are what tasks say of themselves, by task."""
    keys = cells.get_partition_keys()
    trained = {key: lake.read("checkpoints", [key]).to_pylist()[0] for key in lake.finished("checkpoints", keys)}
    results = {key: told for key, row in trained.items() if (told := _result(trainer, row["path"]))}
    scores = _made(lake, "scores", lake.finished("class_scores", trained))
    sets = _made(lake, "training_sets", TRAINING_SETS)
    scored = lake.finished("baselines", sorted(baselines))
    whole = {name: made for name in ("entries", "exclusions", "entry_counts") for made in _made(lake, name).values()}
    missing = [f"{cell.model} on {cell.training_set}" for cell in map(Cell.of, keys) if cell.key not in trained]
    return describe_sweep(
        cells=[
            _cell(lake, trainer, row, results.get(key, {}), sets.get(row["training_set"]), scores.get(key))
            for key, row in trained.items()
        ],
        missing=[*missing, *(f"baseline {key}" for key in sorted(baselines) if key not in scored)],
        sets=dict(_facts(lake, sets)),
        costs=[
            *_costs(lake),
            *(Cost("checkpoints", key, told["cpu_seconds"], told["wall_seconds"]) for key, told in results.items()),
        ],
        baselines=lake.read("baselines", scored) if scored else None,
        notes=notes,
        provenance={
            "snapshots": ", ".join(snapshots),
            **{name: made.version for name, made in whole.items()},
            **{f"training_sets {name}": made.version for name, made in sets.items()},
        },
    )


def _made(lake: Lake, table: str, partitions: Iterable[str] = (WHOLE,)) -> dict[str, PartitionManifest]:
    """The manifests of those of the partitions that are finished."""
    found = {partition: lake.store(table, partition).manifest() for partition in partitions}
    return {partition: made for partition, made in found.items() if made}


def _result(trainer: Trainer, path: str) -> dict[str, Any] | None:
    """What a training told; None where its folder was removed."""
    try:
        return trainer.result(path)
    except FileNotFoundError:
        return None


def _cell(
    lake: Lake,
    trainer: Trainer,
    row: Mapping[str, Any],
    result: Mapping[str, Any],
    training_set: PartitionManifest | None,
    scores: PartitionManifest | None,
) -> TrainedCell:
    losses, outdated = result.get("losses", ()), None
    if training_set and training_set.version != row["set_version"]:
        outdated = f"{_trained_on(read_flag(Path(trainer.root, row['path']).parent))}: train it again"
    elif scores and not scores.inputs["model"].endswith(row["sha256"]):
        outdated = "has scores of other weights: score it again"
    found = {table: lake.read(table, [scores.partition]) for table in ("scores", "class_scores") if scores}
    return TrainedCell(row, found.get("scores"), found.get("class_scores"), losses, outdated)


def _trained_on(flag: Mapping[str, Any] | None) -> str:
    if flag is None:
        return "was trained on another version of its set"
    if flag["pairs"] is None:
        return "was trained on a set that is gone, which may have held pairs taken down since"
    return f"was trained on {flag['pairs']:,} pairs that were taken down since"


def _facts(lake: Lake, sets: Mapping[str, PartitionManifest]) -> Iterator[tuple[str, SetFacts]]:
    """Sizes of each set as it was made, its images that failed, and what share of matches its tail has."""
    failed = {ring: made.total("dropped") for ring, made in _made(lake, "images", THRESHOLDS).items()}
    tails = _tails(lake, lake.finished("subsets", sorted({name.removeprefix("online-") for name in sets} - {"inf"})))
    for name, made in sets.items():
        t = name.removeprefix("online-")
        rings = rings_up_to("inf" if name != t else t)
        failures = sum((failed[ring] for ring in rings if ring in failed), Counter[str]())
        pairs = made.total("seen")["pairs"]
        in_subset = pairs + made.total("dropped").total()
        yield name, SetFacts(in_subset, pairs, made.rows, failures, *tails.get(t, (None, None)))


def _tails(lake: Lake, rungs: Collection[str]) -> dict[str, tuple[float | None, float | None]]:
    """The share of all matches that the tail has in the pool and in D(t)."""
    if not rungs:
        return {}
    entries, counts, tails = lake.read("entries"), lake.read("entry_counts"), {}
    for t in rungs:
        try:
            after = count_subset(lake.stream("subsets", [t])(), entries.num_rows)
            head = Distribution.build(entries, counts, after, thresholds_of(lake, t)).totals()
        except ValueError:
            continue  # it is of another pool than the counts are now: nothing is known of it
        before, kept = (None if share is None else 1 - share for share in (head["head_before"], head["head_after"]))
        tails[t] = before, kept
    return tails


def _costs(lake: Lake) -> Iterator[Cost]:
    """What every partition of every table cost that shards tell of; trainings tell their own."""
    for table, partition in lake.partitions():
        made = lake.store(table, partition).manifest() if table != "checkpoints" else None
        if made:
            spent = [sum(getattr(shard, name) for shard in made.shards) for name in ("cpu_seconds", "wall_seconds")]
            yield Cost(table, partition, *spent)
