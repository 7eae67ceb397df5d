"""Pair the images of a run of pages with their texts, a column at a time; what is careful work is done one by one."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from metaclip_dagster.parsing.cleaning import Numbers, clean_images, gather_strings, list_pairs
from metaclip_dagster.parsing.pages import TEXT_SOURCES, Page, decode
from metaclip_dagster.parsing.pairing import BATCH_CHARACTERS, BATCH_PAIRS, clean_text, resolve_base
from metaclip_dagster.parsing.quotes import PADDING, Bytes, Spans
from metaclip_dagster.parsing.resolving import CAREFUL
from metaclip_dagster.parsing.responses import drop_nul
from metaclip_dagster.parsing.scanning import ABSENT
from metaclip_dagster.schemas import PAIRS
from metaclip_dagster.urls import hash_pair, hash_url, normalise_url, read_base


def pair_images(
    data: Bytes,
    images: Spans,
    sizes: Sequence[int],
    pages: Sequence[Page],
    pair_ids: set[int],
    *,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The pairs of images that lie as spans in `data`, as `scan_records` finds them; each page has its size of them.

    As `pair_texts` it gives none of `pair_ids`, adds to them, and counts in `dropped`.
    """
    bases = [resolve_base(page) for page in pages]
    run = _Run(pages, bases, [read_base(base)[1:] for base in bases])
    page_of = np.repeat(np.arange(len(pages)), sizes)
    page_bytes = np.array([len(folder) + len(page.url) for (folder, _), page in zip(run.prefixes, pages, strict=True)])
    ends = np.cumsum((images[:, 1::2] - images[:, ::2]).sum(1) + page_bytes[page_of])
    begin = 0
    while begin < len(images):  # a page's address may be long, and stands with each of its images
        limit = (ends[begin - 1] if begin else 0) + BATCH_CHARACTERS
        end = max(begin + 1, min(begin + BATCH_PAIRS, int(np.searchsorted(ends, limit))))
        part, pages_of_part = images[begin:end], page_of[begin:end]
        strings, spans = _clean(data, part, pages_of_part, run, dropped=dropped)
        yield from _batch_pairs(strings, spans, pages_of_part, pages, pair_ids=pair_ids, dropped=dropped)
        begin = end


class _Run(NamedTuple):
    """Pages, each with its base, and with that one's folder and host."""

    pages: Sequence[Page]
    bases: Sequence[str]
    prefixes: Sequence[tuple[str, str]]


_REASONS = ("no_text", "no_url", "data_url")
_SOURCES = pa.array(TEXT_SOURCES[:2])


def _clean(data: Bytes, images: Spans, page_of: Numbers, run: _Run, *, dropped: Counter[str]) -> tuple[Bytes, Spans]:
    """The images' URLs and texts, clean: all strings, and where they lie in them."""
    begins = np.cumsum([0, *(len(folder) for folder, _ in run.prefixes)])
    hosts = np.array([len(host) for _, host in run.prefixes])
    joined = np.frombuffer(b"".join([*(folder.encode() for folder, _ in run.prefixes), b" "]), np.uint8)
    num_bytes = int((images[:, 1::2] - images[:, ::2]).sum() + np.diff(begins)[page_of].sum())
    strings, spans = np.empty(num_bytes + PADDING, np.uint8), np.empty(images.shape, np.int32)
    has_references = np.array([page.has_references for page in run.pages])
    used = clean_images(data, images, page_of, joined, begins, hosts, has_references, strings, spans)
    pieces, size = [strings[:used].tobytes()], used

    def read(i: int, k: int) -> str:
        text = json.loads(b'"%b"' % data[images[i, k] : images[i, k + 1]].tobytes().decode("utf-8", "replace").encode())
        return str(decode(text)) if has_references[page_of[i]] else str(text)

    def write(i: int, k: int, text: str) -> None:
        nonlocal size
        pieces.append(text.encode())
        spans[i, k], spans[i, k + 1] = size, size + len(pieces[-1])
        size += len(pieces[-1])

    for i in np.flatnonzero((spans[:, ::2] == CAREFUL).any(1)).tolist():
        for k in (2, 4):
            if spans[i, k] == CAREFUL:
                text = clean_text(read(i, k))
                spans[i, k] = ABSENT
                if text:
                    write(i, k, text)
        if spans[i, 0] == CAREFUL and (spans[i, 2] >= 0 or spans[i, 4] >= 0):
            url, reason = normalise_url(drop_nul(read(i, 0)), run.bases[page_of[i]])
            if url is None:
                dropped[str(reason)] += 1
            else:
                write(i, 0, url)
    return np.frombuffer(b"".join([*pieces, bytes(PADDING)]), np.uint8), spans


