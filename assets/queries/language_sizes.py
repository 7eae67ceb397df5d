"""Read what the pool has of each language, and what each training set's t keeps of it, to set scores beside it."""

from collections.abc import Mapping, Sequence

import pyarrow as pa

from assets.keys import MIXTURES, t_of
from assets.queries.provenance import current_pool, recorded_pool
from assets.queries.rungs import thresholds_by
from metaclip_dagster.reporting.cards.counts import count_pairs
from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.reporting.sweeps.languages import LanguageSize, list_languages
from resources.lake.resource import WHOLE, Lake
from resources.lake.tables import PartitionManifest


def measure_languages(
    lake: Lake, cells: Sequence[TrainedCell], sets: Mapping[str, PartitionManifest]
) -> dict[str, LanguageSize]:
    """What there is of each language that has a list, where cells are scored in two languages or more.

    `sets` are the training sets' manifests; of a set, or a subset, of another pool than that of now nothing is said.
    """
    if len(list_languages(cell.scores for cell in cells)) < 2 or not lake.finished("entry_counts", [WHOLE]):
        return {}
    counts, pool = lake.read("entry_counts"), current_pool(lake)
    t, pairs = dict[str, dict[str, float]](), dict[str, dict[str, int]]()
    for name, manifest in sets.items():
        rung = t_of(name)
        if pool is None or name in MIXTURES or recorded_pool(manifest) != pool or not lake.finished("subsets", [rung]):
            continue
        if recorded_pool(lake.manifest("subsets", rung)) != pool:
            continue
        t[name] = thresholds_by(counts, rung)
        pairs[name] = count_pairs(lake.dataset("subsets", [rung]).to_batches(columns=["language"]), "language")
    sums = pa.table({"language": counts["language"], "matches": counts["entry_count"]}).group_by("language")
    rows = sums.aggregate([("matches", "sum"), ([], "count_all")]).to_pylist()
    return {
        row["language"]: LanguageSize(
            entries=row["count_all"],
            matches=row["matches_sum"],
            t={name: of_set[row["language"]] for name, of_set in t.items() if row["language"] in of_set},
            pairs={name: of_set.get(row["language"], 0) for name, of_set in pairs.items()},
        )
        for row in rows
    }
