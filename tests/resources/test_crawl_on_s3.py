"""A crawl in a bucket: an S3 server on the loopback gives what the same files in a folder give."""

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from resources.common_crawl import open_crawl
from resources.deployments import Deployment, read_deployment
from tests.mini import CRAWL

SNAPSHOT = "SAMPLE-2026-01"


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
    found, expected = bucket.archives(SNAPSHOT, "wat"), folder.archives(SNAPSHOT, "wat")
    assert list(found) == list(expected)
    for key, archive in found.items():
        with archive["archive"]() as ours, expected[key]["archive"]() as theirs:
            assert ours.read() == theirs.read()


def test_options_that_are_no_json_are_refused() -> None:
    with pytest.raises(ValueError, match="METACLIP_CRAWL_OPTIONS"):
        read_deployment({"METACLIP_CRAWL_OPTIONS": "anon"})


def _deployment(crawl: str, home: Path, **more: str) -> Deployment:
    return read_deployment({"METACLIP_CRAWL": crawl, "METACLIP_DATA": str(home), **more})
