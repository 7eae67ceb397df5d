"""Read how many pairs match each entry, in the pool and in a subset, and compare them with published counts."""

from pathlib import PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assets.defaults import DEFAULTS
from assets.queries.parsers import check_columns
from assets.queries.provenance import current_pool, describe_balance, recorded_pool
from metaclip_dagster.counting import (
    FEWEST_MATCHES,
    build_distribution,
    compare_with_published,
    describe_comparison,
    read_published,
)
from metaclip_dagster.reporting.cards.counts import count_subset
from resources.deferred import resolve
from resources.lake.resource import Lake
from resources.sources.published_counts import find_counts


def list_languages(lake: Lake) -> list[str]:
    """The languages that have entries, that which t is meant for first: what a file of counts is in without saying."""
    languages = pc.unique(lake.dataset("entries").to_table(columns=["language"])["language"]).to_pylist()
    return sorted(languages, key=lambda language: (language != DEFAULTS.reference_language, language))


def read_distribution(lake: Lake, t: str) -> pa.Table:
    """The DISTRIBUTION of the pool and D(t).

    Raises MissingPartitionError for what is not made yet, ValueError if D(t) is of another pool than the counts are.
    """
    if recorded_pool(lake.manifest("subsets", t)) not in (None, current_pool(lake)):
        raise ValueError(f"subsets of {t} are of another pool than entry_counts: materialize subsets of {t} again")
    check_columns(lake, "entry_counts")
    entries = lake.read("entries")
    subset_counts = count_subset(lake.stream("subsets", [t])(), entries.num_rows)
    return build_distribution(entries, lake.read("entry_counts"), subset_counts)


def compare_counts_with(lake: Lake, url: str, t: str | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """The COMPARISON of the pool, or of D(t), with a file or folder of published counts, and the report on it.

    Of a folder the pool is compared with its entry_counts, D(t) with its datacard; of Parquet in the same way with the
    counts before or after balancing.
    """
    pattern, column = ("datacard*.json*", "after") if t else ("entry_counts*.json*", "before")
    files = {name: resolve(file) for name, file in find_counts(url, pattern).items()}
    published = read_published(files, name=url, languages=list_languages(lake), column=column)
    counts = read_distribution(lake, t) if t else lake.read("entry_counts")
    counts = counts.select(["language", "entry", column if t else "entry_count"])
    comparison = compare_with_published(counts.rename_columns(["language", "entry", "num_pairs"]), published)
    about = {
        "compared": f"D({t})" if t else "the pool",
        "file": PurePosixPath(url).name,
        "balanced_to": describe_balance(lake),
        "fewest_matches": FEWEST_MATCHES,
    }
    return comparison, {**about, **describe_comparison(comparison)}
