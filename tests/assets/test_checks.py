"""What checks say beside yes and no."""

from assets.checks import no_empty_snapshot
from resources.lake.tables import PartitionManifest, ShardManifest


def test_an_empty_snapshot_says_what_was_dropped_and_why() -> None:
    shards = [
        ShardManifest(str(number), "", "", rows=0, bytes=0, digest="", dropped=dropped)
        for number, dropped in enumerate([{"no_text": 1000, "repeat": 0}, {"no_text": 500, "sparse": 2}])
    ]
    verdict = no_empty_snapshot(PartitionManifest("pairs", "pool-theirs", "", 0, tuple(shards)))
    assert not verdict.passed
    assert verdict.description == "0 rows; dropped: no_text 1,500, sparse 2"
    assert verdict.metadata["dropped"].value == {"no_text": 1500, "sparse": 2}
