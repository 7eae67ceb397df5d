"""Following a backfill: a server that is away for a moment is waited for, one that stays away is told with the link.

What a new rung makes, and how a snapshot is dropped.
"""

from pathlib import Path

import dagster as dg
import pytest

from assets.keys import THRESHOLDS
from assets.waiting import drop_snapshots
from commands import backfills
from commands.rerun import snapshot_targets
from commands.rung import rung_targets
from commands.sweep import check_subsets, launch_sweep
from resources.instance.graphql import Progress, WebServer
from resources.lake.resource import Lake
from resources.lake.tables import PartitionManifest, ShardManifest


class Flaky(WebServer):
    """A web server that answers, or is away, as a script says."""

    def __init__(self, *script: Progress | Exception) -> None:
        super().__init__("http://127.0.0.1:3000")
        object.__setattr__(self, "script", list(script))

    def _next(self) -> Progress:
        script: list[Progress | Exception] = self.__dict__["script"]
        step = script.pop(0) if len(script) > 1 else script[0]
        if isinstance(step, Exception):
            raise step
        return step

    def progress(self, backfill: str) -> Progress:
        return self._next()

    def check_daemon(self) -> None:
        pass


GOING = Progress("REQUESTED", 2, {"scores": 1}, {})
DONE = Progress("COMPLETED_SUCCESS", 2, {}, {})


AWAY, BUSY = ConnectionError("away"), RuntimeError("refused the query: HTTP Error 500: database is locked")


def test_a_web_server_that_is_away_or_busy_for_a_moment_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfills, "POLL_SECONDS", 0.0)
    assert backfills.follow(Flaky(GOING, AWAY, BUSY, AWAY, DONE), "abc", "a sweep") == DONE


@pytest.mark.parametrize("fault", [AWAY, BUSY])
def test_one_that_stays_so_is_told_with_the_link(monkeypatch: pytest.MonkeyPatch, fault: Exception) -> None:
    monkeypatch.setattr(backfills, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(backfills, "PATIENCE_SECONDS", 0.1)
    with pytest.raises(type(fault), match=r"; then look at http://127\.0\.0\.1:3000/runs/b/abc"):
        backfills.follow(Flaky(GOING, fault), "abc", "a sweep")


def test_a_daemon_that_died_meanwhile_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def dead(self: Flaky) -> None:
        raise ConnectionError("no Dagster daemon is alive")

    monkeypatch.setattr(backfills, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(backfills, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(Flaky, "check_daemon", dead)
    with pytest.raises(ConnectionError, match="no Dagster daemon is alive; then look at"):
        backfills.follow(Flaky(GOING), "abc", "a sweep")


class Partitions(WebServer):
    """A web server that knows which subsets and images there are and which are made."""

    def __init__(self, registered: list[str], subsets: list[str], images: list[str]) -> None:
        super().__init__("http://127.0.0.1:3000")
        object.__setattr__(self, "partitions_of", {"subsets": (registered, subsets), "images": (registered, images)})

    def partitions(self, asset: str) -> tuple[list[str], list[str]]:
        partitions_of: dict[str, tuple[list[str], list[str]]] = self.__dict__["partitions_of"]
        return partitions_of[asset]


RUNGS = list(THRESHOLDS)


def test_a_rung_makes_its_subset_and_card_and_the_rings_that_begin_or_end_at_it() -> None:
    t, above = RUNGS[0], RUNGS[1]
    without_lowest = Partitions(RUNGS, subsets=RUNGS[1:], images=RUNGS[1:])
    rings = {"image_texts": [t, above], "images": [t, above]}
    assert rung_targets(without_lowest, t) == {"subsets": [t], "data_cards": [t], **rings}
    both_new = Partitions(RUNGS, subsets=RUNGS[2:], images=RUNGS[2:])
    assert rung_targets(both_new, t)["images"] == [t], "the next has a command of its own"
    without_images = Partitions(RUNGS, subsets=RUNGS[1:], images=[])
    assert rung_targets(without_images, t) == {"subsets": [t], "data_cards": [t]}


def test_a_rerun_makes_a_snapshot_and_what_is_counted_over_the_pool_and_nothing_that_was_never_made() -> None:
    web = Partitions([], [], [])
    partitions = {"matches": (["01", "02", "03"], ["01", "02"]), "robots_txt": (["01", "02", "03"], ["02"])}
    web.__dict__["partitions_of"].update(partitions)
    pool = ("exclusions", "entry_counts", "subsets", "data_cards", "what_if")
    everywhere = {"admissions": ["01", "02"], **dict.fromkeys(pool)}
    of_snapshot = ("pairs", "matches", "opt_out_signals")
    assert snapshot_targets(web, "01") == {**{name: ["01"] for name in of_snapshot}, **everywhere}
    assert snapshot_targets(web, "02") == {**{name: ["02"] for name in (*of_snapshot, "robots_txt")}, **everywhere}
    with pytest.raises(ValueError, match="04 is not in the pool; `metaclip register 04` puts it there"):
        snapshot_targets(web, "04")


def test_what_is_no_rung_yet_is_told_how_it_becomes_one() -> None:
    with pytest.raises(ValueError, match="METACLIP_THRESHOLDS=20,50,100,inf, start `metaclip ui` again"):
        rung_targets(Partitions(RUNGS, RUNGS, RUNGS), "50")
    with pytest.raises(ValueError, match="was started without the rung 20; start `metaclip ui` again"):
        rung_targets(Partitions(RUNGS[1:], RUNGS[1:], []), "20")


def test_a_sweep_over_a_rung_that_is_not_made_names_the_command() -> None:
    web = Partitions(RUNGS, subsets=RUNGS[1:], images=[])
    with pytest.raises(ValueError, match=r"t = 20 has no subset yet; `metaclip rung 20` makes it"):
        launch_sweep(web, ["20", "inf"], ["tiny"], wait=True)
    with pytest.raises(ValueError, match="t = 20 has no subset yet"):  # its ring of images is part of 100's set
        check_subsets(web, ["100"])
    check_subsets(Partitions(RUNGS, subsets=RUNGS, images=[]), ["100", "online-100"])


def test_a_snapshot_is_dropped_from_the_pool_and_a_key_that_is_not_there_is_named(tmp_path: Path) -> None:
    lake = Lake(root=str(tmp_path))
    lake.store("exclusions").finish(
        PartitionManifest("exclusions", "all", "v", 0, (ShardManifest("01", "f", "file", 1, 1, "d"),))
    )
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("snapshot", ["01", "wrong"])
        with pytest.raises(ValueError, match="wrnog: not in the pool; registered are 01, wrong"):
            drop_snapshots(instance, lake, ["01", "wrnog"])
        assert drop_snapshots(instance, lake, ["wrong"]) == []
        assert drop_snapshots(instance, lake, ["01"]) == ["01"]
        assert instance.get_dynamic_partitions("snapshot") == []
