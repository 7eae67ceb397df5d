"""Tars in an object store behind a proxy that fails requests: samples as from a folder, to each rank its share."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from metaclip_dagster.balancing import uniform
from metaclip_dagster.training import TrainingPlan
from metaclip_dagster.training.caching import BlockCache
from metaclip_dagster.training.jobs import check_images
from metaclip_dagster.training.loading import ImageTexts
from resources.files.object_store import connect, settings
from tests.metaclip_dagster.training.test_loading import NUMBERS, open_loader
from tests.metaclip_dagster.training_sets import BATCH, IN_SET, NAMES, build_set, job_of
from tests.s3 import BUCKET, Proxy, by_chance, no_faults, serving_by_environment

IMAGES = f"s3://{BUCKET}/images"
BLOCK_BYTES = 20_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Proxy]:
    with serving_by_environment() as proxy:
        filesystem, root = connect(IMAGES, proxy.options)
        filesystem.put(f"{folder}/images/", f"{root}/", recursive=True)
        yield proxy


@pytest.fixture
def proxy(server: Proxy) -> Proxy:
    return server.start_anew()


@pytest.fixture
def job(folder: Path, proxy: Proxy) -> TrainingPlan:
    return replace(job_of(folder), images=IMAGES, image_options=settings(IMAGES, proxy.options))


def read_all(reader: ImageTexts) -> list[dict[str, object]]:
    """One pass over all tars."""
    return list(reader(NUMBERS))


def in_small_blocks(job: TrainingPlan, cache: BlockCache | None = None) -> ImageTexts:
    reader = ImageTexts(job, uniform)
    reader.store = replace(reader.store, block_bytes=BLOCK_BYTES, cache=cache)
    return reader


def count_bytes(proxy: Proxy) -> Counter[str]:
    """Bytes that were asked for by range, by tar."""
    counted: Counter[str] = Counter()
    for method, path, asked in proxy.asked:
        if method == "GET" and asked and path.endswith(".tar"):
            start, end = map(int, asked.removeprefix("bytes=").split("-"))
            counted[path.removeprefix(f"/{BUCKET}/images/")] += end + 1 - start
    return counted


def test_a_pass_gives_what_the_folder_gives_and_reads_each_byte_once_through_faults(
    job: TrainingPlan, folder: Path, proxy: Proxy
) -> None:
    proxy.plan = by_chance(5, 0.05)
    assert read_all(in_small_blocks(job)) == read_all(ImageTexts(job_of(folder), uniform))
    assert proxy.met.total() > proxy.met["none"] > 50
    proxy.plan = no_faults
    proxy.asked.clear()
    read_all(in_small_blocks(job))
    assert count_bytes(proxy) == {name: (folder / "images" / name).stat().st_size for name in NAMES}


@pytest.mark.parametrize("workers", [0, 2])
def test_open_clips_loader_gives_the_same_pairs_in_the_same_order(
    job: TrainingPlan, folder: Path, workers: int
) -> None:
    check_images(job)  # as the first rank does, before it forks its loaders
    local, remote = (
        open_loader(replace(it, loader_workers=workers), len(IN_SET) // BATCH * BATCH) for it in (job_of(folder), job)
    )
    for epoch in range(2):
        assert list(local(epoch)) == list(remote(epoch))


def test_ranks_read_their_own_share_of_the_tars_alone(
    job: TrainingPlan, folder: Path, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    shares = []
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        proxy.asked.clear()
        list(open_loader(replace(job, ranks=2), len(IN_SET) // BATCH // 2 * BATCH)(0))
        shares.append(count_bytes(proxy))
    assert len(shares[0]) == len(shares[1]) == len(NAMES) // 2
    assert shares[0] + shares[1] == {name: (folder / "images" / name).stat().st_size for name in NAMES}


def test_what_fits_the_cache_is_asked_for_once_and_the_rest_at_every_pass(
    job: TrainingPlan, proxy: Proxy, tmp_path: Path
) -> None:
    first = in_small_blocks(job, BlockCache(tmp_path / "large", 10**9))
    expected, all_bytes = read_all(first), count_bytes(proxy).total()
    proxy.asked.clear()
    again = in_small_blocks(job, BlockCache(tmp_path / "large", 10**9))
    assert read_all(again) == expected
    assert not count_bytes(proxy)
    [whole, *_] = (tmp_path / "large").glob("*.block")
    whole.write_bytes(whole.read_bytes()[:-9])  # as a crash of the machine leaves it
    assert read_all(in_small_blocks(job, BlockCache(tmp_path / "large", 10**9))) == expected
    assert 0 < count_bytes(proxy).total() <= BLOCK_BYTES
    small = in_small_blocks(job, BlockCache(tmp_path / "small", all_bytes // 2))
    for _ in range(2):
        proxy.asked.clear()
        assert [sample["__key__"] for sample in read_all(small)] == [sample["__key__"] for sample in expected]
        assert sum(path.stat().st_size for path in (tmp_path / "small").glob("*.block")) <= all_bytes // 2
    assert 0.45 * all_bytes < count_bytes(proxy).total() < 0.6 * all_bytes


def test_an_object_that_is_cut_short_or_gone_ends_the_training_and_is_named(
    job: TrainingPlan, folder: Path, proxy: Proxy
) -> None:
    filesystem, root = connect(IMAGES, proxy.options)
    content = (folder / "images" / NAMES[3]).read_bytes()
    for end, said in [(20_480, "was cut short"), (20_000, "was cut short"), (0, "was cut short"), (None, "missing")]:
        url = f"{IMAGES}/cut{end}.tar"
        if end is not None:
            filesystem.pipe_file(f"{root}/cut{end}.tar", content[:end])
        broken = replace(job, objects={NAMES[3]: f"cut{end}.tar"})
        error = ValueError if end is not None else FileNotFoundError
        with pytest.raises(error, match=rf"{url}.*{said}.*an older version of the object"):
            check_images(broken)
        with pytest.raises(error, match=rf"{url}.*{said}.*an older version of the object"):
            read_all(in_small_blocks(broken))


def test_a_store_that_goes_on_failing_ends_the_training_and_names_the_bytes(job: TrainingPlan, proxy: Proxy) -> None:
    options = {**job.image_options, "config_kwargs": {"retries": {"mode": "standard", "total_max_attempts": 1}}}
    proxy.plan = lambda method, path: "500" if method == "GET" and path.endswith(NAMES[2]) else None
    with pytest.raises(OSError, match=rf"{IMAGES}/{NAMES[2]}: bytes 0 to .* run the partition again"):
        read_all(ImageTexts(replace(job, image_options=options), uniform))


@pytest.mark.parametrize("name", ["../x.tar", "/x.tar", f"a::{IMAGES}/{NAMES[0]}", f"{IMAGES}/{NAMES[0]}"])
def test_a_tar_is_an_object_below_the_root_whatever_its_name(job: TrainingPlan, name: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=r"is no tar of the image store|missing"):
        ImageTexts(job, uniform).store.open(name)
