"""A crawl without robots.txt is told from one that cannot be reached."""

from pathlib import Path

import pytest

from assets.robots import _list_archives
from resources.crawl.resource import CommonCrawl

DRAW = {"first": 0, "share": 1.0, "seed": 0}


def crawl_of(root: Path) -> CommonCrawl:
    return CommonCrawl(root=str(root), snapshot_pattern=r"SAMPLE-\d{4}-\d{2}")


def test_a_crawl_that_cannot_be_reached_is_no_crawl_without_robots_txt(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="collinfo"):
        _list_archives(crawl_of(tmp_path / "unmounted"), "SAMPLE-2026-01", DRAW)
    (tmp_path / "collinfo.json").write_text('[{"id": "SAMPLE-2026-01"}]', encoding="utf-8")
    shards, num_listed = _list_archives(crawl_of(tmp_path), "SAMPLE-2026-01", DRAW)
    assert ([shard["archive"] for shard in shards.values()], num_listed) == ([None], 0)
