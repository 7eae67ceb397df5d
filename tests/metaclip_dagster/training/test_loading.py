"""Who is trained on, with which text, at which visit: laws of the loader, inside open_clip_train's own pipeline."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_dagster.balancing import uniform
from metaclip_dagster.schemas import TRAINING_SETS
from metaclip_dagster.training import SetFile, TrainingPlan
from metaclip_dagster.training.jobs import check_images
from metaclip_dagster.training.loading import ImageTexts, read_rows, replace_reader
from metaclip_dagster.training.mixing import MixedTexts
from metaclip_dagster.training.mixtures import count_seen
from tests.metaclip_dagster.training_sets import (
    BATCH,
    IMAGES_A_TAR,
    IN_SET,
    NAMES,
    NUM_TARS,
    RECIPE,
    SUFFIXES,
    build_set,
    chances,
    draw,
    image_id_of,
    images_of,
    in_set,
    is_ours,
    job_of,
    mixture_of,
    online,
    texts_of,
    write_tar,
)

NUMBERS = [{"url": str(number)} for number in range(NUM_TARS)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_set(tmp_path_factory.mktemp("set"))


def visits(reader: ImageTexts, epoch: int = 0) -> dict[str, str]:
    """One pass over all tars: image_id -> text."""
    reader.epoch = lambda: epoch
    return {sample["__key__"]: sample["txt"].decode() for sample in reader(NUMBERS)}


def image_in(sample: dict[str, Any]) -> bytes:
    [image] = (sample[suffix] for suffix in SUFFIXES if suffix in sample)
    return bytes(image)


def draws(job: TrainingPlan, epochs: int) -> Iterator[dict[str, str]]:
    """Epoch after epoch, image_id -> text, without the images."""
    reader = ImageTexts(job, uniform)
    tars = [read_rows(path, tar, {}) for tar, path in job.tars]
    for epoch in range(epochs):
        reader.visit = (epoch, 0)
        drawn = {}
        for rows in tars:
            texts = rows["texts"].combine_chunks().flatten().field("text")
            for image, place in zip(rows["image_id"].to_pylist(), reader.choose(rows).tolist(), strict=True):
                if place >= 0:
                    drawn[image] = texts[place].as_py()
        yield drawn


def open_loader(job: TrainingPlan, samples: int) -> Callable[[int], Iterator[str]]:
    """open_clip_train's own loader with ours inside: epoch -> the texts of its samples, in order."""
    from open_clip_train.main import get_data

    args = SimpleNamespace(
        train_data=f"{{0..{job.num_parts - 1}}}",
        val_data=None,
        dataset_type="webdataset",
        seed=job.seed,
        workers=job.loader_workers,
        train_num_samples=samples,
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        batch_size=BATCH,
        world_size=1,
        imagenet_val=None,
        imagenet_v2=None,
    )
    transforms = (lambda image: image.size[0], lambda image: image)
    train = replace_reader(get_data, (MixedTexts if job.mixture else ImageTexts)(job, uniform))(
        args, transforms, tokenizer=lambda text: [text]
    )["train"]

    def one_epoch(epoch: int) -> Iterator[str]:
        train.set_epoch(epoch)
        for sizes, texts in train.dataloader:
            assert set(np.asarray(sizes)) == {32}
            yield from texts

    return one_epoch


def test_a_recipe_of_some_languages_reads_their_texts_alone(folder: Path) -> None:
    recipe = replace(RECIPE, languages="de, ja")
    german = {image_id_of(image): f"{image} {len(texts_of(image)) - 1}" for image in IN_SET if image % 4 == 1}
    assert visits(ImageTexts(replace(job_of(folder), recipe=recipe), uniform)) == german
    balanced = [*draws(replace(job_of(folder, online=online(folder)), recipe=recipe), 4)]
    assert all(drawn.items() < german.items() for drawn in balanced)
    counted = check_images(replace(job_of(folder), recipe=recipe))
    assert (counted.total(), set(counted)) == (len(german), {*NAMES})
    with pytest.raises(ValueError, match="has 0 images with a text in ja, and of its"):
        check_images(replace(job_of(folder), recipe=replace(RECIPE, languages="ja")))


