"""Check a partition's laws whenever it is made; a check that blocks keeps wrong data from flowing on."""

import math
import shlex
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.reporting.sweeps.comparisons import bar_above
from resources.engines.resource import round_floats
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest

MAX_FAILED_IMAGES = 0.3


_OF_THE_ASSET = {"every_snapshot_there", "up_to_date", "of_one_pool"}
"""These look at all partitions at once."""
_WARNINGS = {*_OF_THE_ASSET, "few_failed_images", "above_chance"}


def check_specs(
    asset: str, *checks: Callable[..., dg.AssetCheckResult], partitions: dg.PartitionsDefinition | None = None
) -> list[dg.AssetCheckSpec]:
    """Declare checks of an asset by the functions that make them; all but those that only warn block what follows.

    `partitions` are the asset's: each partition then has a result of its own, which no other partition replaces.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)  # of `partitions_def`; docs/decisions/010
        return [
            dg.AssetCheckSpec(
                check.__name__,
                asset=asset,
                blocking=check.__name__ not in _WARNINGS,
                description=(check.__doc__ or "").split("\n")[0],
                partitions_def=None if check.__name__ in _OF_THE_ASSET else partitions,
            )
            for check in checks
        ]


def no_empty_snapshot(manifest: PartitionManifest) -> dg.AssetCheckResult:
    """The snapshot gave at least one row, and no shard of it failed unnoticed."""
    dropped = dict((+manifest.total("dropped")).most_common())
    reasons = ", ".join(f"{reason} {times:,}" for reason, times in dropped.items()) or "nothing"
    return dg.AssetCheckResult(
        check_name="no_empty_snapshot",
        passed=manifest.rows > 0,
        description=f"{manifest.rows:,} rows; dropped: {reasons}",
        metadata={"rows": manifest.rows, "failed_shards": len(manifest.failed), "dropped": dropped},
    )


def no_empty_list(manifest: PartitionManifest) -> dg.AssetCheckResult:
    """The list has at least one entry, and that of English too: another language may have none of a source."""
    empty = [shard.key for shard in manifest.shards if not shard.rows]
    return _check("no_empty_list", manifest.rows > 0 and "en" not in empty, rows=manifest.rows, empty=empty)


def few_broken_records(manifest: PartitionManifest, broken: Collection[str], bound: float) -> dg.AssetCheckResult:
    """The share of the archives' records that could not be read is under the bound."""
    dropped = manifest.total("dropped")
    lost = sum(dropped[reason] for reason in broken)
    records = lost + manifest.total("seen")["records"]
    share = lost / records if records else 1.0
    return _check("few_broken_records", share <= bound, broken=lost, records=records, share=share, bound=bound)


def every_snapshot_there(missing: Mapping[str, str]) -> dg.AssetCheckResult:
    """Every registered snapshot has its matches; the pool waits for one that has not, until it is made or dropped."""
    waits = [f"{key}: {why}" for key, why in missing.items()]
    way_out = f"make it, or take it out of the pool: metaclip drop {shlex.join(missing)}"
    says = f"{'; '.join(waits)}. Mend what failed and {way_out}" if waits else None
    return _warn("every_snapshot_there", not missing, {"missing": len(missing), **missing}, says)


def no_pair_twice(manifest: PartitionManifest, duplicates: int) -> dg.AssetCheckResult:
    """Without the excluded ones, the pool holds each pair once."""
    seen = manifest.total("seen")
    passed = seen["places"] - duplicates == seen["distinct_pairs"]
    return _check("no_pair_twice", passed, duplicates=duplicates, **seen)


def counts_add_up(lake: Lake, snapshots: Sequence[str]) -> dg.AssetCheckResult:
    """The counts sum to the matches of the pool, and as many pairs were counted as the pool has."""
    seen = sum((lake.manifest("snapshot_counts", key).total("seen") for key in snapshots), Counter[str]())
    pairs = sum(lake.manifest("matches", key).rows for key in snapshots) - lake.manifest("exclusions").rows
    counted = pc.sum(lake.read("entry_counts")["entry_count"]).as_py() or 0
    passed = counted == seen["matches"] and seen["pairs"] == pairs
    return _check("counts_add_up", passed, sum_of_counts=counted, pairs_of_pool=pairs, **seen)


def every_pair_admitted(lake: Lake, snapshot: str, manifest: PartitionManifest) -> dg.AssetCheckResult:
    """Every pair of the snapshot's share of the pool has its admitted_at."""
    excluded = next((s.rows for s in lake.manifest("exclusions").shards if s.key == snapshot), 0)
    pool = lake.manifest("matches", snapshot).rows - excluded
    return _check("every_pair_admitted", manifest.rows == pool, admitted=manifest.rows, pairs_of_pool=pool)


