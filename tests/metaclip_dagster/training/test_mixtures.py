"""What a mixture may say, and laws of how often its sources are seen."""

from collections import Counter
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metaclip_dagster.balancing import uniform
from metaclip_dagster.training import SetFile
from metaclip_dagster.training.jobs import check_images
from metaclip_dagster.training.loading import ImageTexts
from metaclip_dagster.training.mixing import MixedTexts
from metaclip_dagster.training.mixtures import assign_snapshots, count_seen, find_source, parse_mixture, weigh_sources
from tests.metaclip_dagster.training_sets import BATCH, IN_SET, NAMES, build_set, is_ours, job_of, mixture_of

CRAWL = {"snapshots": ["CC-MAIN-*"], "t": "20"}
OURS = {"snapshots": ["pool-ours"], "t": "inf"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


@pytest.mark.parametrize("shares", [[1], [7, 3], [1, 999], [5, 1, 1, 93], [10**30, 1, 10**30]])
def test_every_part_of_the_budget_has_each_source_in_its_share_to_the_pair(shares: list[int]) -> None:
    seen = np.zeros(len(shares), np.int64)
    for position in range(3000):
        assert count_seen(position, shares) == seen.tolist()
        assert (abs(seen - position * np.array([share / sum(shares) for share in shares])) <= len(shares)).all()
        seen[find_source(position, shares)] += 1


@pytest.mark.parametrize(("loaders", "epochs"), [(1, 3), (3, 2), (5, 1)])
def test_the_whole_budget_is_seen_in_exact_shares_however_many_loaders_there_are(
    folder: Path, loaders: int, epochs: int
) -> None:
    budget = BATCH * 30
    job = mixture_of(
        folder, loader_workers=loaders, budget=budget, recipe=replace(job_of(folder).recipe, epochs=epochs)
    )
    reader, seen = MixedTexts(job, uniform), Counter[bool]()
    for epoch in range(epochs):
        reader.epoch = lambda epoch=epoch: epoch  # type: ignore[misc]  # mypy knows no defaults of lambdas
        for loader in range(loaders):
            for sample in islice(reader([{"url": str(loader)}]), budget // epochs // loaders):
                seen[is_ours(sample["txt"].decode())] += 1
    assert [seen[False], seen[True]] == count_seen(budget, [7, 3])


@pytest.mark.parametrize("loaders", [1, 2, 3, 7])
def test_a_pass_of_all_loaders_over_a_source_gives_each_of_its_images_once(folder: Path, loaders: int) -> None:
    reader = MixedTexts(mixture_of(folder, loader_workers=loaders), uniform)
    for source in ("crawl", "ours"):
        seen = Counter[str]()
        for loader in range(loaders):
            for sample in reader.read_source(source, 0, loader):
                if reader.visit[1]:
                    break
                seen[sample["__key__"]] += 1
        assert (len(seen), {*seen.values()}) == (525 if source == "crawl" else 175, {1})


def test_one_source_is_read_as_the_set_that_it_is(folder: Path) -> None:
    job = job_of(folder)
    alone = replace(job, shards=tuple(replace(it, source="all") for it in job.shards), mixture={"all": 1})
    mixed = islice(MixedTexts(alone, uniform)([{"url": "0"}]), len(IN_SET))
    plain = ImageTexts(job, uniform)([{"url": str(number)} for number in range(len(NAMES))])
    of_mixture, of_set = ({it["__key__"]: it["txt"] for it in samples} for samples in (mixed, plain))
    assert of_mixture == of_set


def test_an_image_of_two_sources_is_in_each_with_that_sources_texts(folder: Path) -> None:
    again = SetFile(str(folder / "00000.parquet"), tuple(NAMES[:-2]), "ours")
    job = mixture_of(folder, shards=(mixture_of(folder).shards[0], again))
    assert check_images(job).total() == 2 * sum(image < 600 for image in IN_SET)
    with pytest.raises(ValueError, match=f"a tar is named twice: {NAMES[0]}"):
        check_images(replace(job, shards=(again, again)))


def test_a_source_that_is_too_small_for_its_loaders_is_refused(folder: Path) -> None:
    check_images(mixture_of(folder, loader_workers=4))
    with pytest.raises(
        ValueError, match="crawl has 525 images, and at most 88 of them in a tar, too few for 90 loaders"
    ):
        check_images(mixture_of(folder, loader_workers=90))
    with pytest.raises(ValueError, match="crawl has 0 images with a text in ja"):
        check_images(mixture_of(folder, recipe=replace(job_of(folder).recipe, languages="ja")))


def test_weights_are_of_images_and_shares_of_seen_pairs() -> None:
    images = {"crawl": 700, "ours": 100}
    assert weigh_sources(parse_mixture({"crawl": CRAWL, "ours": OURS}), images) == {"crawl": 7, "ours": 1}
    thrice = parse_mixture({"crawl": CRAWL, "ours": {**OURS, "weight": 3}})
    assert weigh_sources(thrice, images) == {"crawl": 7, "ours": 3}
    halves = parse_mixture({"crawl": {**CRAWL, "weight": 0.1}, "ours": {**OURS, "weight": 0.2}})
    assert weigh_sources(halves, images) == {"crawl": 7, "ours": 2}
    shares = parse_mixture({"crawl": {**CRAWL, "share": 0.7}, "ours": {**OURS, "share": 0.3}})
    assert weigh_sources(shares, images) == {"crawl": 7, "ours": 3}
    with pytest.raises(ValueError, match="ours: no image in the training set"):
        weigh_sources(shares, {"crawl": 700})


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        ({}, "name its sources"),
        ([], "name its sources"),
        ({"CC/MAIN": CRAWL}, "'CC/MAIN' is no name"),
        ({"crawl": 20}, "crawl: a source has snapshots, a t, and a weight or a share, not 20"),
        ({"crawl": {**CRAWL, "wieght": 2}}, "crawl: a source has .* not wieght"),
        ({"crawl": {"t": "20"}}, "crawl: give its snapshots"),
        ({"crawl": {"snapshots": [], "t": "20"}}, "crawl: give its snapshots"),
        ({"crawl": {"snapshots": ["CC-MAIN-*"]}}, "crawl: give its t"),
        ({"crawl": {**CRAWL, "weight": 0}}, "crawl: its weight is a number above 0, not 0; to see none"),
        ({"crawl": {**CRAWL, "weight": -1.5}}, "not -1.5"),
        ({"crawl": {**CRAWL, "weight": float("inf")}}, "not inf"),
        ({"crawl": {**CRAWL, "weight": True}}, "not True"),
        ({"crawl": {**CRAWL, "share": "70 %"}}, "its share is a number above 0, not '70 %'"),
        ({"crawl": {**CRAWL, "share": 1, "weight": 1}}, "a weight and a share"),
        ({"crawl": {**CRAWL, "share": 0.7}, "ours": OURS}, "some sources have a share and others none"),
        ({"crawl": {**CRAWL, "share": 0.7}, "ours": {**OURS, "share": 0.2}}, "its shares sum to 0.9, not to 1"),
    ],
)
def test_a_mixture_that_says_something_else_is_refused(sources: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        parse_mixture(sources)


def test_each_snapshot_is_of_one_source_and_each_name_is_of_a_snapshot() -> None:
    pool = ["CC-MAIN-2025-05", "CC-MAIN-2025-47", "pool-ours", "pool-theirs"]
    sources = parse_mixture({"crawl": CRAWL, "ours": OURS})
    assert {key: source.name for key, source in assign_snapshots(sources, pool).items()} == {
        "CC-MAIN-2025-05": "crawl",
        "CC-MAIN-2025-47": "crawl",
        "pool-ours": "ours",
    }
    with pytest.raises(ValueError, match="ours: the pool has no snapshot pool-ours, but CC-MAIN-2025-05; register it"):
        assign_snapshots(sources, pool[:1])
    both = parse_mixture({"crawl": CRAWL, "all": {"snapshots": "*", "t": 20}})
    with pytest.raises(ValueError, match="CC-MAIN-2025-05 is in the sources crawl and all: name it in one"):
        assign_snapshots(both, pool)
