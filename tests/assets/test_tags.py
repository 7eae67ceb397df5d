"""Runs are tagged with what they are of, whoever launched them."""

import dagster as dg
import pytest

from assets.partitions import cells, snapshots, thresholds, training_set_keys
from assets.tags import tag_run


@pytest.mark.parametrize(
    ("partitions", "key", "tags"),
    [
        (snapshots, "SAMPLE-2026-01", {"snapshot": "SAMPLE-2026-01"}),
        (thresholds, "20", {"t": "20"}),
        (training_set_keys, "online-20", {"t": "20"}),
        (cells, "tiny|online-20", {"t": "20", "training_set": "online-20", "model": "tiny"}),
    ],
)
def test_a_run_has_tags_of_its_snapshot_or_of_its_t_and_model(
    partitions: dg.PartitionsDefinition, key: str, tags: dict[str, str]
) -> None:
    @dg.asset(partitions_def=partitions)
    @tag_run
    def tagged(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        return dg.MaterializeResult()

    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("snapshot", ["SAMPLE-2026-01"])
        run = instance.get_run_by_id(dg.materialize([tagged], instance=instance, partition_key=key).run_id)
    assert run is not None
    assert tags.items() <= run.tags.items()
