"""Digests of a pool's images are read out of whichever table lists them."""

import gzip
import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from resources.pools.digests import list_digests
from resources.pools.reading import read_pools
from resources.pools.rows import Row

DIGESTS = [hashlib.sha256(bytes([number])).hexdigest() for number in range(3)]
COLUMNS = {"url": ["http://h.example/0", "http://h.example/1", "http://h.example/2"], "text": ["a", "b", "c"]}
LINES = list(zip(*COLUMNS.values(), DIGESTS, strict=True))


def write(folder: Path, kind: str, digest: str) -> None:
    if kind == "parquet":
        pq.write_table(pa.table({**COLUMNS, digest: DIGESTS}), folder / "0.parquet")
    else:
        mark = "\t" if "tsv" in kind else ","
        text = "\n".join(mark.join(line) for line in [("url", "text", digest), *LINES]).encode("utf-8-sig")
        (folder / f"0.{kind}").write_bytes(gzip.compress(text) if kind.endswith("gz") else text)


@pytest.mark.parametrize("digest", ["sha256", "MD5", "checksum", "other"])
@pytest.mark.parametrize("kind", ["parquet", "tsv", "csv", "csv.gz"])
def test_a_tables_digests_are_found_by_name(kind: str, digest: str, tmp_path: Path) -> None:
    write(tmp_path, kind, digest)
    named = {"digest": digest} if digest == "checksum" else {}
    (tmp_path / "pools.json").write_text(json.dumps({"web": {"files": f"0.{kind}", **named}}), encoding="utf-8")
    tables = list_digests(read_pools(str(tmp_path / "pools.json"))["pool-web"])
    if digest == "other":
        assert tables == {}
        return
    rows = [row for row in tables["00000"]["rows"]() if isinstance(row, Row)]
    assert [(row.url, row.texts) for row in rows] == [(url, [value]) for url, _, value in LINES]


def test_a_named_column_that_is_missing_is_an_error_and_samples_have_none(tmp_path: Path) -> None:
    write(tmp_path, "parquet", "sha256")
    (tmp_path / "0.tar").write_bytes(bytes(10240))
    settings = {"web": {"files": "0.parquet", "digest": "hash"}, "tars": {"files": "0.tar"}}
    (tmp_path / "pools.json").write_text(json.dumps(settings), encoding="utf-8")
    pools = read_pools(str(tmp_path / "pools.json"))
    assert list_digests(pools["pool-tars"]) == {}
    with pytest.raises(ValueError, match="no column hash among url, text, sha256"):
        list_digests(pools["pool-web"])


def test_naming_digests_makes_no_pairs_again(tmp_path: Path) -> None:
    write(tmp_path, "parquet", "sha256")
    versions = []
    for settings in ({}, {"digest": "sha256"}):
        (tmp_path / "pools.json").write_text(json.dumps({"web": {"files": "0.parquet", **settings}}), encoding="utf-8")
        pool = read_pools(str(tmp_path / "pools.json"))["pool-web"]
        versions.append(pool.shard(*pool.paths().values())["rows"].version)
    assert versions[0] == versions[1]
