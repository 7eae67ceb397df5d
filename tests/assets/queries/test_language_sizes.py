"""Laws of what the sweep says of a language beside its scores: they are the lake's own numbers."""

from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from assets.keys import THRESHOLDS
from assets.queries.language_sizes import measure_languages
from assets.queries.rungs import thresholds_of
from metaclip_dagster.reporting.sweeps.cells import TrainedCell
from metaclip_dagster.schemas import SCORES
from resources.deployments import Deployment
from resources.lake.resource import open_lake


def scored_in(*languages: str) -> TrainedCell:
    return TrainedCell(
        {}, pa.Table.from_pylist([dict.fromkeys(SCORES.names) | {"language": it} for it in languages], SCORES)
    )


def test_a_languages_pairs_and_matches_are_those_of_the_lake(curated: Deployment) -> None:
    lake = open_lake(curated)
    sets = {
        name: lake.manifest("subsets", name.removeprefix("online-"))
        for name in (*THRESHOLDS, f"online-{THRESHOLDS[0]}")
    }
    sizes = measure_languages(lake, [scored_in("en", "de")], sets)
    counts = lake.read("entry_counts")
    assert sizes.keys() == set(counts["language"].to_pylist())
    assert sum(size.matches for size in sizes.values()) == pc.sum(counts["entry_count"]).as_py()
    assert sum(size.entries for size in sizes.values()) == counts.num_rows
    for name in sets:
        t = name.removeprefix("online-")
        assert sum(size.pairs[name] for size in sizes.values()) == lake.manifest("subsets", t).rows
        assert {language: size.t[name] for language, size in sizes.items()} == pytest.approx(thresholds_of(lake, t))


def test_nothing_is_read_for_one_language_and_nothing_said_of_a_set_of_no_known_pool(curated: Deployment) -> None:
    lake = open_lake(curated)
    subset = lake.manifest("subsets", "inf")
    assert measure_languages(lake, [scored_in("en"), scored_in("en")], {"inf": subset}) == {}
    of_no_pool = replace(subset, inputs={})
    sizes = measure_languages(lake, [scored_in("en", "de")], {"inf": of_no_pool})
    assert sizes
    assert not any(size.pairs or size.t for size in sizes.values())
