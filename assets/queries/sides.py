"""Read from a lake, or from published counts, what one side of a comparison has: counts, pairs, tables of facts."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from assets.defaults import DEFAULTS
from assets.queries.parsers import check_columns, record_parsers
from assets.queries.provenance import current_pool, describe_balance, list_snapshots, recorded_pool
from metaclip_dagster.balancing import language_thresholds, parse_threshold
from metaclip_dagster.counting import read_published
from metaclip_dagster.reporting.cards.counts import count_pairs, count_subset
from metaclip_dagster.reporting.html.numbers import share
from resources.deferred import Deferred, defer, resolve
from resources.files.digests import combine
from resources.lake.resource import WHOLE, Lake
from resources.lake.shard_files import read_table
from resources.lake.tables import PartitionManifest
from resources.sources.published_counts import find_counts

Kind = Literal["pool", "t", "snapshot", "entries", "counts"]
Value = int | float | str | None
_STAGES = ("pairs", "matches", "admissions")
_TIME = "%Y-%m-%d %H:%M %Z"


@dataclass(frozen=True)
class Side:
    """One of the two that are compared."""

    name: str
    """In words, as pages show it."""
    kind: Kind
    version: str
    """The same where both sides hold the same, wherever they lie."""
    lake: Lake | None = None
    images: str | None = None
    """The image store's folder or URL."""
    counts: pa.Table | None = None
    """How many pairs match each entry: `language`, `entry`, `num_pairs`."""
    pairs: ds.Dataset | None = None
    """ADMISSIONS or SUBSETS."""
    parsers: str = ""
    """Which parsers the pairs come of: ids of others' are not compared."""
    entries: Deferred | None = None
    """The list of entries that the counts are of, where the lake still has it."""
    facts: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    """Tables of numbers by title, then by row."""
    provenance: Mapping[str, str] = field(default_factory=dict)


def read_pool(lake: Lake, t: str | None = None) -> Side:
    """The pool of a lake: all its snapshots. With `t` its head is what D(t) would thin."""
    check_columns(lake, "entry_counts")
    snapshots = list_snapshots(lake)
    side = _read_snapshots(lake, snapshots, lake.read("entry_counts")["entry_count"].to_numpy(), t)
    return replace(side, name="the pool", kind="pool")


def read_snapshot(lake: Lake, snapshot: str, t: str | None = None) -> Side:
    """The pairs that one snapshot brings into the pool: what an earlier one has, too, counts for that one."""
    check_columns(lake, "entry_counts")
    rows = lake.read("entry_counts")["snapshot_counts"].combine_chunks()
    of_entry, values = pc.list_parent_indices(rows).to_numpy(), pc.list_flatten(rows)
    of_snapshot = pc.equal(pc.struct_field(values, "snapshot"), snapshot).to_numpy(zero_copy_only=False)
    counts = np.zeros(len(rows), np.uint64)
    counts[of_entry[of_snapshot]] = pc.struct_field(values, "entry_count").to_numpy()[of_snapshot]
    return replace(_read_snapshots(lake, [snapshot], counts, t), name=snapshot, kind="snapshot")


def read_subset(lake: Lake, t: str) -> Side:
    """D(t). Raises ValueError where it is of another pool than the counts are now."""
    check_columns(lake, "subsets", t)
    check_columns(lake, "entry_counts")
    manifest = lake.manifest("subsets", t)
    if recorded_pool(manifest) not in (None, current_pool(lake)):
        raise ValueError(
            f"{lake.root}: subsets of {t} are of another pool than entry_counts: materialize subsets of {t} again"
        )
    snapshots = sorted({shard.key.rsplit("/", 1)[0] for shard in manifest.shards})
    pairs, num_entries = lake.dataset("subsets", [t]), lake.manifest("entry_counts").rows
    counts = count_subset(_read(pairs, "entry_ids"), num_entries)
    side = _describe_side(lake, snapshots, pairs, counts, t)
    pool = sum(manifest.rows for manifest in _finished(lake, "admissions", snapshots))
    facts = {**side.facts, "licenses": count_pairs(_read(pairs, "license"), "license")}
    facts["stages"] = {**facts["stages"], "subset": manifest.rows, "subset: balanced_away": pool - manifest.rows}
    origin = {"t": t, "made": _date(lake, "subsets", t), "subset": manifest.version, **side.provenance}
    name = f"D({t})"
    return replace(side, name=name, kind="t", version=manifest.version, facts=facts, provenance=origin)


def read_entries(lake: Lake, build: str = "") -> Side:
    """The list of entries as it is, or an older build of it: `before`, or how its digest begins.

    Raises FileNotFoundError for a build whose files are not in the lake, with those that are.
    """
    store, now = lake.store("entries"), lake.manifest("entries")
    if not build:
        digests = [shard.digest for shard in now.shards]
        origin = {"digest": ", ".join(digests), "made": _date(lake, "entries"), **now.inputs}
        return Side("entries", "entries", combine(digests), lake, entries=lake.table("entries"), provenance=origin)
    older = store.superseded()
    shard = next((it for it in older if build == "before" or it.digest.startswith(build)), None)
    if shard is None:
        names = ", ".join(f"entries@{it.digest[:8]}" for it in older)
        raise FileNotFoundError(
            f"{lake.root} has no entries@{build}; it has {names}"
            if names
            else f"{lake.root} has no older build of entries: none was made, or `metaclip lake tidy` deleted it"
        )
    origin = {"digest": shard.digest, "made": f"{store.changed_at(shard.file):{_TIME}}"}
    entries = defer(read_table, [store.path(shard)], lake.storage_options)
    name = f"entries@{shard.digest[:8]}"
    return Side(name, "entries", combine([shard.digest]), lake, entries=entries, provenance=origin)


