"""Say which requests name each row that is taken down, by its own columns and by what PAIRS have of its pair."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.deduplicating.takedowns import encode_hosts, list_domains, read_value, respell_image_id

RequestLine = tuple[str, str, str, str]
"""Where it stands, for messages; what kind of value; the value; the id of its request, empty for none."""

Numbers = npt.NDArray[np.int64]
Keyed = tuple[npt.NDArray[Any], Numbers]
"""Keys in ascending order, each once, and the number of the set of requests that name each."""


class RequestIndex:
    """The requests of a list of takedowns, ready for comparing with rows that are known to go.

    Sets of requests are numbered, for few different ones come up among many rows; 0 is the empty set. Each is kept as
    the bytes of its requests' places in `requests`, ascending. A row belongs to every request that names its pair or
    image anywhere in PAIRS, so that requests may share a row.
    """

    def __init__(self, listed: Iterable[RequestLine], image_ids: Mapping[str, Collection[str]]) -> None:
        """Read every line's value; `image_ids` has those that each digest of an image_sha256 is of.

        Raises ValueError, naming the line, for a value that is not of its kind.
        """
        self._sets = [b""]
        self._numbers = {b"": 0}
        named_by: dict[str, dict[Any, set[str]]] = {column: defaultdict(set) for column in _COLUMNS}
        for where, kind, value, request in listed:
            if request:
                for column, key in _list_keys(kind, read_value(where, kind, value), image_ids):
                    named_by[column][key].add(request)
        self.requests = tuple(
            sorted({one for keys in named_by.values() for requests in keys.values() for one in requests})
        )
        places = {request: place for place, request in enumerate(self.requests)}
        numbered = {
            column: {
                key: self._number(np.array(sorted(places[one] for one in requests), _PLACE).tobytes())
                for key, requests in keys.items()
            }
            for column, keys in named_by.items()
        }
        self._domains = {column: numbered[column] for column in ("url", "page_url")}
        self._keyed: dict[str, Keyed] = {
            name: self._gather(np.array(list(numbered[name]), kind), np.array(list(numbered[name].values()), np.int64))
            for name, kind in _KEYS.items()
        }

    def learn(self, listed: Iterable[tuple[pa.RecordBatch, Numbers]]) -> dict[str, dict[str, int]]:
        """Know rows of PAIRS, with their numbers, by pair_id and image_id alone from now on.

        Gives for each request how many `pairs` of these rows it names, each place counted, and how many `images`.
        """
        batches = list(listed)
        numbers = np.concatenate([numbers for _, numbers in batches])
        counts = {"pairs": self.count(numbers)}
        for name in _KEYS:
            ids, of_ids = self._gather(np.concatenate([_read_ids(rows[name], name) for rows, _ in batches]), numbers)
            counts[name] = self.count(of_ids)
            keys, of_keys = self._keyed[name]
            self._keyed[name] = self._gather(np.concatenate([keys, ids]), np.concatenate([of_keys, of_ids]))
        return {
            request: {"pairs": pairs, "images": counts["image_id"][request]}
            for request, pairs in counts["pairs"].items()
        }

    def number_rows(self, rows: pa.RecordBatch) -> Numbers:
        """The number of the set of requests that name each row, by those of the columns that it has."""
        columns = set(rows.schema.names)
        if not rows.num_rows:
            return np.zeros(0, np.int64)
        numbers = [np.zeros(rows.num_rows, np.int64)]
        numbers += [self._look_up(name, _read_ids(rows[name], name)) for name in _KEYS if name in columns]
        if {"image_id", "url"} <= columns and len(self._keyed["image_id"][0]):
            respelled = [bytes.fromhex(respell_image_id(url) or "") for url in rows["url"].to_pylist()]
            numbers.append(self._look_up("image_id", np.array(respelled, "S12")))
        numbers += [self._look_up_hosts(name, rows[name]) for name in ("url", "page_url") if name in columns]
        return reduce(self._unite_each, numbers)

    def count(self, numbers: Numbers) -> Counter[str]:
        """How many rows of these numbers each request names."""
        distinct, rows = np.unique(numbers, return_counts=True)
        counts = np.zeros(len(self.requests), np.int64)
        for start in range(0, len(distinct), _AT_ONCE):
            places, sizes = self._list_places(distinct[start : start + _AT_ONCE])
            np.add.at(counts, places, np.repeat(rows[start : start + _AT_ONCE], sizes))
        return Counter({self.requests[place]: int(counts[place]) for place in np.flatnonzero(counts)})

    def _number(self, requests: bytes) -> int:
        if requests not in self._numbers:
            self._numbers[requests] = len(self._sets)
            self._sets.append(requests)
        return self._numbers[requests]

    def _list_places(self, numbers: Numbers) -> tuple[npt.NDArray[Any], list[int]]:
        """The places of all requests of these sets, one after the other, and how many each set has."""
        sets = [self._sets[number] for number in numbers.tolist()]
        return np.frombuffer(b"".join(sets), _PLACE), [len(requests) // _PLACE.itemsize for requests in sets]

    def _unite(self, numbers: Numbers, starts: Numbers) -> Numbers:
        """The number of all requests of each run of numbers; a run ends where the next starts, and none is empty."""
        united = [np.zeros(0, np.int64)]
        for first in range(0, len(starts), _AT_ONCE):  # a set may have every request: not all sets at once
            bounds = np.append(starts, len(numbers))[first : first + _AT_ONCE + 1]
            places, sizes = self._list_places(numbers[bounds[0] : bounds[-1]])
            runs = np.repeat(np.repeat(np.arange(len(bounds) - 1), np.diff(bounds)), sizes)
            run_of, place_of = np.divmod(_sort_distinct(runs * len(self.requests) + places), len(self.requests) or 1)
            content, ends = place_of.astype(_PLACE).tobytes(), np.searchsorted(run_of, np.arange(len(bounds)))
            at = (ends * _PLACE.itemsize).tolist()
            united.append(np.array([self._number(content[i:j]) for i, j in itertools.pairwise(at)], np.int64))
        return np.concatenate(united)

    def _unite_each(self, some: Numbers, others: Numbers) -> Numbers:
        """For each row the number of all requests that either of its two numbers stands for."""
        united, differ = np.maximum(some, others), (some != others) & (some > 0) & (others > 0)
        pairs, at = np.unique(np.stack([some[differ], others[differ]]), axis=1, return_inverse=True)
        united[differ] = self._unite(pairs.T.ravel(), np.arange(0, pairs.size, 2))[at]
        return united

    def _gather(self, keys: npt.NDArray[Any], numbers: Numbers) -> Keyed:
        """Every key once, with the number of all requests that any of its own numbers stands for."""
        distinct, at = np.unique(keys, return_inverse=True)
        key_of, number_of = np.divmod(_sort_distinct(at * len(self._sets) + numbers), len(self._sets))
        starts = np.flatnonzero(np.diff(key_of, prepend=-1))
        sizes = np.diff(np.append(starts, len(key_of)))
        united, several = number_of[starts], sizes > 1
        of_several = number_of[np.repeat(several, sizes)]
        united[several] = self._unite(of_several, np.cumsum(sizes[several]) - sizes[several])
        return distinct, united

    def _look_up(self, name: str, ids: npt.NDArray[Any]) -> Numbers:
        keys, numbers = self._keyed[name]
        if not len(keys):
            return np.zeros(len(ids), np.int64)
        at = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        return np.asarray(np.where(keys[at] == ids, numbers[at], 0), np.int64)

    def _look_up_hosts(self, column: str, urls: pa.Array) -> Numbers:
        domains = self._domains[column]
        if not domains:
            return np.zeros(len(urls), np.int64)
        hosts = encode_hosts(urls)
        above = [list_domains(host or "") for host in hosts.dictionary.to_pylist()]
        listed = [[domains[domain] for domain in names if domain in domains] or [0] for names in above]
        sizes = np.array([len(numbers) for numbers in listed], np.int64)
        numbers = self._unite(np.array(list(itertools.chain(*listed)), np.int64), np.cumsum(sizes) - sizes)
        indices = pc.fill_null(hosts.indices, len(numbers)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*numbers, 0], np.int64)[indices], np.int64)


_KEYS = {"pair_id": "u8", "image_id": "S12"}
_COLUMNS = (*_KEYS, "url", "page_url")
_PLACE = np.dtype(np.uint32)
_AT_ONCE = 8192
"""Sets that are taken apart at a time."""


def _list_keys(kind: str, value: str, image_ids: Mapping[str, Collection[str]]) -> list[tuple[str, Any]]:
    """The column that a line is compared with, and what stands there."""
    if kind == "pair_id":
        return [("pair_id", int(value))]
    if kind in ("domain", "page_domain"):
        return [("url" if kind == "domain" else "page_url", value)]
    images = image_ids.get(value, ()) if kind == "image_sha256" else [value]
    return [("image_id", bytes.fromhex(image_id)) for image_id in images]


def _sort_distinct(numbers: Numbers) -> Numbers:
    """As numpy's unique, which hashes since 2.3, ten times slower where most numbers are distinct."""
    ascending = np.sort(numbers)
    return ascending[np.diff(ascending, prepend=-1) > 0]


def _read_ids(column: pa.Array, name: str) -> npt.NDArray[Any]:
    """A column's ids as keys are compared, images' in either form that tables have."""
    if name == "pair_id":
        return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), np.uint64)
    ids = (bytes.fromhex(image) if isinstance(image, str) else image or b"" for image in column.to_pylist())
    return np.array(list(ids), "S12")
