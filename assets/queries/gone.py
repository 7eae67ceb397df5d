"""Find in PAIRS what the list of takedowns names, and say of any table's rows which of them go with it."""

import bisect
import itertools
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc
from tqdm import tqdm

from assets.queries.lookups import ShardKey
from metaclip_dagster.deduplicating.requests import Numbers, RequestIndex
from metaclip_dagster.deduplicating.takedowns import ImageSet, TakedownIndex, flag_images, flag_taken_down
from resources.instance.history import SHOWN
from resources.lake.resource import Lake


@dataclass(frozen=True)
class Gone:
    """What of PAIRS is taken down: the pairs of each shard, and the pairs and images that no other shard holds."""

    takedowns: TakedownIndex
    places: Mapping[ShardKey, pa.Array]
    pairs: pa.Array
    images: ImageSet
    shown: frozenset[str]
    """Of the texts that were asked about, those that begin with a URL of what goes."""
    requests: RequestIndex = field(default_factory=lambda: RequestIndex([], {}))
    matched: Mapping[str, Mapping[str, Mapping[str, int]]] = field(default_factory=dict)
    """By snapshot and request how many `pairs` it names there, each place counted, and how many `images`."""

    def keep(self, table: str, partition: str, shard: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that stay of any table, judged by its columns, and the texts that stay of TRAINING_SETS.

        What loses nothing is handed back itself.
        """
        gone = self._flag(table, partition, shard, rows)
        left = rows.filter(pc.invert(gone)) if pc.any(gone).as_py() else rows
        return self._keep_texts(left) if "texts" in rows.schema.names else left

    def drop(self, table: str, partition: str, shard: str, rows: pa.RecordBatch) -> pa.RecordBatch:
        """The rows that go of any table; of TRAINING_SETS `image_id` and `pair_id` of each text that goes."""
        gone = self._flag(table, partition, shard, rows)
        if "texts" not in rows.schema.names:
            return rows.filter(gone)
        images, ids = pc.list_parent_indices(rows["texts"]), pc.struct_field(rows["texts"].flatten(), "pair_id")
        texts = pa.RecordBatch.from_arrays([rows["image_id"].take(images), ids], names=["image_id", "pair_id"])
        return texts.filter(pc.or_(gone.take(images), self._are_gone_texts(ids)))

    def count(self, dropped: pa.RecordBatch) -> Counter[str]:
        """How many of some rows that go each request names."""
        return self.requests.count(self.requests.number_rows(dropped))

    def are_images(self, rows: pa.RecordBatch) -> pa.Array:
        """Which rows of an index of the image store are of images that go."""
        return pc.or_(_are_listed(rows, self.takedowns), flag_images(rows, self.images))

    def _flag(self, table: str, partition: str, shard: str, rows: pa.RecordBatch) -> pa.Array:
        """Which rows go whole, whatever texts they hold."""
        names = set(rows.schema.names)
        gone = _are_listed(rows, self.takedowns)
        if {"snapshot", "shard", "pair_id"} <= names:
            return pc.or_(gone, self._are_placed(rows))
        if table in ("matches", "admissions", "pool_columns"):
            return pc.or_(gone, pc.is_in(rows["pair_id"], self.places.get((partition, shard), self.pairs[:0])))
        if "pair_id" in names:
            return pc.or_(gone, pc.is_in(rows["pair_id"], self.pairs))
        return pc.or_(gone, flag_images(rows, self.images)) if "image_id" in names else gone

    def _are_placed(self, rows: pa.RecordBatch) -> pa.Array:
        """Which rows name a pair with a place where it is taken down."""
        placed = pa.repeat(pa.scalar(False), rows.num_rows)
        named = (
            pa.Table.from_batches([rows]).select(["snapshot", "shard"]).group_by(["snapshot", "shard"]).aggregate([])
        )
        for snapshot, shard in zip(*(named[name].to_pylist() for name in ("snapshot", "shard")), strict=True):
            if (snapshot, shard) in self.places:
                here = pc.and_(pc.equal(rows["snapshot"], snapshot), pc.equal(rows["shard"], shard))
                placed = pc.or_(placed, pc.and_(here, pc.is_in(rows["pair_id"], self.places[snapshot, shard])))
        return placed

    def _are_gone_texts(self, ids: pa.Array) -> pa.Array:
        return pc.or_(pc.is_in(ids, self.pairs), pc.is_in(ids, self.takedowns.pair_ids))

    def _keep_texts(self, rows: pa.RecordBatch) -> pa.RecordBatch:
        ids = pc.struct_field(rows["texts"].flatten(), "pair_id")
        gone = set(ids.filter(self._are_gone_texts(ids)).to_pylist())
        if not gone:
            return rows
        left = [{**row, "texts": [t for t in row["texts"] if t["pair_id"] not in gone]} for row in rows.to_pylist()]
        return pa.RecordBatch.from_pylist([row for row in left if row["texts"]], rows.schema)


def find_gone(
    lake: Lake, takedowns: TakedownIndex, shown: Collection[str] = (), requests: RequestIndex | None = None
) -> Gone:
    """Read PAIRS of all snapshots, registered or not; twice, where one place of a pair may go and another stay.

    `shown` is text that begins with a URL, SHOWN characters of it or more; what begins with one that goes is given.
    The requests learn on the way which pairs and images they name.
    """
    requests = requests or RequestIndex([], {})
    places: dict[ShardKey, pa.Array] = {}
    starts = sorted(shown)
    urls = pa.array([re.split(r"[\s,;'\"<>()]", start, maxsplit=1)[0] for start in starts], pa.string())
    listed_urls = flag_taken_down(pa.RecordBatch.from_arrays([urls, urls], names=["url", "page_url"]), takedowns)
    shown_gone = set(itertools.compress(starts, listed_urls.to_pylist()))
    pairs, images = [pa.array([], pa.uint64())], [pa.array([], pa.binary(12))]
    numbered: dict[str, list[tuple[pa.RecordBatch, Numbers]]] = defaultdict(list)
    for place, rows in _scan(lake):
        listed = rows.filter(_are_listed(rows, takedowns))
        if listed.num_rows:
            pairs.append(listed["pair_id"])
            images.append(listed["image_id"])
            places[place] = pa.concat_arrays([*([places[place]] if place in places else []), listed["pair_id"]])
            if requests.requests:
                ids = listed.select(["pair_id", "image_id"])
                numbered[place[0]].append((ids, requests.number_rows(listed)))
            if starts:
                pages = listed.filter(flag_taken_down(listed.select(["page_url"]), takedowns))
                for url in {*listed["url"].to_pylist(), *pages["page_url"].to_pylist()}:
                    shown_gone.update(_begin_with(url, starts))
    gone_pairs, gone_images = pc.unique(pa.concat_arrays(pairs)), pc.unique(pa.concat_arrays(images))
    if len(gone_pairs) and not takedowns.of_whole_images:
        for _, rows in _scan(lake):
            others = rows.filter(pc.invert(_are_listed(rows, takedowns)))
            gone_pairs = gone_pairs.filter(pc.invert(pc.is_in(gone_pairs, others["pair_id"])))
            gone_images = gone_images.filter(pc.invert(pc.is_in(gone_images, others["image_id"])))
    images_gone = ImageSet.of(image.hex() for image in gone_images.to_pylist())
    matched = {snapshot: requests.learn(batches) for snapshot, batches in numbered.items()}
    return Gone(takedowns, places, gone_pairs, images_gone, frozenset(shown_gone), requests, matched)


def _are_listed(rows: pa.RecordBatch, takedowns: TakedownIndex) -> pa.Array:
    """Which of the rows are taken down, also where an older version spelled their URLs and made their ids."""
    if "image_id" not in rows.schema.names:
        return flag_taken_down(rows, takedowns)
    listed = flag_taken_down(rows.drop_columns(["image_id"]), takedowns)
    return pc.or_(listed, flag_images(rows, takedowns.images))


def _begin_with(url: str, starts: Sequence[str]) -> Iterator[str]:
    """Of some sorted texts those that begin with the URL, as far as they go, and not with a longer one."""
    for at in range(bisect.bisect_left(starts, url[:SHOWN]), len(starts)):
        start = starts[at]
        if not start.startswith(url[:SHOWN]):
            return
        if len(url) >= SHOWN or not _GOES_ON.match(start, len(url)):
            yield start


_GOES_ON = re.compile(r"[\w/%]|[-.?&=+~#:]\w")
_JUDGED = ["pair_id", "image_id", "url", "page_url"]


def _scan(lake: Lake) -> Iterator[tuple[ShardKey, pa.RecordBatch]]:
    """What of PAIRS a takedown is judged by, place by place."""
    snapshots = lake.finished("pairs", (partition for table, partition in lake.partitions() if table == "pairs"))
    for snapshot in tqdm(snapshots, unit="snapshot", disable=None, leave=False):
        for key, batches in lake.shards("pairs", snapshot, _JUDGED).items():
            yield from (((snapshot, key), rows) for rows in batches())
