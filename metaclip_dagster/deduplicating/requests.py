"""Say which requests name each row that is taken down, by its own columns and by what PAIRS have of its pair."""

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

    Sets of requests are numbered, for few different ones come up among many rows; 0 is the empty set. A row belongs to
    every request that names its pair or image anywhere in PAIRS, so that requests may share a row.
    """

    def __init__(self, listed: Iterable[RequestLine], image_ids: Mapping[str, Collection[str]]) -> None:
        """Read every line's value; `image_ids` has those that each digest of an image_sha256 is of.

        Raises ValueError, naming the line, for a value that is not of its kind.
        """
        self._sets: list[frozenset[str]] = [frozenset()]
        self._numbers: dict[frozenset[str], int] = {frozenset(): 0}
        named_by: dict[str, dict[Any, set[str]]] = {column: defaultdict(set) for column in _COLUMNS}
        for where, kind, value, request in listed:
            if request:
                for column, key in _list_keys(kind, read_value(where, kind, value), image_ids):
                    named_by[column][key].add(request)
        numbered = {
            column: {key: self._number(frozenset(requests)) for key, requests in keys.items()}
            for column, keys in named_by.items()
        }
        self.requests = tuple(sorted(frozenset[str]().union(*self._sets)))
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
        counts = Counter[str]()
        for number, rows in zip(*np.unique(numbers, return_counts=True), strict=True):
            counts.update(dict.fromkeys(self._sets[number], int(rows)))
        return counts

    def _number(self, requests: frozenset[str]) -> int:
        if requests not in self._numbers:
            self._numbers[requests] = len(self._sets)
            self._sets.append(requests)
        return self._numbers[requests]

    def _unite(self, numbers: Collection[int]) -> int:
        return self._number(frozenset[str]().union(*(self._sets[number] for number in numbers)))

    def _unite_each(self, some: Numbers, others: Numbers) -> Numbers:
        """For each row the number of all requests that either of its two numbers stands for."""
        if not (some.any() and others.any()):
            return some + others
        num_sets = len(self._sets)
        pairs, at = np.unique(some * num_sets + others, return_inverse=True)
        return np.array([self._unite(divmod(pair, num_sets)) for pair in pairs.tolist()], np.int64)[at]

    def _gather(self, keys: npt.NDArray[Any], numbers: Numbers) -> Keyed:
        """Every key once, with the number of all requests that any of its own numbers stands for."""
        distinct, at = np.unique(keys, return_inverse=True)
        key_of, number_of = np.divmod(np.unique(at * len(self._sets) + numbers), len(self._sets))
        starts = np.flatnonzero(np.diff(key_of, prepend=-1))
        ends = np.append(starts[1:], len(key_of))
        united = number_of[starts]
        for key in np.flatnonzero(ends - starts > 1):
            united[key] = self._unite(number_of[starts[key] : ends[key]].tolist())
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
        numbers = [self._unite([domains.get(domain, 0) for domain in names]) for names in above]
        indices = pc.fill_null(hosts.indices, len(numbers)).to_numpy(zero_copy_only=False)
        return np.asarray(np.array([*numbers, 0], np.int64)[indices], np.int64)


_KEYS = {"pair_id": "u8", "image_id": "S12"}
_COLUMNS = (*_KEYS, "url", "page_url")


def _list_keys(kind: str, value: str, image_ids: Mapping[str, Collection[str]]) -> list[tuple[str, Any]]:
    """The column that a line is compared with, and what stands there."""
    if kind == "pair_id":
        return [("pair_id", int(value))]
    if kind in ("domain", "page_domain"):
        return [("url" if kind == "domain" else "page_url", value)]
    images = image_ids.get(value, ()) if kind == "image_sha256" else [value]
    return [("image_id", bytes.fromhex(image_id)) for image_id in images]


def _read_ids(column: pa.Array, name: str) -> npt.NDArray[Any]:
    """A column's ids as keys are compared, images' in either form that tables have."""
    if name == "pair_id":
        return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), np.uint64)
    ids = (bytes.fromhex(image) if isinstance(image, str) else image or b"" for image in column.to_pylist())
    return np.array(list(ids), "S12")
