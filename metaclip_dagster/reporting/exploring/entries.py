"""Pack the entries of a pool and what each rung keeps of them into a text that a page can hold half a million of."""

import base64
import itertools
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

MOST_BYTES = 3_500_000
"""Of the packed entries, so that a page stays below 5 MB with its pictures and all else."""
_MOST_SHARED = 255
_BEYOND_BMP = 0x10000
"""From here on a character is two for a browser."""


@dataclass(frozen=True)
class PackedEntries:
    """Entries for a page: as many as it has room for."""

    text: str
    """Base64 of zlib of JSON, in columns."""
    num_listed: int
    most_unlisted: int
    """The most pairs that an entry has which is not listed; 0 where all are, or none of those has any."""


def pack_entries(
    counts: pa.Table,
    of_entry: npt.NDArray[np.int64],
    thresholds: Mapping[str, Sequence[float]],
    *,
    most_bytes: int = MOST_BYTES,
) -> PackedEntries:
    """ENTRY_COUNTS and what each rung keeps of each entry; where not all have room, the most frequent.

    `of_entry` has a column for each rung: pairs that it has and the rung before has not; `thresholds` is each
    language's own t at the rungs but the last, which is inf. Entries stand by language and text. `words` has one on
    each line, without the characters of the line before that it begins with: `shared` says how many. `kept` is for each
    rung what it keeps of the entries above their language's t, in this order: of all others it keeps all.
    """
    number = counts["entry_count"].to_numpy()
    is_line = pc.invert(pc.match_substring(counts["entry"], "\n")).to_numpy(zero_copy_only=False)
    order = np.argsort(~number, kind="stable")
    order = order[is_line[order]]
    listed, text = len(order), ""
    while not text or (len(text) > most_bytes and listed):
        listed = int(listed * 0.98 * most_bytes / len(text)) if text else listed
        text = _pack_rows(counts, order[:listed], of_entry, thresholds)
    return PackedEntries(text, listed, int(number[order[listed:]].max(initial=0)))


def _pack_rows(
    counts: pa.Table,
    chosen: npt.NDArray[np.int64],
    of_entry: npt.NDArray[np.int64],
    thresholds: Mapping[str, Sequence[float]],
) -> str:
    rows = counts.take(pa.array(chosen)).append_column("row", pa.array(chosen))
    rows = rows.sort_by([("language", "ascending"), ("entry", "ascending")])
    shared, words = _cut_shared(rows["entry"].to_pylist())
    languages = [[name, len([*group])] for name, group in itertools.groupby(rows["language"].to_pylist())]
    count, balanced_to = rows["entry_count"].to_numpy(), rows["balanced_to"].to_numpy()
    num_kept = np.cumsum(of_entry, axis=1)[rows["row"].to_numpy()]
    lists = []
    for rung in range(num_kept.shape[1] - 1):
        t = np.repeat([thresholds[name][rung] for name, _ in languages], [number for _, number in languages])
        lists.append(num_kept[(balanced_to > t) & (count > 0), rung].tolist())
    columns: dict[str, Any] = {"languages": languages, "shared": shared, "words": words, "count": count.tolist()}
    if not np.array_equal(count, balanced_to):
        columns["balanced_to"] = balanced_to.tolist()
    return pack({**columns, "kept": lists})


def pack(content: object) -> str:
    """Anything that JSON has, for a page to unpack with what every browser has."""
    text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode("ascii")


def _cut_shared(words: Sequence[str]) -> tuple[list[int], str]:
    """How many characters each word shares with the one before, at most 255, and the rest of each, on lines."""
    shared, rests, before = [], [], ""
    for word in words:
        most = min(len(word), len(before), _MOST_SHARED)
        same = next((i for i in range(most) if word[i] != before[i] or ord(word[i]) >= _BEYOND_BMP), most)
        shared.append(same)
        rests.append(word[same:])
        before = word
    return shared, "\n".join(rests)