def _batch_pairs(
    strings: Bytes,
    spans: Spans,
    page_of: Numbers,
    pages: Sequence[Page],
    *,
    pair_ids: set[int],
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """The distinct pairs that are none of `pair_ids`, as one batch, or none."""
    sizes = np.where(spans[:, ::2] >= 0, spans[:, 1::2] - spans[:, ::2], 0).astype(np.int64)
    keys = np.empty(int((2 * sizes[:, 0] + sizes[:, 1] + sizes[:, 2] + 2).sum()) + PADDING, np.uint8)
    pairs, reasons = np.empty((2 * len(spans), 5), np.int64), np.zeros(len(_REASONS), np.int64)
    pairs = pairs[: list_pairs(strings, spans, keys, pairs, reasons)]
    dropped.update({reason: number for reason, number in zip(_REASONS, reasons.tolist(), strict=True) if number})
    raw = keys.tobytes()
    new, ids = [], []
    for i, (begin, end) in enumerate(zip(pairs[:, 2].tolist(), pairs[:, 4].tolist(), strict=True)):
        pair_id = hash_pair(raw[begin:end])
        if pair_id not in pair_ids:
            pair_ids.add(pair_id)
            new.append(i)
            ids.append(pair_id)
    if len(new) < len(pairs):
        dropped["repeat"] += len(pairs) - len(new)
    if not new:
        return
    image, source, begins, texts, ends = np.ascontiguousarray(pairs[new].T)
    urls = zip(begins.tolist(), (texts - 1).tolist(), strict=True)
    image_ids = b"".join([hash_url(raw[begin:end]) for begin, end in urls])
    page = pa.array(page_of[image])

    def repeat(values: list[object], column: str) -> pa.Array:
        return pa.array(values, PAIRS.field(column).type).take(page)

    columns = {
        "pair_id": pa.array(np.array(ids, np.uint64)),
        "image_id": pa.FixedSizeBinaryArray.from_buffers(pa.binary(12), len(new), [None, pa.py_buffer(image_ids)]),
        "url": _gather(keys, begins, texts - 1),
        "text": _gather(keys, texts, ends),
        "text_source": _SOURCES.take(pa.array(source)),
        "page_url": repeat([clean_text(page.url) for page in pages], "page_url"),
        "warc": repeat([page.warc for page in pages], "warc"),
        "offset": repeat([page.offset for page in pages], "offset"),
        "pool_address": pa.nulls(len(new), pa.string()),
        "crawled_at": repeat([page.crawled_at for page in pages], "crawled_at"),
        "page_signals": repeat([page.signals for page in pages], "page_signals"),
        "license": repeat([page.license[0] for page in pages], "license"),
        "license_evidence": repeat([page.license[1] for page in pages], "license_evidence"),
    }
    yield pa.RecordBatch.from_arrays([columns[name] for name in PAIRS.names], schema=PAIRS)


def _gather(keys: Bytes, begins: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]) -> pa.StringArray:
    offsets, strings = np.zeros(len(begins) + 1, np.int32), np.empty(int((ends - begins).sum()), np.uint8)
    gather_strings(keys, begins, ends, offsets, strings)
    return pa.StringArray.from_buffers(len(begins), pa.py_buffer(offsets), pa.py_buffer(strings))
