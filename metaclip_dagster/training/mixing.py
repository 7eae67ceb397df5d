"""Draw the pairs that a training sees from the sources of a mixture, each in its exact share."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import xxhash

from metaclip_dagster.training.jobs import TrainingPlan
from metaclip_dagster.training.loading import ImageTexts, Uniform
from metaclip_dagster.training.mixtures import find_source


class MixedTexts(ImageTexts):
    """Samples of a mixture: at each position of the budget one of the source that `find_source` gives.

    Which positions a loader fills follows from the epoch and its number. So how often each source is seen is exact over
    the whole budget, however many loaders there are and wherever a training was resumed. A source is read on and on,
    pass by pass, in an order of its own, and shuffled before it is mixed.
    """

    def __init__(self, plan: TrainingPlan, uniform: Uniform) -> None:
        super().__init__(plan, uniform)
        self.rows = slice(None)
        self.shuffle: Any = iter
        self.tars_of = {
            source: [(tar, shard.path) for shard in plan.shards if shard.source == source for tar in shard.tars]
            for source in plan.mixture
        }

    def __call__(self, numbers: Iterable[Mapping[str, str]]) -> Iterator[dict[str, Any]]:
        """The samples of an epoch, without an end; `numbers` is the one number of this loader."""
        epoch, shares = self.epoch(), [*self.plan.mixture.values()]
        [loader] = [int(number["url"]) for number in numbers]
        self.order.seed(f"{self.plan.seed} {epoch} {loader}")
        streams = [self.shuffle(self.read_source(source, epoch, loader)) for source in self.plan.mixture]
        first = epoch * self.plan.pairs_an_epoch + loader * (self.plan.pairs_an_epoch // self.plan.loaders)
        for position in count(first):
            yield next(streams[find_source(position, shares)])

    def replace(self, pipeline: list[Any], place: int) -> None:
        """Stand there, and shuffle each source by what would shuffle the mixture: it would forget some of its share."""
        super().replace(pipeline, place)
        self.shuffle = pipeline.pop(place + 1)

    def read_source(self, source: str, epoch: int, loader: int) -> Iterator[dict[str, Any]]:
        """A loader's part of a source, pass after pass: whole tars, or of each tar some rows where tars are too few.

        Raises RuntimeError where a pass gives nothing: no other would.
        """
        tars, loaders = self.tars_of[source], self.plan.loaders
        for number in count():
            seed = xxhash.xxh3_64_intdigest(f"{self.plan.seed} {epoch} {number} {source}".encode())
            order, is_empty = np.random.default_rng(seed).permutation(len(tars)), True
            for place in order[loader::loaders] if len(tars) >= loaders else order:
                self.visit = (epoch, number)
                self.rows = slice(None) if len(tars) >= loaders else slice(loader, None, loaders)
                for sample in self._read(*tars[place]):
                    is_empty = False
                    yield sample
            if is_empty:
                raise RuntimeError(
                    f"{self.plan.training_set}: loader {loader} of {loaders} found no image of {source} in epoch "
                    f"{epoch}: take fewer loader workers, or leave the source out"
                )

    def choose(self, rows: pa.Table) -> npt.NDArray[np.int64]:
        """As of every set, but for rows that are other loaders': -1."""
        places = np.full(rows.num_rows, -1)
        places[self.rows] = super().choose(rows)[self.rows]
        return places
