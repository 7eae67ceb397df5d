"""Apply a policy to what is said of matched pairs: which signals and licences leave a pair out of the pool."""

import fnmatch
import re
from collections.abc import Iterable, Iterator, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from metaclip_dagster.schemas import EXCLUSIONS, writes
from metaclip_dagster.signals import SIGNALS

LICENSE = "license"
"""The reason in EXCLUSIONS of a pair whose licence the policy does not take."""

OF_IMAGES = ("x_robots_tag_image", "tdm_reservation_image", "content_usage_image", "c2pa_training_mining")
"""Signals that are known once an image is fetched, and are not in OPT_OUT_SIGNALS."""
OF_PAIRS = MappingProxyType({name: says for name, says in SIGNALS.items() if name not in OF_IMAGES})


@writes(EXCLUSIONS, name="opting_out:find_opted_out")
def find_opted_out(
    pairs: Iterable[pa.RecordBatch],
    matches: Iterable[pa.RecordBatch],
    signals: Iterable[pa.RecordBatch],
    *,
    opt_outs: Sequence[str],
    licenses: Sequence[str],
    snapshot: str,
    shard: str,
) -> Iterator[pa.RecordBatch]:
    """The shard's matches that the policy leaves out, each with one reason: the first of `opt_outs`, then `license`.

    `signals` are the shard's OPT_OUT_SIGNALS. Where `licenses` are given, patterns as `CC-BY*`, a pair without a
    licence that fits one goes. Holds a number a match of the shard.
    """
    reasons = np.array([*opt_outs, LICENSE])
    ids = pa.chunked_array([batch["pair_id"] for batch in matches], pa.uint64()).combine_chunks()
    rank = np.full(len(ids), len(reasons), np.int32)
    for batch in signals:
        said = pc.index_in(batch["signal"], pa.array(opt_outs, pa.string()))
        _lower(rank, ids, batch["pair_id"].filter(pc.is_valid(said)), said.drop_null())
    if licenses:
        for batch in pairs:
            unlicensed = batch["pair_id"].filter(pc.invert(_fits(batch["license"], licenses)))
            _lower(rank, ids, unlicensed, pa.repeat(pa.scalar(len(opt_outs), pa.int32()), len(unlicensed)))
    gone = np.flatnonzero(rank < len(reasons))
    place = [pa.repeat(pa.scalar(name), len(gone)) for name in (snapshot, shard)]
    columns = [*place, ids.take(pa.array(gone)), pa.array(reasons[rank[gone]], pa.string())]
    yield pa.RecordBatch.from_arrays(columns, schema=EXCLUSIONS)


def _lower(rank: npt.NDArray[np.int32], ids: pa.Array, pair_ids: pa.Array, ranks: pa.Array) -> None:
    """Give each of these pairs its rank, where it has no lower one; pairs that are no matches are passed over."""
    at = pc.index_in(pair_ids, ids)
    is_match = pc.is_valid(at)
    np.minimum.at(rank, at.filter(is_match).to_numpy(), ranks.filter(is_match).to_numpy(zero_copy_only=False))


def _fits(licenses: pa.Array, patterns: Sequence[str]) -> pa.Array:
    """Whether each licence fits one of the patterns, whatever their case; null fits none."""
    fits = re.compile("|".join(fnmatch.translate(pattern.lower()) for pattern in patterns))
    encoded = licenses.dictionary_encode()
    fitting = [bool(fits.match(name.lower())) for name in encoded.dictionary.to_pylist()]
    return pc.fill_null(pa.array(fitting, pa.bool_()).take(encoded.indices), False)
