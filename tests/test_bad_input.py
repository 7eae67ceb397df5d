"""What is off is named, blocks what follows, and leaves the lake as it was."""

import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import dagster as dg
import pytest

from assets.keys import check_thresholds
from assets.partitions import register_snapshots
from assets.waiting import drop_snapshots
from commands import demo
from definitions import bind
from resources.crawl.mini import mini_deployment
from resources.crawl.resource import CommonCrawl
from resources.deployments import Deployment, read_deployment
from resources.lake.resource import Lake

KEY = "SAMPLE-2026-01"


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as ephemeral:
        ephemeral.add_dynamic_partitions("snapshot", [KEY])
        yield ephemeral


@pytest.fixture
def broken(mini: Path, tmp_path: Path) -> Deployment:
    """A deployment over a copy of the mini sample, to be damaged."""
    copytree(mini, tmp_path / "mini")
    return mini_deployment(tmp_path / "mini", tmp_path / "home")


def archives(where: Deployment) -> list[Path]:
    return sorted(Path(where.crawl, "crawl-data", KEY).rglob("*.wat.gz"))


@pytest.mark.parametrize("key", ["SAMPLE-2026-99", "CC-MAIN-2024-10", "bad|key", ""])
def test_a_snapshot_that_the_crawl_does_not_list_is_refused(key: str, mini: Path, instance: dg.DagsterInstance) -> None:
    crawl = CommonCrawl(root=str(mini / "crawl"), snapshot_pattern=r"SAMPLE-\d{4}-\d{2}")
    with pytest.raises(ValueError, match=r"no snapshot id of this deployment|does not list it"):
        register_snapshots(instance, crawl, [key])
    assert instance.get_dynamic_partitions("snapshot") == [KEY]


def exclusions_wait(instance: dg.DagsterInstance) -> str | None:
    """What the check of exclusions said last: for whom the pool waits and why, or None where it passed."""
    check = dg.AssetCheckKey(dg.AssetKey("exclusions"), "every_snapshot_there")
    [last] = instance.event_log_storage.get_asset_check_execution_history(check, limit=1)
    assert last.evaluation is not None
    return None if last.evaluation.passed else last.evaluation.description


def test_a_wrong_key_is_named_where_the_pool_waits_for_it_until_it_is_dropped(
    mini: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    where, wrong = mini_deployment(mini, tmp_path), "SAMPLE-2026-99"
    instance.add_dynamic_partitions("snapshot", [wrong])  # as the UI's "Add partition" does
    with pytest.raises(ValueError, match="does not list it"):
        demo.materialize(bind(where), instance, ["pairs"], wrong)
    says = exclusions_wait(instance) or ""
    assert f"{wrong}: pairs failed: {wrong}: " in says
    assert f"{KEY}: matches are not made yet" in says
    assert "metaclip drop" in says
    drop_snapshots(instance, Lake(root=where.lake), [wrong])
    assert wrong not in (exclusions_wait(instance) or "")
    drop_snapshots(instance, Lake(root=where.lake), [KEY])
    assert exclusions_wait(instance) is None


def test_an_asset_before_its_upstreams_says_which_of_them_to_materialize(
    mini: Path, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    definitions = bind(mini_deployment(mini, tmp_path))
    above = {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs() if list(spec.deps)}
    upstreams = {dep.asset_key.to_user_string() for spec in above.values() for dep in spec.deps}
    names_reports = {"concepts", "sweep"}  # they name every cell that is missing
    assert len(above) > 15
    for name, spec in above.items():
        of = spec.partitions_def
        key = of.get_partition_keys(dynamic_partitions_store=instance)[0] if of else None
        try:
            demo.materialize(definitions, instance, [name], key)
        except dg.Failure as failure:
            says = failure.description or ""
            assert "materialize" in says, (
                f"{name} says {says!r}: name what to materialize, as MissingPartitionError does"
            )
            assert any(re.search(rf"\b{upstream}\b", says) for upstream in upstreams), f"{name} says {says!r}"
        else:
            assert name in names_reports, f"{name} was made of nothing: let it fail with a MissingPartitionError"


@pytest.mark.parametrize("rungs", [(), ("0",), ("20", "20"), ("100", "20"), ("twenty",), ("-1", "inf"), ("20", "100")])
def test_rungs_that_are_not_positive_numbers_ascending_to_inf_are_refused(rungs: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match=r"rungs? of t must|t must be"):
        check_thresholds(rungs)


def test_an_unknown_deployment_is_refused() -> None:
    with pytest.raises(ValueError, match="METACLIP_DEPLOYMENT='laptop'"):
        read_deployment({"METACLIP_DEPLOYMENT": "laptop"})


def test_a_missing_archive_fails_its_snapshot_by_name_and_nothing_is_readable(
    broken: Deployment, instance: dg.DagsterInstance
) -> None:
    gone = archives(broken)[0]
    gone.unlink()
    with pytest.raises(dg.Failure, match=rf"1 of 2 shards failed.*{gone.name}"):
        demo.materialize(bind(broken), instance, ["pairs"], KEY)
    assert Lake(root=broken.lake).finished("pairs", [KEY]) == []


def test_too_many_broken_records_block_what_follows(broken: Deployment, instance: dg.DagsterInstance) -> None:
    for path in archives(broken):
        damaged = bytearray(path.read_bytes())
        middle = len(damaged) // 2
        damaged[middle : middle + 30] = bytes(30)
        path.write_bytes(damaged)
    with pytest.raises(dg.DagsterError, match="few_broken_records"):
        demo.materialize(bind(broken), instance, ["pairs", "matches"], KEY)
    assert Lake(root=broken.lake).finished("matches", [KEY]) == []
    assert f"{KEY}: pairs refused by few_broken_records" in (exclusions_wait(instance) or "")


def test_counts_refuse_matches_of_another_list_of_entries(
    mini: Path, curated: Deployment, tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    copytree(curated.lake, tmp_path / "lake")
    where = mini_deployment(mini, tmp_path)
    fewer = {"ops": {"entries": {"config": {"budget": 1000}}}}
    demo.materialize(bind(where), instance, ["entries"], config=fewer)
    with pytest.raises(dg.Failure, match=f"matches of {KEY} was made from another version"):
        demo.materialize(bind(where), instance, ["exclusions"])