def subsets_nested(strays: Mapping[str, int]) -> dg.AssetCheckResult:
    """D of a smaller t lies inside D of a larger one, for the neighbours of this one that are made."""
    by_rungs = {name.replace(" ", "_"): pairs for name, pairs in strays.items()}
    return _check("subsets_nested", not any(strays.values()), strays=sum(strays.values()), **by_rungs)


def every_pair_scattered(manifest: PartitionManifest, pairs_of_subset: int) -> dg.AssetCheckResult:
    """Every pair of the subset is among the texts of its image."""
    return _check(
        "every_pair_scattered", manifest.rows == pairs_of_subset, pairs=manifest.rows, pairs_of_subset=pairs_of_subset
    )


def some_images(manifest: PartitionManifest) -> dg.AssetCheckResult:
    """At least half of the ring's images are there: fewer, and the source is down rather than the images gone."""
    seen, failed = manifest.total("seen")["images"], sum(manifest.total("dropped").values())
    return _check("some_images", 2 * failed <= seen, images=seen, failed=failed)


def few_failed_images(manifest: PartitionManifest) -> dg.AssetCheckResult:
    """The share of the ring's images that could not be had is what a web that forgets explains."""
    seen, failed = manifest.total("seen")["images"], sum(manifest.total("dropped").values())
    share = failed / seen if seen else 0.0
    numbers = {"images": seen, "failed": failed, "share": share, "bound": MAX_FAILED_IMAGES}
    return _warn("few_failed_images", share <= MAX_FAILED_IMAGES, numbers)


def every_pair_accounted_for(manifest: PartitionManifest, pairs_of_subset: int) -> dg.AssetCheckResult:
    """The set's pairs are the subset's but for those whose image failed."""
    pairs, failed = manifest.total("seen")["pairs"], sum(manifest.total("dropped").values())
    passed = pairs + failed == pairs_of_subset
    return _check("every_pair_accounted_for", passed, pairs=pairs, failed_pairs=failed, pairs_of_subset=pairs_of_subset)


def every_image_embedded(manifest: PartitionManifest, images_of_set: int) -> dg.AssetCheckResult:
    """The images that can be found are the set's but for those that the store has no more, or that cannot be read."""
    dropped = manifest.total("dropped")
    passed = manifest.rows + dropped.total() == images_of_set
    return _check("every_image_embedded", passed, images=manifest.rows, images_of_set=images_of_set, **dropped)


def budget_spent(result: Mapping[str, Any], budget: int) -> dg.AssetCheckResult:
    """The weights saw exactly the pairs of the budget, by their own optimizer's count."""
    passed = result["pairs_seen"] == budget
    return _check("budget_spent", passed, pairs_seen=result["pairs_seen"], budget=budget)


def loss_below_chance(result: Mapping[str, Any], batch_size: int) -> dg.AssetCheckResult:
    """The last loss is below that of guessing within a batch, ln(batch size)."""
    chance = math.log(batch_size)
    return _check("loss_below_chance", result["loss"] < chance, loss=result["loss"], chance=chance)


def above_chance(scores: pa.Table) -> dg.AssetCheckResult:
    """Every task's own metric is above three times chance, or above halfway from chance to 1 if that is less."""
    rows = [row for row in scores.to_pylist() if (row["part"], row["metric"]) == ("all", "main")]
    low = [row["task"] for row in rows if row["chance"] is not None and row["score"] <= bar_above(row["chance"])]
    return _warn("above_chance", not low, {"tasks": len(rows), "at_chance": low})


def up_to_date(asset: str, outdated: Mapping[str, Mapping[str, str]]) -> dg.AssetCheckResult:
    """Every partition is made of what is there now; of a sweep, every cell's weights and scores are."""
    of_cells = ("training_sets", "checkpoints", "scores")
    reasons = {
        f"{table} {key}": why
        for table in (of_cells if asset == "sweep" else (asset,))
        for key, why in outdated.get(table, {}).items()
    }
    says = "; ".join(f"{name}: {why}" for name, why in reasons.items()) or None
    return _warn("up_to_date", not reasons, {"outdated": len(reasons), **reasons}, says)


def of_one_pool(sweep: Mapping[str, Any]) -> dg.AssetCheckResult:
    """All training sets and cells of the sweep are of one pool: the same snapshots, entries and counts."""
    apart = {
        f"pool {pool['number']}": f"{pool['described']}: {', '.join(pool['training_sets'])}" for pool in sweep["pools"]
    }
    return _warn("of_one_pool", len(apart) <= 1, {"pools": len(apart), **apart})


def _check(name: str, passed: bool, **numbers: Any) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(check_name=name, passed=bool(passed), metadata=round_floats(numbers))


def _warn(name: str, passed: bool, metadata: Mapping[str, Any], description: str | None = None) -> dg.AssetCheckResult:
    severity, shown = dg.AssetCheckSeverity.WARN, round_floats(metadata)
    return dg.AssetCheckResult(
        check_name=name, passed=passed, severity=severity, metadata=shown, description=description
    )
