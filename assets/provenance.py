"""What a partition was made of, kept in its manifest; and which partitions are outdated, since that is another now.

Dagster's graph shows no partition as out of date, and looks one step up. So whatever replaces a partition from subsets
on reports the check `up_to_date` of all assets below it.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace

import dagster as dg

from assets.checks import up_to_date
from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, cells, rings_up_to
from metaclip_dagster.reporting.sweeps.pools import PoolVersion
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest

BELOW_SUBSETS = ("image_texts", "images", "training_sets", "checkpoints", "scores")

_POOL, _READ, _BELOW = "pool version", "read ", "rung below"

Outdated = dict[str, dict[str, str]]
"""By asset and partition, why."""


def tell_pool(pool: PoolVersion | None) -> dict[str, str]:
    """For the manifest of what is made of one pool."""
    return {} if pool is None else {_POOL: json.dumps(asdict(pool))}


def recorded_pool(manifest: PartitionManifest) -> PoolVersion | None:
    """The pool that a partition was made of; None where an older version made it."""
    if not (recorded := manifest.inputs.get(_POOL)):
        return None
    fields = json.loads(recorded)
    return PoolVersion(tuple(fields["snapshots"]), fields["entries"], fields["entry_counts"])


def current_pool(lake: Lake) -> PoolVersion | None:
    """The pool that entry_counts are of, which subsets are drawn from next; None where nothing says it."""
    counts = lake.store("entry_counts").manifest()
    recorded = recorded_pool(counts) if counts else None
    return replace(recorded, entry_counts=counts.version) if counts and recorded else None


def tell_read(lake: Lake, *partitions: tuple[str, str]) -> dict[str, str]:
    """For the manifest: the versions of the partitions that are read. Ask before they are."""
    return {f"{_READ}{table}/{key}": lake.manifest(table, key).version for table, key in partitions}


def tell_ring(t: str) -> dict[str, str]:
    """For the manifest of a ring of images: the rung at which it begins."""
    return {_BELOW: _rung_below(t)}


def parents_of(table: str, key: str) -> list[tuple[str, str]]:
    """What a partition below the subsets is made of, as table and partition."""
    if table in ("image_texts", "images"):
        return [("subsets", key)]
    if table == "training_sets":
        t = "inf" if key.startswith("online-") else key
        return [("subsets", t), *(("images", ring) for ring in rings_up_to(t))]
    if table == "checkpoints":
        return [("training_sets", Cell.of(key).training_set)]
    return [("checkpoints", key)]


def find_outdated(lake: Lake) -> Outdated:
    """The partitions from subsets on that are not made of what is there now, directly or through what they read.

    What was made before versions were kept counts as up to date, unless what it reads does not.
    """
    pool, keys = current_pool(lake), [str(key) for key in cells.get_partition_keys()]
    partitions = dict.fromkeys(("image_texts", "images"), THRESHOLDS)
    partitions |= {"training_sets": TRAINING_SETS, "checkpoints": keys, "scores": keys}
    manifests = {("subsets", t): manifest for t in THRESHOLDS if (manifest := lake.store("subsets", t).manifest())}
    outdated: Outdated = {"subsets": {}}
    for (_, t), manifest in manifests.items():
        if pool and recorded_pool(manifest) not in (None, pool):
            outdated["subsets"][t] = "entry_counts are of another pool"
    for table in BELOW_SUBSETS:
        outdated[table] = {}
        for key in partitions[table]:
            if manifest := lake.store(table, key).manifest():
                manifests[table, key] = manifest
                if why := next(_reasons(table, key, manifests, outdated), None):
                    outdated[table][key] = why
    return outdated


def report_outdated(context: dg.AssetExecutionContext, lake: Lake) -> dg.AssetCheckResult:
    """The verdict of the running asset; that of every other asset below the subsets is reported to Dagster now."""
    outdated, made_now = find_outdated(lake), context.asset_key.to_python_identifier()
    for asset in (*BELOW_SUBSETS, "sweep"):
        if asset != made_now:
            report_check(context.instance, asset, up_to_date(asset, outdated))
    return up_to_date(made_now, outdated)


def report_check(instance: dg.DagsterInstance, asset: str, result: dg.AssetCheckResult) -> None:
    """Tell Dagster of a check of an asset that is not being made now."""
    instance.report_runless_asset_event(
        dg.AssetCheckEvaluation(
            asset_key=dg.AssetKey(asset),
            check_name=result.check_name or "",
            passed=result.passed,
            metadata=dict(result.metadata),
            severity=result.severity,
            description=result.description,
            blocking=False,
        )
    )


def _reasons(
    table: str, key: str, manifests: Mapping[tuple[str, str], PartitionManifest], outdated: Outdated
) -> Iterator[str]:
    inputs = manifests[table, key].inputs
    known = any(name.startswith(_READ) for name in inputs)
    if table == "images" and _BELOW in inputs and inputs[_BELOW] != _rung_below(key):
        yield f"the ring begins at {_rung_below(key)} now"
    for parent, of in parents_of(table, key):
        if (parent, of) not in manifests:
            yield f"{parent} of {of} are not there"
        elif known and inputs.get(f"{_READ}{parent}/{of}") != manifests[parent, of].version:
            yield f"{parent} of {of} were made anew"
        elif of in outdated[parent]:
            yield f"{parent} of {of} are outdated"


def _rung_below(t: str) -> str:
    smaller: Sequence[str] = rings_up_to(t)[:-1]
    return smaller[-1] if smaller else "0"
