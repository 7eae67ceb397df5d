"""Feed open_clip_train from the image store's tars: the images of a training set, each with one of its texts."""

import random
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import fsspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from metaclip_dagster.training.jobs import TrainingPlan, find_spoken

FORMATS = {"jpg", "png", "webp"}
Ids = npt.NDArray[np.uint64]
Uniform = Callable[[Ids, Ids, int], npt.NDArray[np.float64]]


class ImageTexts:
    """Samples of the images that are in the set, each with one of its texts; called once for every pass over the tars.

    It stands where open_clip_train reads tars: before the shuffle and the decoding, so an image that is left out costs
    neither. A text is drawn by a hash of seed, epoch, pass and image, so the draw does not depend on loaders, and a set
    smaller than an epoch does not repeat its texts. With online balancing a pair's coins are tossed anew by the same
    hash of the pair and each of its entries: the law of `admitted_at`, drawn again at every pass.
    """

    def __init__(self, plan: TrainingPlan, uniform: Uniform) -> None:
        self.plan, self.uniform = plan, uniform
        self.tars, self.store = plan.tars, plan.store
        self.epoch: Callable[[], int] = lambda: 0
        self.visit = (-1, 0)
        self.order = random.Random()  # noqa: S311  # it only shuffles
        """What the samples of a pass are shuffled by."""
        if plan.online is not None:
            with np.load(plan.online.draw, allow_pickle=False) as draw:
                self.entry_key, self.entry_count = draw["entry_key"], draw["entry_count"]

    def __call__(self, numbers: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """Raises RuntimeError when a pass gave less than a batch: nothing would ever come out."""
        epoch, (last, passes) = self.epoch(), self.visit
        self.visit = (epoch, passes + 1 if epoch == last else 0)
        self.order.seed("{} {} {}".format(self.plan.seed, *self.visit))
        num_samples = 0
        for number in numbers:
            for sample in self._read(*self.tars[int(number["url"])]):
                num_samples += 1
                yield sample
        if num_samples < self.plan.loader_batch:
            raise RuntimeError(
                f"{self.plan.training_set}: a loader was given {num_samples:,} images in epoch {epoch}, fewer than its "
                f"batch of {self.plan.loader_batch:,}: take a smaller batch, fewer loader workers or a larger t"
            )

    def replace(self, pipeline: list[Any], place: int) -> None:
        """Stand in open_clip_train's pipeline where it reads tars, before what shuffles samples."""
        pipeline[place] = self
        pipeline[place + 1].kw["rng"] = self.order

    def _read(self, tar: str, path: str) -> Iterator[dict[str, Any]]:
        rows = read_rows(path, tar, self.plan.storage_options)
        text = rows["texts"].combine_chunks().flatten().field("text")
        chosen = dict(zip(rows["image_id"].to_pylist(), self.choose(rows).tolist(), strict=True))
        with ExitStack() as stack:
            file = stack.enter_context(self.store.open(tar))
            archive = stack.enter_context(tarfile.open(fileobj=file, mode="r:"))
            for member in archive:
                image_id, _, suffix = member.name.partition(".")
                if suffix not in FORMATS or not member.isreg():
                    continue
                place = chosen.pop(image_id, -1)
                if place >= 0:
                    image = archive.extractfile(member)
                    assert image is not None
                    encoded = text[place].as_py().encode()
                    yield {"__key__": image_id, "__url__": tar, suffix: image.read(), "txt": encoded}
        if chosen:
            raise RuntimeError(
                f"{tar} lacks {len(chosen):,} images of {self.plan.training_set}, {min(chosen)} among them"
            )

    def choose(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        """For each image the place, among all texts of the rows, of the one drawn at this pass; -1 where none is."""
        lists = rows["texts"].combine_chunks()
        seed = xxhash.xxh3_64_intdigest("{} {} {}".format(self.plan.seed, *self.visit).encode())
        ends = np.cumsum(lists.value_lengths().to_numpy())
        texts = lists.flatten()
        spoken = find_spoken(texts, self.plan.recipe)
        admitted = np.flatnonzero(spoken if self.plan.online is None else spoken & self._redraw(texts, seed))
        first, last = np.searchsorted(admitted, np.concatenate([[0], ends[:-1]])), np.searchsorted(admitted, ends)
        images = np.array([int(image[:16], 16) for image in rows["image_id"].to_pylist()], np.uint64)
        drawn = first + (self.uniform(images, np.zeros_like(images), seed) * (last - first)).astype(np.int64)
        return np.where(last > first, np.append(admitted, -1)[np.minimum(drawn, len(admitted))], -1)

    def _redraw(self, texts: pa.StructArray, seed: int) -> npt.NDArray[np.bool_]:
        """Whether any coin of each pair falls heads, which is when u * count < t (Xu et al. 2023, Algorithm 1)."""
        assert self.plan.online is not None
        lists, language = texts.field("entry_ids"), texts.field("language").dictionary_encode()
        thresholds = [self.plan.online.thresholds[name] for name in language.dictionary.to_pylist()]
        t = np.array(thresholds, np.float64)[language.indices.to_numpy()]
        pair = np.repeat(np.arange(len(texts)), pc.list_value_length(lists).to_numpy())
        entries = lists.flatten().to_numpy()
        u = self.uniform(texts.field("pair_id").to_numpy()[pair], self.entry_key[entries], seed)
        heads = np.zeros(len(texts), np.bool_)
        heads[pair[u * self.entry_count[entries] < t[pair]]] = True
        return heads


def read_rows(path: str, tar: str, storage_options: Mapping[str, Any]) -> pa.Table:
    """The rows of one tar, from the row groups that may hold them."""
    of_tar = [("tar", "=", tar)]
    with fsspec.open(path, "rb", **storage_options) as file:
        return pq.read_table(file, columns=["image_id", "texts"], filters=of_tar, use_threads=False, pre_buffer=False)


def replace_reader(get_data: Callable[..., Any], image_texts: ImageTexts) -> Callable[..., Any]:
    """open_clip_train's `get_data` with `image_texts` instead of its own reader of tars.

    Its shuffle of samples, which goes by the clock, goes by the seed instead: so do two trainings of one seed.
    """

    def get_our_data(*args: Any, **options: Any) -> Any:
        from open_clip_train.data import tarfile_to_samples_nothrow  # noqa: PLC0415  # seconds

        data = get_data(*args, **options)
        pipeline = data["train"].dataloader.pipeline[0].dataset.pipeline
        image_texts.replace(pipeline, pipeline.index(tarfile_to_samples_nothrow))
        image_texts.epoch = data["train"].shared_epoch.get_value  # crosses into the loaders, which live on
        return data

    return get_our_data
