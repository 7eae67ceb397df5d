"""Pools that others made go the way of a snapshot: from a table of URLs and from tars of images to a training set."""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from assets.keys import THRESHOLDS
from assets.partitions import register_snapshots
from assets.queries.answers import explain_pair
from assets.queries.hosts import count_hosts
from commands import demo
from definitions import bind
from resources.crawl.mini import mini_deployment
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment
from resources.lake.resource import Lake
from tests.image_hosts import ImageHosts, image_hosts, picture
from tests.metaclip_dagster.training_sets import write_tar

POOLS = ["pool-tars", "pool-web"]
ORIGIN = "https://photos.example/{}.jpg"  # of the first ten in the tar
KINDS = {"ok": 60, "status/404": 10, "noai": 5, "to/forbidden_port": 5}


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ImageHosts]:
    with image_hosts(tmp_path_factory.mktemp("hosts")) as running:
        yield running


@pytest.fixture(scope="module")
def lake(mini: Path, curated: Deployment, hosts: ImageHosts, tmp_path_factory: pytest.TempPathFactory) -> Lake:
    """Both pools made up to their training sets, with the entries of the mini sample."""
    home = tmp_path_factory.mktemp("pools")
    for table in ("entries",):
        shutil.copytree(Path(curated.lake, table), home / "lake" / table)
    urls = [f"{hosts.root}/{kind}/{number}" for kind, times in KINDS.items() for number in range(times)]
    urls = [url.rpartition("/")[0] + f"?{url.rpartition('/')[2]}" if "/to/" in url else url for url in urls]
    lines = [
        f"{url}\tThis is the photo of a dog in the garden, number {number}\t{digest_of(number)}\t{number / 100}\n"
        for number, url in enumerate(urls)
    ]
    (home / "web.tsv").write_text("".join(lines), encoding="utf-8")
    members = [
        (f"{number:03d}.{kind}", data)
        for number in range(30)
        for kind, data in (
            ("jpg", picture(1000 + number)),
            ("txt", f"This is the drawing of a cat, number {number}".encode()),
            ("json", json.dumps({"url": ORIGIN.format(number)} if number < 10 else {}).encode()),
        )
    ]
    write_tar(home / "tars 0.tar", members)
    columns = ["url", "text", "sha256", "similarity"]
    pools = {
        "web": {"files": "web.tsv", "columns": columns, "numbers": ["similarity"]},
        "tars": {"files": "tars *.tar"},
    }
    where = mini_deployment(mini, home)
    Path(where.pools).write_text(json.dumps(pools), encoding="utf-8")
    asked = {"from_web": True, "allowed": [f"127.0.0.1:{hosts.port}"]}
    with dg.DagsterInstance.ephemeral() as instance:
        register_snapshots(instance, open_crawl(where), POOLS)
        plan = [step for step in demo.steps(POOLS) if "entries" not in step[0] and "wordnet_synsets" not in step[0]]
        for names, partitions in plan:
            for partition in partitions:
                demo.materialize(bind(where), instance, names, partition)
        for t in THRESHOLDS:
            demo.materialize(
                bind(where), instance, ["image_texts", "images"], t, {"resources": {"image_store": {"config": asked}}}
            )
        demo.materialize(bind(where), instance, ["training_sets"], "inf")
        filters = {"training_sets": {"config": {"filters": {"column:similarity": {"at_least": 0.25, "at_most": 0.49}}}}}
        demo.materialize(bind(where), instance, ["training_sets"], "online-20", {"ops": filters})
    return Lake(root=where.lake)


def digest_of(number: int) -> str:
    """What the pool lists: the picture's SHA-256 for even numbers, and another's for odd ones."""
    return hashlib.sha256(picture(number if number % 2 == 0 else number + 128)).hexdigest()


def test_every_row_is_a_pair_and_every_pair_is_in_the_unbalanced_subset(lake: Lake) -> None:
    rows = {key: lake.manifest("pairs", key).rows for key in POOLS}
    assert rows == {"pool-tars": 30, "pool-web": sum(KINDS.values())}
    assert lake.manifest("subsets", "inf").rows == sum(rows.values())


def test_images_come_from_the_web_and_from_the_tars_and_failures_say_why(lake: Lake, hosts: ImageHosts) -> None:
    images = [row for t in THRESHOLDS for row in lake.read("images", [t]).to_pylist()]
    reasons = [row["reason"] for row in images]
    counts = {reason: reasons.count(reason) for reason in set(reasons)}
    assert counts == {None: 60 + 30, "http_404": 10, "opted_out": 5, "blocked_address": 5}
    assert hosts.forbidden == []
    assert {count for path, count in hosts.asked.items() if path.startswith("/ok/")} == {1}, "each is fetched once"


