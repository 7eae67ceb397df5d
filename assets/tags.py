"""Tag runs with snapshot, t, training_set and model, so that the UI's list of runs can be filtered."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import dagster as dg

from assets.keys import Cell, t_of


def tag_run(make: Callable[..., dg.MaterializeResult]) -> Callable[..., dg.MaterializeResult]:
    """Decorate an asset with partitions: a run that makes it has tags that say of what, whoever launched it.

    Dagster's own tag `dagster/partition` has the whole key, which for a cell is `model|training_set`.
    """

    @wraps(make)
    def make_tagged(context: dg.AssetExecutionContext, *args: Any, **resources: Any) -> dg.MaterializeResult:
        tags = tags_of(context.assets_def.partitions_def, context.partition_key)
        context.instance.add_run_tags(context.run.run_id, tags)
        return make(context, *args, **resources)

    return make_tagged


def tags_of(partitions: dg.PartitionsDefinition | None, key: str) -> dict[str, str]:
    """What a partition key says.

    >>> tags_of(dg.DynamicPartitionsDefinition(name="snapshot"), "CC-MAIN-2025-05")
    {'snapshot': 'CC-MAIN-2025-05'}
    >>> tags_of(dg.StaticPartitionsDefinition(["online-20"]), "online-20")
    {'t': '20'}
    """
    if isinstance(partitions, dg.DynamicPartitionsDefinition):
        return {str(partitions.name): key}
    if isinstance(partitions, dg.MultiPartitionsDefinition):
        cell = Cell.of(key)
        return {"model": cell.model, "training_set": cell.training_set, **_tag_t(cell.training_set)}
    return _tag_t(key)


def _tag_t(key: str) -> dict[str, str]:
    return {"mixture": key} if key.startswith("mix-") else {"t": t_of(key)}