def read_counts(url: str, *, languages: Sequence[str], of_subset: bool) -> Side:
    """Counts that somebody published. Of a folder, its `datacard` if they are of a subset, or its `entry_counts`.

    Of Parquet, in the same way, the counts after balancing or before it.
    """
    pattern, column = ("datacard*.json*", "after") if of_subset else ("entry_counts*.json*", "before")
    files = find_counts(url, pattern)
    streams = {name: resolve(file) for name, file in files.items()}
    table = read_published(streams, name=url, languages=languages, column=column).table
    version = combine(file.version for file in files.values())
    numbers = table["num_pairs"].to_numpy()
    sizes = {"matches": int(numbers.sum()), "entries": len(numbers), "entries matched": int(np.count_nonzero(numbers))}
    provenance = {"files": ", ".join(files), "counts": column, "digest": version}
    return Side(url, "counts", version, counts=table, facts={"sizes": sizes}, provenance=provenance)


def _read_snapshots(lake: Lake, snapshots: list[str], counts: npt.NDArray[np.uint64], t: str | None) -> Side:
    pairs = lake.dataset("admissions", snapshots)
    side = _describe_side(lake, snapshots, pairs, counts, t)
    origin = {"made": _date(lake, "entry_counts"), **side.provenance}
    version = combine([side.version, *(it.version for it in _finished(lake, "admissions", snapshots))])
    return replace(side, version=version, provenance=origin)


def _describe_side(
    lake: Lake, snapshots: list[str], pairs: ds.Dataset, counts: npt.NDArray[np.uint64], t: str | None
) -> Side:
    """What sides of pairs have in common; the counts are in the order of ENTRY_COUNTS."""
    table, pool, entries = lake.read("entry_counts"), current_pool(lake), lake.store("entries").manifest()
    languages = count_pairs(_read(pairs, "language"), "language")
    signals = sum((it.total("seen") for it in _finished(lake, "opt_out_signals", snapshots)), Counter[str]())
    num_pairs, matches = sum(languages.values()), int(counts.sum())
    numbers = table.select(["language", "entry"]).append_column("num_pairs", pa.array(counts))
    is_same_list = bool(entries and pool and entries.version == pool.entries)
    whole = {name: lake.manifest(name).version for name in ("exclusions", "entry_counts")}
    admissions = _finished(lake, "admissions", snapshots)
    parsers = record_parsers(lake, "admissions", snapshots)
    policy = lake.manifest("exclusions").inputs.get("chosen")
    return Side(
        name="",
        kind="pool",
        version=whole["entry_counts"],
        lake=lake,
        counts=numbers,
        pairs=pairs,
        parsers=", ".join(parsers.values()),
        entries=lake.table("entries") if is_same_list else None,
        facts={
            "sizes": {"pairs": num_pairs, **_measure(counts, table, t), "matches per pair": share(matches, num_pairs)},
            "languages": languages,
            "stages": _count_stages(lake, snapshots),
            "opt_outs": dict(sorted(signals.items())),
        },
        provenance={
            "snapshots": ", ".join(snapshots),
            "entries": pool.entries if pool else "not recorded",
            **whole,
            "balanced to": describe_balance(lake),
            "seed": ", ".join(sorted({it.inputs.get("seed", "?") for it in admissions})),
            **parsers,
            **({"policy of opt-outs and licences": policy} if policy else {}),
        },
    )


def _measure(counts: npt.NDArray[np.uint64], table: pa.Table, t: str | None) -> dict[str, Value]:
    matches, matched = int(counts.sum()), int(np.count_nonzero(counts))
    sizes: dict[str, Value] = {"matches": matches, "entries": len(counts), "entries matched": matched}
    if t is None:
        return sizes
    languages = pc.unique(table["language"]).to_pylist()
    reference = next(it for it in (DEFAULTS.reference_language, "en", *sorted(languages)) if it in languages)
    held_to = language_thresholds(table, parse_threshold(t), reference=reference)
    of_language = np.array([held_to[language] for language in table["language"].to_pylist()])
    head = (table["balanced_to"].to_numpy() > of_language) & (counts > 0)
    in_head = int(counts[head].sum())
    of_head = {"entries of the head": int(np.count_nonzero(head)), "matches of the head": in_head}
    return {**sizes, **of_head, "head's share of matches": share(in_head, matches)}


def _count_stages(lake: Lake, snapshots: list[str]) -> dict[str, int]:
    """Rows that each stage gave and what it dropped, over the snapshots."""
    rows: dict[str, int] = {}
    for table in _STAGES:
        manifests = _finished(lake, table, snapshots)
        rows[table] = sum(manifest.rows for manifest in manifests)
        dropped = sum((manifest.total("dropped") for manifest in manifests), Counter[str]())
        if table == "admissions":
            excluded = lake.dataset("exclusions").to_batches(
                columns=["reason"], filter=pc.field("snapshot").isin(snapshots)
            )
            dropped += Counter(count_pairs(excluded, "reason"))
        rows |= {f"{table}: {reason}": num for reason, num in sorted(dropped.items())}
    return rows


def _read(pairs: ds.Dataset, column: str) -> Iterator[pa.RecordBatch]:
    batches: Iterator[pa.RecordBatch] = pairs.to_batches(columns=[column], batch_readahead=1, fragment_readahead=1)
    return batches


def _finished(lake: Lake, table: str, snapshots: list[str]) -> list[PartitionManifest]:
    return [lake.manifest(table, key) for key in lake.finished(table, snapshots)]


def _date(lake: Lake, table: str, partition: str = WHOLE) -> str:
    return f"{lake.store(table, partition).changed_at():{_TIME}}"