def test_the_training_set_holds_what_could_be_had(lake: Lake) -> None:
    texts = [text["text"] for row in lake.read("training_sets", ["inf"]).to_pylist() for text in row["texts"]]
    assert len(texts) == 60 + 30
    assert sum("drawing" in text for text in texts) == 30


def test_pairs_outside_a_limit_to_a_pools_own_number_go_and_those_without_one_are_counted(lake: Lake) -> None:
    texts = {text["text"] for row in lake.read("training_sets", ["online-20"]).to_pylist() for text in row["texts"]}
    assert texts == {f"This is the photo of a dog in the garden, number {number}" for number in range(25, 50)}
    manifest = lake.manifest("training_sets", "online-20")
    dropped = {
        "http_404": 10,
        "opted_out": 5,
        "blocked_address": 5,
        "filtered_similarity": 35,
        "missing_similarity": 30,
    }
    assert manifest.total("dropped") == dropped
    assert (manifest.total("seen")["filtered_texts"], manifest.total("seen")["textless_images"]) == (65, 65)


def test_a_pools_image_goes_by_its_origin_in_subsets_and_explanations(lake: Lake) -> None:
    rows = [row for row in lake.read("subsets", ["inf"]).to_pylist() if row["snapshot"] == "pool-tars"]
    origins = {row["url"] for row in rows if row["url"].startswith("https://photos.example/")}
    assert origins == {ORIGIN.format(number) for number in range(10)}
    assert all(row["url"] in {row["pool_address"], *origins} for row in rows)
    answer = str(explain_pair(lake, POOLS, ORIGIN.format(7)))
    assert "in the image store" in answer
    assert "https://tars.invalid/tars%200.tar/" in answer


def test_fetches_say_by_host_how_it_went_and_what_is_as_the_pool_lists_it(lake: Lake, hosts: ImageHosts) -> None:
    fetches = [row for t in THRESHOLDS for row in lake.read("fetches", [t]).to_pylist()]
    images = [row for t in THRESHOLDS for row in lake.read("images", [t]).to_pylist()]
    came = {row["image_id"]: (row["fetched_size"], row["reason"]) for row in images}
    assert {row["image_id"]: (row["fetched_size"], row["reason"]) for row in fetches} == came
    on_web = [row for row in fetches if row["host"] == f"127.0.0.1:{hosts.port}"]
    assert Counter(row["compared"] for row in on_web) == {"same": 30, "changed": 30, "gone": 10, None: 10}
    assert all((row["seconds"] is not None) == (row in on_web) for row in fetches)
    [host] = count_hosts(lake, THRESHOLDS, "failed")
    assert (host.host, host.images, host.stored, host.failed) == (f"127.0.0.1:{hosts.port}", 80, 60, 20)
    assert host.reasons == {"http_404": 10, "blocked_address": 5, "opted_out": 5}
    assert host.fetched_bytes == sum(row["fetched_size"] or 0 for row in on_web) > 0
    assert host.seconds > 0


def test_a_run_may_leave_out_what_changed_and_ask_elsewhere(mini: Path, lake: Lake, hosts: ImageHosts) -> None:
    t = max(THRESHOLDS, key=lambda t: lake.manifest("fetches", t).rows)
    before = lake.read("fetches", [t]).to_pylist()
    config = {"fetch_only_same": True, "second_source": f"{hosts.root}/ok/5?{{timestamp}}{{url_quoted}}"}
    asked = {"from_web": True, "allowed": [f"127.0.0.1:{hosts.port}"]}
    set_ups = {"resources": {"image_store": {"config": asked}}, "ops": {"images": {"config": config}}}
    num_asked = hosts.asked.total()
    with dg.DagsterInstance.ephemeral() as instance:
        where = mini_deployment(mini, Path(lake.root).parent)
        demo.materialize(bind(where), instance, ["images"], t, set_ups)
    reasons = {row["image_id"]: row["reason"] for row in lake.read("images", [t]).to_pylist()}
    changed = [row["image_id"] for row in before if row["compared"] == "changed"]
    assert changed
    expected = {row["image_id"]: "changed" if row["image_id"] in changed else row["reason"] for row in before}
    assert reasons == expected
    assert lake.finished("crawl_times", [t]) == [t]
    assert hosts.asked.total() == num_asked, "what failed is asked for again by those alone who say so"
