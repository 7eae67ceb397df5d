"""Read how many pairs match each entry, in the pool and in a subset."""

import pyarrow as pa
import pyarrow.compute as pc

from assets.defaults import DEFAULTS
from assets.queries.parsers import check_columns
from assets.queries.provenance import current_pool, recorded_pool
from metaclip_dagster.counting import build_distribution
from metaclip_dagster.reporting.cards.counts import count_subset
from resources.lake.resource import Lake


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
