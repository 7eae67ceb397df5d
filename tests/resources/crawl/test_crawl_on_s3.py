"""A crawl and pools in a bucket: an S3 server on the loopback gives what the same files in a folder give."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import fsspec
import pytest
from moto.server import ThreadedMotoServer

from resources.crawl.listing import draw_archives
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, read_deployment
from resources.pools.images import open_pool_images
from tests.data.test_sample import CRAWL
from tests.image_hosts import picture
from tests.metaclip_dagster.training_sets import write_tar
from tests.resources.pools.test_pools import pairs_of, pool_of, write_lines

SNAPSHOT = "SAMPLE-2026-01"
S3: Any = fsspec.get_filesystem_class("s3")


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A server with the sample's first snapshot in the bucket `crawl`, that everybody may read."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    with pytest.MonkeyPatch.context() as keys:
        keys.setenv("AWS_ACCESS_KEY_ID", "key")
        keys.setenv("AWS_SECRET_ACCESS_KEY", "secret")
        client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        client.create_bucket(Bucket="crawl", ACL="public-read")
        for path in [CRAWL / "collinfo.json", *(CRAWL / "crawl-data" / SNAPSHOT).rglob("*")]:
            if path.is_file() and "images" not in path.name:
                client.upload_file(str(path), "crawl", str(path.relative_to(CRAWL)))
    yield url
    server.stop()


@pytest.mark.parametrize("anonymous", [True, False])
def test_a_crawl_in_a_bucket_equals_the_one_in_a_folder(
    anonymous: bool, endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
        if not anonymous:
            monkeypatch.setenv(name, "from the environment")
    options = {"client_kwargs": {"endpoint_url": endpoint}} | ({"anon": True} if anonymous else {})
    bucket = open_crawl(_deployment("s3://crawl", tmp_path, METACLIP_CRAWL_OPTIONS=json.dumps(options)))
    folder = open_crawl(_deployment(str(CRAWL), tmp_path))
    assert bucket.snapshots() == folder.snapshots()
    assert bucket.has_paths(SNAPSHOT, "wat")
    assert not bucket.has_paths("SAMPLE-2026-09", "wat")
    archives = bucket.archives(SNAPSHOT, "wat")
    assert archives == folder.archives(SNAPSHOT, "wat")
    for path in archives.values():
        with bucket.opening(path)() as ours, folder.opening(path)() as theirs:
            assert ours.read() == theirs.read()


Asked = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def asked(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    """What is asked of the server, which the environment names."""
    calls, call = [], S3._call_s3

    async def noting(self: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        calls.append((method, kwargs))
        return await call(self, method, *args, **kwargs)

    monkeypatch.setattr(S3, "_call_s3", noting)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "from the environment")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    S3.clear_instance_cache()
    yield calls
    S3.clear_instance_cache()


def test_only_archives_that_are_drawn_are_asked_about(asked: Asked, tmp_path: Path) -> None:
    crawl = open_crawl(_deployment("s3://crawl", tmp_path))
    listed = crawl.files(SNAPSHOT, "wat")[1]
    assert len(listed) > 1
    assert {kwargs["Key"] for _, kwargs in asked} == {"collinfo.json", f"crawl-data/{SNAPSHOT}/wat.paths.gz"}
    asked.clear()
    drawn = draw_archives(listed, first=1)
    [shard] = crawl.shards(SNAPSHOT, drawn).values()
    assert [(method, kwargs["Key"]) for method, kwargs in asked] == [("head_object", path) for path in drawn.values()]
    assert str((CRAWL / drawn["00000"]).stat().st_size) in shard["archive"].version


def test_an_image_of_a_pool_in_a_bucket_costs_one_request_of_its_size(asked: Asked, tmp_path: Path) -> None:
    write_tar(tmp_path / "part 0.tar", [(f"{number}.jpg", picture(number)) for number in range(20)])
    S3().put(str(tmp_path / "part 0.tar"), "s3://crawl/pool/part 0.tar")
    crawl = pool_of(tmp_path, files="s3://crawl/pool/*.tar")
    fetch = open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)
    [file] = crawl.shards("pool-theirs", crawl.files("pool-theirs", "wat")[1]).values()
    urls = [row.address for row in file["rows"]()]
    asked.clear()
    images = dict(fetch([*urls[::2], urls[0].replace("/512-", "/999999-")]))
    assert [images[url] for url in urls[::2]] == [picture(number) for number in range(0, 20, 2)]
    assert list(images.values())[-1] == "not_found"
    assert [method for method, _ in asked] == ["get_object"] * 11
    ranges = [kwargs["Range"].removeprefix("bytes=").split("-") for _, kwargs in asked]
    sizes = sorted(int(last) + 1 - int(first) for first, last in ranges)
    assert sizes == sorted(512 + len(picture(number)) for number in [0, *range(0, 20, 2)])


def test_a_pool_of_lines_in_a_bucket_equals_the_one_in_a_folder(asked: Asked, tmp_path: Path) -> None:
    write_lines(tmp_path / "a.csv", ",", "url,text\n" + "x" * (3 << 20) + "\n")
    S3().put(str(tmp_path / "a.csv"), "s3://crawl/pool/a.csv")
    there, dropped = pairs_of(pool_of(tmp_path, files="s3://crawl/pool/a.csv"))
    assert (there, dropped) == pairs_of(pool_of(tmp_path, files="a.csv"))
    assert dropped["too_large"] == 1


def test_options_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="METACLIP_CRAWL_OPTIONS"):
        read_deployment({"METACLIP_CRAWL_OPTIONS": "anon"})


def _deployment(crawl: str, home: Path, **more: str) -> Deployment:
    return read_deployment({"METACLIP_CRAWL": crawl, "METACLIP_DATA": str(home), **more})
