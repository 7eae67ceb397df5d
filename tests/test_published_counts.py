"""A pool that is balanced to counts from a file, in the graph."""

import json
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from assets.queries.provenance import find_outdated
from commands.export import export_counts
from resources.deployments import Deployment
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph

TABLES = [("entry_counts", "all"), *(("admissions", key) for key in SNAPSHOTS), ("subsets", "20")]


def make(graph: Graph, **config: Any) -> dict[tuple[str, str], str]:
    """The versions of what is made of these counts."""
    graph.make(["entry_counts"], ops={"entry_counts": {"config": config}})
    for table, partition in TABLES[1:]:
        graph.make([table], partition)
    return {it: graph.lake.manifest(*it).version for it in TABLES}


def test_a_file_of_the_pools_own_counts_changes_nothing_and_another_is_named_until_it_is_dropped(
    curated: Deployment, tmp_path: Path
) -> None:
    export_counts(curated, "20", tmp_path / "counts")
    with open_graph(copy_home(curated, tmp_path / "home"), *SNAPSHOTS) as graph:
        lake, versions = graph.lake, {it: graph.lake.manifest(*it).version for it in TABLES}
        for path in ("distribution.parquet", "entry_counts.json"):
            config = {"counts_from": str(tmp_path / "counts" / path)}
            graph.make(["entry_counts"], ops={"entry_counts": {"config": config}})
            assert lake.manifest("entry_counts").version == versions["entry_counts", "all"]
        assert make(graph, counts_from=str(tmp_path / "counts")) == versions

        counts = dict.fromkeys(json.loads((tmp_path / "counts" / "entry_counts.json").read_bytes()), 1000)
        absent = counts.popitem()[0]
        published = tmp_path / "even_400m.json"
        published.write_text(json.dumps(counts), encoding="utf-8")
        graph.make(["entry_counts"], ops={"entry_counts": {"config": {"counts_from": str(published)}}})
        assert find_outdated(lake)["subsets"]["20"] == "entry_counts are of another pool"
        with pytest.raises(ValueError, match="subsets of 20 are of another pool than entry_counts"):
            export_counts(graph.where, "20", tmp_path / "of two pools")
        even = make(graph)
        assert not {*even.values()} & {*versions.values()}, "the file is as before, and all is drawn anew"
        table = lake.read("entry_counts").to_pylist()
        assert all(row["balanced_to"] == (1000 if row["entry"] != absent else row["entry_count"]) for row in table)
        assert lake.manifest("subsets", "20").rows < len(lake.read("admissions", SNAPSHOTS)) / 10
        graph.make(["data_cards"], "20")
        card = json.loads((graph.where.reports / "data_card_t_20.json").read_bytes())
        assert card["balanced_to"].startswith(f"counts of even_400m.json, which has {len(counts):,} entries; 1 entries")
        assert "even_400m.json" in (graph.where.reports / "data_card_t_20.html").read_text(encoding="utf-8")

        published.write_text(json.dumps(dict.fromkeys(counts, 500)), encoding="utf-8")
        assert make(graph)["entry_counts", "all"] != even["entry_counts", "all"], "a changed file draws anew"
        published.unlink()
        with pytest.raises(FileNotFoundError, match=r"even_400m\.json: there is no such file of counts"):
            graph.make(["entry_counts"])
        assert make(graph, counts_from="") == versions


def test_counts_of_another_list_fail_the_run_and_leave_the_table(curated: Deployment, tmp_path: Path) -> None:
    published = tmp_path / "strange.json"
    published.write_text('{"no such entry": 1}', encoding="utf-8")
    with open_graph(copy_home(curated, tmp_path / "home"), *SNAPSHOTS) as graph:
        version = graph.lake.manifest("entry_counts").version
        with pytest.raises(
            dg.Failure, match=r"strange\.json: of [\d,]+ entries that the pool matches only 0 are in it"
        ):
            graph.make(["entry_counts"], ops={"entry_counts": {"config": {"counts_from": str(published)}}})
        assert graph.lake.manifest("entry_counts").version == version