def test_every_pass_gives_each_image_of_the_set_once_and_none_besides(folder: Path) -> None:
    reader = ImageTexts(job_of(folder), uniform)
    for epoch in (0, 0, 1):
        reader.epoch = lambda epoch=epoch: epoch  # type: ignore[misc]  # mypy knows no defaults of lambdas
        samples = [(sample["__key__"], sample["__url__"], {*sample}, image_in(sample)) for sample in reader(NUMBERS)]
        keys = [{"__key__", "__url__", "txt", SUFFIXES[image % 3]} for image in IN_SET]
        tars = [NAMES[image // IMAGES_A_TAR] for image in IN_SET]
        images = [draw(image) for image in IN_SET]
        assert samples == list(zip(map(image_id_of, IN_SET), tars, keys, images, strict=True))


def test_an_image_is_shown_with_each_of_its_own_texts_in_turn_and_no_other(folder: Path) -> None:
    shown: dict[str, set[str]] = {}
    for drawn in draws(job_of(folder), 40):
        for image, text in drawn.items():
            shown.setdefault(image, set()).add(text)
    assert shown == {image_id_of(image): {text["text"] for text in texts_of(image)} for image in IN_SET}


def test_texts_follow_seed_epoch_pass_and_image_alone(folder: Path) -> None:
    first = visits(ImageTexts(job_of(folder), uniform), 3)
    reader = ImageTexts(job_of(folder), uniform)
    assert visits(reader, 3) == first
    assert visits(reader, 3) != first  # the second pass of an epoch
    assert visits(reader, 4) != first
    assert visits(ImageTexts(job_of(folder, seed=1), uniform), 3) != first


def test_online_balancing_keeps_the_tail_and_meets_its_expectation_in_every_epoch(folder: Path) -> None:
    chance, tail = chances(), {image_id_of(image) for image in IN_SET if image % 50 == 0}
    deviation, sizes = np.sqrt((chance * (1 - chance)).sum()), []
    for drawn in draws(job_of(folder, online=online(folder)), 300):
        assert tail <= drawn.keys()
        sizes.append(len(drawn))
    assert abs(np.mean(sizes) - chance.sum()) < 4 * deviation / np.sqrt(len(sizes))
    assert abs(np.std(sizes) / deviation - 1) < 0.2


def test_online_balancing_shows_only_admitted_texts(folder: Path) -> None:
    tails = {f"{image} 1" for image in IN_SET if image % 50 == 0}
    shown = [tails.intersection(drawn.values()) for drawn in draws(job_of(folder, online=online(folder)), 100)]
    # A tail text is always admitted, the image's other two in one pass of 40 and of 4: it is shown most times.
    assert sum(map(len, shown)) > 0.8 * len(shown) * len(tails)


@pytest.mark.parametrize("is_online", [False, True])
def test_loaders_change_nothing_of_the_draw(folder: Path, is_online: bool) -> None:
    job = job_of(folder, online=online(folder) if is_online else None)
    expected = set(visits(ImageTexts(job, uniform), 5).values())
    one, two = (set(open_loader(replace(job, loader_workers=n), 2 * BATCH)(5)) for n in (0, 2))
    assert one <= expected
    assert two <= expected
    assert len(one) == len(two) == 2 * BATCH


def test_open_clips_loader_gives_what_we_give_epoch_after_epoch(folder: Path) -> None:
    one_epoch = open_loader(job_of(folder), len(IN_SET) // BATCH * BATCH)
    for epoch in range(2):
        shown = list(one_epoch(epoch))
        assert len(shown) == len(IN_SET) // BATCH * BATCH
        assert len({text.split()[0] for text in shown}) == len(shown)
        assert set(shown) <= set(visits(ImageTexts(job_of(folder), uniform), epoch).values())


def test_the_order_of_pairs_follows_the_seed_and_the_epoch_alone(folder: Path) -> None:
    samples = len(IN_SET) // BATCH * BATCH
    first, again = (open_loader(job_of(folder), samples) for _ in range(2))
    orders = [list(first(epoch)) for epoch in range(2)]
    assert orders == [list(again(epoch)) for epoch in range(2)]
    images = [[text.split()[0] for text in order] for order in orders]
    assert images[0] != images[1]
    other = open_loader(job_of(folder, seed=1), samples)
    assert [text.split()[0] for text in other(0)] != images[0]


def test_a_loader_reads_the_rows_of_its_tar_alone(folder: Path) -> None:
    rows = read_rows(str(folder / "00000.parquet"), NAMES[2], {})
    assert rows["image_id"].to_pylist() == [image_id_of(image) for image in images_of(2) if in_set(image)]
    assert rows["texts"].to_pylist()[0] == texts_of(images_of(2)[0])
    assert rows.schema.field("texts").equals(TRAINING_SETS.field("texts"))


class Bomb:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.mark,)


def test_no_member_but_an_image_leaves_a_tar(tmp_path: Path) -> None:
    mark, image = tmp_path / "ran", image_id_of(1)
    bomb = pickle.dumps(Bomb(mark))
    members = [
        (f"{image}.{suffix}", bomb) for suffix in ("pyd", "pickle", "pkl", "pth", "npy", "jpg.pyd", "json", "txt")
    ]
    build_one(tmp_path, [*members, (f"{image}.png", b"the image"), (f"{image}.webp", b"again"), ("a/../b.png", b"")])
    [sample] = ImageTexts(job_of_one(tmp_path), uniform)._read(*job_of_one(tmp_path).tars[0])
    assert sample == {"__key__": image, "__url__": "a.tar", "png": b"the image", "txt": b"1 0"}
    assert not mark.exists()


def test_a_tar_is_a_file_whatever_its_name(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    for name in (f"pipe:touch {mark}", f"{{0..9}}::{mark}.tar"):
        job = replace(job_of_one(tmp_path), shards=(SetFile(str(tmp_path / "rows.parquet"), (name,)),))
        build_one(tmp_path, [], tar=name)
        (tmp_path / "images" / name).unlink()
        with pytest.raises(FileNotFoundError, match=r"ran"):
            next(ImageTexts(job, uniform)([{"url": "0"}]))
    assert not mark.exists()
    for name in ("/etc/passwd", "../images/a.tar"):
        job = replace(job, shards=(SetFile(str(tmp_path / "rows.parquet"), (name,)),))
        with pytest.raises(ValueError, match="is no tar of the image store"):
            next(ImageTexts(job, uniform)([{"url": "0"}]))


def test_a_tar_that_lacks_an_image_of_the_set_ends_the_training(tmp_path: Path) -> None:
    build_one(tmp_path, [(f"{image_id_of(2)}.png", b"another image")])
    with pytest.raises(RuntimeError, match=rf"a.tar lacks 1 images of 20, {image_id_of(1)} among them"):
        list(ImageTexts(job_of_one(tmp_path), uniform)([{"url": "0"}]))


def test_a_pass_of_less_than_a_batch_ends_the_training(tmp_path: Path) -> None:
    build_one(tmp_path, [(f"{image_id_of(1)}.png", b"the image")])
    with pytest.raises(RuntimeError, match="was given 1 images in epoch 0, fewer than its batch of 32"):
        list(ImageTexts(job_of_one(tmp_path), uniform)([{"url": "0"}]))


def build_one(folder: Path, members: list[tuple[str, bytes]], tar: str = "a.tar") -> None:
    """One tar, and a set of one image that should be in it."""
    write_tar(folder / "images" / tar, members)
    rows = [{"tar": tar, "image_id": image_id_of(1), "texts": texts_of(1)[:1]}]
    pq.write_table(pa.Table.from_pylist(rows, TRAINING_SETS), folder / "rows.parquet")


def job_of_one(folder: Path) -> TrainingPlan:
    return job_of(folder, shards=(SetFile(str(folder / "rows.parquet"), ("a.tar",)),))


def test_open_clips_own_pipeline_gives_each_epoch_in_exact_shares_and_so_it_does_when_resumed(folder: Path) -> None:
    job = mixture_of(folder, budget=BATCH * 9)
    for resumed in (0, 1):
        one_epoch = open_loader(job, job.pairs_an_epoch)
        for epoch in range(resumed, 3):
            ours = sum(map(is_ours, one_epoch(epoch)))
            before, after = (count_seen(at * job.pairs_an_epoch, [7, 3])[1] for at in (epoch, epoch + 1))
            assert ours == after - before
