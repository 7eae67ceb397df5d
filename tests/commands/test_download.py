"""WordNet, a Wikipedia's dump and pageviews from a loopback host laid out like nltk's data and Wikimedia's."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.deployments import REPOSITORY, SAMPLE, read_deployment
from resources.sources.wikipedia import find_dump, find_pageviews
from resources.sources.wordnet import MULTILINGUAL, PACKAGE
from tests.hosts import Host, cut_after, refusing, serving
from tests.resources.exports import write_wordnets

DAY = "20261101"
PARTS = {
    f"dewiki-{DAY}-pages-articles-multistream{number}.xml-p{number}p{number + 9}.bz2": random.Random(number).randbytes(
        300_000
    )
    for number in (1, 2)
}


def status(state: str = "done", changed: dict[str, bytes] | None = None) -> bytes:
    files = {
        name: {"size": len(data), "sha1": hashlib.sha1(data, usedforsecurity=False).hexdigest(), "url": f"/x/{name}"}
        for name, data in (PARTS | (changed or {})).items()
    }
    index = {f"dewiki-{DAY}-pages-articles-multistream-index1.txt-p1p10.bz2": {"size": 9}}
    ordinary = {"status": "done", "files": {f"dewiki-{DAY}-pages-articles.xml.bz2": {"size": 9}}}
    multistream = {"status": state, "files": files | index}
    return json.dumps({"jobs": {"articlesdump": ordinary, "articlesmultistreamdump": multistream}}).encode()


class Wikimedia:
    def __init__(self) -> None:
        self.status = status()
        self.wordnet = (SAMPLE / "nltk_data" / PACKAGE).read_bytes()
        self.multilingual = b""

    def read(self, path: str) -> bytes | None:
        name = path.rpartition("/")[2]
        if path == f"/dewiki/{DAY}/dumpstatus.json":
            return self.status
        if path == "/packages/corpora/wordnet.zip":
            return self.wordnet
        if path == "/packages/corpora/omw-1.4.zip":
            return self.multilingual
        if path.startswith("/other/pageviews/2026/2026-10/"):
            return name.encode()
        return PARTS.get(name) if path == f"/dewiki/{DAY}/{name}" else None


@pytest.fixture
def wikimedia() -> Wikimedia:
    return Wikimedia()


@pytest.fixture
def host(wikimedia: Wikimedia) -> Iterator[Host]:
    with serving(wikimedia.read) as running:
        yield running


def download(
    host: Host, home: Path, *arguments: str, languages: str = "de", lists: str = ""
) -> subprocess.CompletedProcess[str]:
    settings = {"METACLIP_DATA": str(home), "METACLIP_WIKIPEDIA": str(home / "wikipedia"), "METACLIP_LISTS": lists}
    settings |= {"METACLIP_DEPLOYMENT": "commoncrawl", "METACLIP_LANGUAGES": languages}
    command = [sys.executable, "-m", "metaclip_dagster", "download", *arguments, "--root", host.url]
    return subprocess.run(
        command, cwd=REPOSITORY, env=os.environ | settings, capture_output=True, text=True, check=False
    )


def test_a_multistream_dump_in_parts_arrives_whole_whatever_breaks_in_between(host: Host, tmp_path: Path) -> None:
    host.plan = [refusing(503), *[cut_after(200_000)] * 3]
    run = download(host, tmp_path, "dump", DAY)
    assert run.returncode == 0, run.stderr
    paths = find_dump(str(tmp_path / "wikipedia"), "de")
    assert [Path(path).read_bytes() for path in paths] == [*PARTS.values()]
    asked = len(host.asked)
    assert download(host, tmp_path, "dump", DAY).returncode == 0
    assert [path for path, _, _ in host.asked[asked:]] == [f"/dewiki/{DAY}/dumpstatus.json"], "what is there stays"


def test_pageviews_of_drawn_days_are_brought_hour_by_hour(host: Host, tmp_path: Path) -> None:
    days = ["--days", "2", "--first", "2026-10-01", "--last", "2026-10-31"]
    run = download(host, tmp_path, "pageviews", *days)
    assert run.returncode == 0, run.stderr
    paths = [Path(path) for path in find_pageviews(str(tmp_path / "wikipedia"))]
    assert (len(paths), len({path.name[:18] for path in paths})) == (48, 2)
    assert all(path.read_bytes() == path.name.encode() for path in paths)


@pytest.mark.parametrize(
    ("dump_status", "message"),
    [
        (status("in-progress"), "is in-progress; take an earlier one"),
        (b"{}", "lists no articlesmultistreamdump"),
        (status(changed={"../../etc/passwd": b"x"}), "is none of its articles' files"),
    ],
)
def test_a_dump_that_is_not_ready_or_not_one_is_refused(
    dump_status: bytes, message: str, wikimedia: Wikimedia, host: Host, tmp_path: Path
) -> None:
    wikimedia.status = dump_status
    run = download(host, tmp_path, "dump", DAY)
    assert (run.returncode, message in run.stderr) == (1, True), run.stderr
    assert "Traceback" not in run.stderr


def test_dumps_of_all_languages_are_asked_for_by_name(host: Host, tmp_path: Path) -> None:
    run = download(host, tmp_path, "dump", DAY, languages="all")
    assert (run.returncode, "name them by their codes" in run.stderr) == (1, True), run.stderr
    assert not host.asked


def test_a_language_with_a_list_of_its_own_needs_no_dump(host: Host, tmp_path: Path) -> None:
    lists = tmp_path / "lists"
    lists.mkdir()
    (lists / "zh-yue.txt").write_text("貓頭鷹\n", encoding="utf-8")
    run = download(host, tmp_path, "dump", DAY, languages="de,yue", lists=str(lists))
    assert run.returncode == 0, run.stderr
    assert "yue: no dump is needed" in run.stdout
    assert not [path for path, _, _ in host.asked if "dewiki" not in path]
    run = download(host, tmp_path, "dump", DAY, languages="all", lists=str(lists))
    assert (run.returncode, "name them by their codes" in run.stderr) == (1, True), run.stderr


def test_a_file_with_another_checksum_is_thrown_away(wikimedia: Wikimedia, host: Host, tmp_path: Path) -> None:
    wikimedia.status = status(changed={next(iter(PARTS)): b"other bytes"})
    run = download(host, tmp_path, "dump", DAY)
    assert "SHA-1" in run.stderr
    assert not list((tmp_path / "wikipedia").glob("dewiki*"))


def test_wordnet_lies_where_the_deployment_reads_it(wikimedia: Wikimedia, host: Host, tmp_path: Path) -> None:
    host.plan = [cut_after(1_000_000)]
    run = download(host, tmp_path, "wordnet", languages="en")
    assert run.returncode == 0, run.stderr
    folder = read_deployment({"METACLIP_DEPLOYMENT": "commoncrawl", "METACLIP_DATA": str(tmp_path)}).nltk_data
    assert Path(folder, PACKAGE).read_bytes() == wikimedia.wordnet


def test_the_multilingual_wordnet_comes_with_it_where_there_are_other_languages(
    wikimedia: Wikimedia, host: Host, tmp_path: Path
) -> None:
    (tmp_path / "made" / "corpora").mkdir(parents=True)
    wikimedia.multilingual = (write_wordnets(tmp_path / "made") / MULTILINGUAL).read_bytes()
    run = download(host, tmp_path, "wordnet", languages="all")
    assert run.returncode == 0, run.stderr
    folder = read_deployment({"METACLIP_DEPLOYMENT": "commoncrawl", "METACLIP_DATA": str(tmp_path)}).nltk_data
    assert Path(folder, MULTILINGUAL).read_bytes() == wikimedia.multilingual


def test_what_is_no_wordnet_is_thrown_away(wikimedia: Wikimedia, host: Host, tmp_path: Path) -> None:
    wikimedia.wordnet = b"<html>log in first</html>"
    run = download(host, tmp_path, "wordnet", languages="en")
    assert (run.returncode, "is it nltk's wordnet package" in run.stderr) == (1, True), run.stderr
    assert not list(tmp_path.rglob("*.zip"))
