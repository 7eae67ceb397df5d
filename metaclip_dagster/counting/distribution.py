"""Write how many pairs match each entry, before and after balancing, as Parquet and as MetaCLIP's JSON."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metaclip_dagster.schemas import ENTRIES, ENTRY_COUNTS

DISTRIBUTION = pa.schema(
    [
        *(ENTRIES.field(name) for name in ("entry_id", "entry", "language", "source")),
        pa.field("before", pa.uint64(), metadata={"description": "Pairs of the pool that match it"}),
        pa.field("after", pa.uint64(), metadata={"description": "Pairs of the subset that match it"}),
        ENTRY_COUNTS.field("balanced_to"),
    ]
)
"""One row an entry, in the order of ENTRIES: what balancing did to each."""


def build_distribution(entries: pa.Table, entry_counts: pa.Table, subset_counts: npt.NDArray[np.uint64]) -> pa.Table:
    """The DISTRIBUTION of a pool and one of its subsets, from ENTRIES, ENTRY_COUNTS and pairs of the subset by entry.

    Raises ValueError where the three are not of the same entries in the same order.
    """
    names = ["entry_id", "language", "entry"]
    if entry_counts.select(names) != entries.select(names) or len(subset_counts) != entries.num_rows:
        raise ValueError(
            f"{entries.num_rows:,} entries, {entry_counts.num_rows:,} entry counts and {len(subset_counts):,} counts "
            "of a subset are not of the same entries in the same order: make entry_counts again, then subsets"
        )
    words = [entries[name] for name in DISTRIBUTION.names[:4]]
    after = pa.array(subset_counts, pa.uint64())
    return pa.table([*words, entry_counts["entry_count"], after, entry_counts["balanced_to"]], DISTRIBUTION)


def write_distribution(distribution: pa.Table, folder: Path) -> list[Path]:
    """Write DISTRIBUTION into a folder, as distribution.parquet and as MetaCLIP's two files; gives their paths.

    entry_counts.json maps each entry to its pairs in the pool, datacard.json to those in the subset, entries without a
    pair among them, in the order of ENTRIES. Where there are several languages, each has files of its own, as
    entry_counts.de.json. The same table gives the same bytes.
    """
    paths = [folder / "distribution.parquet"]
    pq.write_table(distribution, paths[0], compression="zstd")
    languages = pc.unique(distribution["language"]).to_pylist()
    for language in languages:
        rows = distribution.filter(pc.equal(distribution["language"], language))
        words, infix = rows["entry"].to_pylist(), f".{language}" if len(languages) > 1 else ""
        for name, column in (("entry_counts", "before"), ("datacard", "after")):
            counts = dict(zip(words, rows[column].to_pylist(), strict=True))
            paths.append(folder / f"{name}{infix}.json")
            paths[-1].write_text(json.dumps(counts, ensure_ascii=False), encoding="utf-8")
    return paths
