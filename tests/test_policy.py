"""Laws of policies on the mini sample: what one leaves out is as if it had never been crawled, and comes back."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from assets.queries.answers import explain_pair
from metaclip_dagster.explaining import render_text
from metaclip_dagster.schemas import ROBOTS_TXT
from resources.deployments import Deployment
from tests.graphs import SNAPSHOTS, Graph, copy_home, open_graph
from tests.lakes import commit, digests
from tests.test_takedown import DOMAIN

POOL = ("entry_counts", "admissions")
SAID = f"https://{DOMAIN}/robots.txt"


def say_no(graph: Graph) -> None:
    """ROBOTS_TXT in which one domain disallows everything, and the signals that follow."""
    for snapshot in SNAPSHOTS:
        row = {"host": DOMAIN, "url": SAID, "kind": "robots.txt", "text": "User-agent: *\nDisallow: /"}
        row["captured_at"] = datetime(2026, 1, 2)  # type: ignore[assignment]
        commit(graph.lake, "robots_txt", snapshot, pa.RecordBatch.from_pylist([row], ROBOTS_TXT))
        graph.make(["opt_out_signals"], snapshot)


def make_pool(graph: Graph, **policy: Any) -> Counter[str]:
    """Everything from exclusions to admissions; gives the reasons why pairs are excluded."""
    graph.make(["exclusions", "entry_counts"], ops={"exclusions": {"config": policy}})
    for snapshot in SNAPSHOTS:
        graph.make(["admissions"], snapshot)
    reasons = graph.lake.read("exclusions")["reason"]
    return Counter({row["values"]: row["counts"] for row in pc.value_counts(reasons).to_pylist()})


def test_a_policy_is_switched_on_off_and_on_and_each_time_the_pool_is_as_if_it_always_had_been(
    curated: Deployment, tmp_path: Path
) -> None:
    with open_graph(copy_home(curated, tmp_path), *SNAPSHOTS) as graph:
        never = digests(graph.lake, SNAPSHOTS, *POOL)
        version = graph.lake.manifest("exclusions").version
        say_no(graph)
        reasons = make_pool(graph, opt_outs=["robots_txt_page", "robots_txt_image"])
        on = digests(graph.lake, SNAPSHOTS, *POOL)
        assert on != never
        assert reasons["robots_txt_image"] + reasons["robots_txt_page"] > 200
        graph.make(["subsets", "data_cards"], "20")
        card = json.loads((graph.where.reports / "data_card_t_20.json").read_text(encoding="utf-8"))["opt_outs"]
        of_signal = {row["signal"]: row for row in card["signals"]}
        by_image, by_page = of_signal["robots_txt_image"], of_signal["robots_txt_page"]
        assert by_page["excluded"] == reasons["robots_txt_page"] == by_page["pairs"]
        assert by_image["excluded"] == reasons["robots_txt_image"] < by_image["pairs"] <= card["any"]["pairs"]
        assert card["honoured"] == ["robots_txt_page", "robots_txt_image"]

        make_pool(graph)  # what is not given stays as it was chosen
        assert digests(graph.lake, SNAPSHOTS, *POOL) == on

        excluded = graph.lake.dataset("exclusions").to_table(filter=pc.field("reason") == "robots_txt_page")
        answer = render_text(explain_pair(graph.lake, SNAPSHOTS, str(excluded["pair_id"][0].as_py())))
        assert f"left out as robots_txt_page: {SAID} says 'not for *', seen 2026-01-02" in answer

        make_pool(graph, opt_outs=[])
        assert digests(graph.lake, SNAPSHOTS, *POOL) == never
        assert graph.lake.manifest("exclusions").version == version
        make_pool(graph, opt_outs=["robots_txt_image", "robots_txt_page"])
        assert digests(graph.lake, SNAPSHOTS, *POOL) == on

        graph.where.takedowns.write_text(
            f"kind,value,reason\ndomain,{DOMAIN},\npage_domain,{DOMAIN},\n", encoding="utf-8"
        )
        reasons = make_pool(graph)
        assert reasons.keys() == {"duplicate", "taken_down"}
        assert digests(graph.lake, SNAPSHOTS, *POOL) == on, "an opt-out leaves what a takedown leaves"


def test_a_data_card_says_where_robots_txt_was_read_in_part_or_not_at_all(curated: Deployment, tmp_path: Path) -> None:
    first, second = SNAPSHOTS
    crawl = copytree(curated.crawl, tmp_path / "crawl", symlinks=True)
    Path(crawl, "crawl-data", second, "robotstxt.paths.gz").unlink()
    with open_graph(copy_home(curated, tmp_path, crawl=str(crawl)), *SNAPSHOTS) as graph:
        graph.make(["robots_txt", "opt_out_signals"], first, ops={"robots_txt": {"config": {"first": 1}}})
        graph.make(["robots_txt", "opt_out_signals"], second)
        graph.make(["data_cards"], "20")
        card = json.loads((graph.where.reports / "data_card_t_20.json").read_text(encoding="utf-8"))["opt_outs"]
        assert card["robots_in_part"] == [f"{first}, 1 of 4 archives"]
        assert card["robots_not_read"] == [second]
        assert {"*", "CCBot", "GPTBot"} <= {*card["robots_agents"]}


def test_a_policy_is_refused_where_nothing_says_what_it_honours(curated: Deployment, tmp_path: Path) -> None:
    with open_graph(copy_home(curated, tmp_path), *SNAPSHOTS) as graph:
        with pytest.raises(ValidationError, match="noai: no signal of pairs; there are robots_txt_page"):
            make_pool(graph, opt_outs=["noai"])
        rmtree(Path(graph.where.lake, "robots_txt"))
        graph.make(["opt_out_signals"], SNAPSHOTS[0])
        with pytest.raises(dg.Failure, match=r"honours robots_txt_page, and .* was not read"):
            make_pool(graph, opt_outs=["meta_robots", "robots_txt_page"])
        rmtree(Path(graph.where.lake, "opt_out_signals"))
        with pytest.raises(dg.Failure, match="materialize opt_out_signals of SAMPLE-2026-01, or give"):
            make_pool(graph, opt_outs=["meta_robots"])

        matches = sum(graph.lake.manifest("matches", key).rows for key in SNAPSHOTS)
        result = graph.make(["exclusions"], ops={"exclusions": {"config": {"licenses": ["LicenseRef-nobodys-*"]}}})
        assert graph.lake.manifest("exclusions").rows == matches, "no licence fits"
        [event] = result.get_asset_materialization_events()
        assert event.materialization.metadata["license"].value == graph.lake.manifest("exclusions").rows
