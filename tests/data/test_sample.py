"""The tracked sample is a consistent small Common Crawl, and keeps what it must keep from training."""

import base64
import gzip
import hashlib
import json
import re
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import pytest

SAMPLE = Path(__file__).parents[2] / "data" / "sample"
CRAWL = SAMPLE / "crawl"
PARTS = ("crawl", "tasks", "wikipedia", "nltk_data", "lists", "LICENSES")
LANGUAGES = ("de", "es", "fr", "it", "ja", "ko", "pl", "pt", "ru", "zh")
MEGABYTE = 10**6


@cache
def snapshots() -> tuple[str, ...]:
    """Oldest first."""
    return tuple(row["id"] for row in reversed(json.loads((CRAWL / "collinfo.json").read_text(encoding="utf-8"))))


@cache
def paths(snapshot: str, kind: str) -> tuple[str, ...]:
    with gzip.open(CRAWL / "crawl-data" / snapshot / f"{kind}.paths.gz", "rt", encoding="utf-8") as lines:
        return tuple(lines.read().split())


@cache
def members(path: str) -> dict[int, bytes]:
    """The gzip members of a file, one a record, by their offset."""
    content = memoryview((CRAWL / path).read_bytes())
    by_offset, start = {}, 0
    while start < len(content):
        inflater, end, parts = zlib.decompressobj(31), start, []
        while not inflater.eof:
            parts.append(inflater.decompress(content[end : end + 2048]))
            end += 2048
        by_offset[start] = b"".join(parts)
        start = min(end, len(content)) - len(inflater.unused_data)
    return by_offset


@cache
def wat_records(path: str) -> tuple[dict, ...]:  # type: ignore[type-arg]  # JSON
    """The JSON of a WAT file's metadata records."""
    bodies = [member.partition(b"\r\n\r\n")[2] for member in members(path).values()]
    return tuple(json.loads(body) for body in bodies if body.startswith(b"{"))


@cache
def links(path: str) -> tuple[tuple[str, str, str], ...]:
    """Page, image URL and text of every image in a WAT file that has an address."""
    return tuple(_links(path))


def _links(path: str) -> Iterator[tuple[str, str, str]]:
    for record in wat_records(path):
        envelope = record["Envelope"]
        html = envelope["Payload-Metadata"].get("HTTP-Response-Metadata", {}).get("HTML-Metadata", {})
        page = envelope["WARC-Header-Metadata"].get("WARC-Target-URI", "")
        base = urljoin(page, html.get("Head", {}).get("Base", ""))
        for link in html.get("Links", ()):
            if link["path"] == "IMG@/src" and not link["url"].startswith("data:"):
                yield page, urljoin(base, link["url"]), f"{link.get('alt', '')} | {link.get('title', '')}"


@cache
def recorded(snapshot: str) -> dict[str, str]:
    """Payload digest of every image URL of a snapshot; twice recorded is an error."""
    digests: dict[str, str] = {}
    for path in paths(snapshot, "images"):
        content = (CRAWL / path).read_bytes()
        heads = re.findall(rb"WARC-Type: (?:response|revisit)\r\n.*?\r\n\r\n", content, re.DOTALL)
        for head in heads:
            fields = dict(line.split(": ", 1) for line in head.decode().strip().split("\r\n"))
            assert fields["WARC-Target-URI"] not in digests
            digests[fields["WARC-Target-URI"]] = fields["WARC-Payload-Digest"]
    return digests


def test_nothing_passes_for_a_release_of_common_crawl() -> None:
    rows = json.loads((CRAWL / "collinfo.json").read_text(encoding="utf-8"))
    assert len(rows) == 3
    assert all(re.fullmatch(r"SAMPLE-\d{4}-\d{2}", row["id"]) and "ample" in row["name"] for row in rows)
    assert not any(b"CC-MAIN" in path.name.encode() for path in CRAWL.rglob("*"))


@pytest.mark.parametrize("kind", ["warc", "wat", "images", "robotstxt"])
def test_the_path_lists_name_every_file_and_no_other(kind: str) -> None:
    listed = {path for snapshot in snapshots() for path in paths(snapshot, kind)}
    there = {str(path.relative_to(CRAWL)) for path in CRAWL.glob(f"crawl-data/*/segments/*/{kind}/*")}
    assert listed == there
    assert len(listed) == 4 * len(snapshots())


def test_a_wat_path_is_its_warc_path_renamed() -> None:
    for snapshot in snapshots():
        renamed = [p.replace("/warc/", "/wat/").replace(".warc.gz", ".warc.wat.gz") for p in paths(snapshot, "warc")]
        assert list(paths(snapshot, "wat")) == renamed


def test_wat_offsets_point_at_the_record_they_tell_of() -> None:
    for snapshot in snapshots():
        for warc, wat in zip(paths(snapshot, "warc"), paths(snapshot, "wat"), strict=True):
            records = members(warc)
            assert len(records) == len(wat_records(wat))
            for record in wat_records(wat):
                head = records[int(record["Container"]["Offset"])].partition(b"\r\n\r\n")[0].decode()
                assert record["Envelope"]["WARC-Header-Metadata"]["WARC-Record-ID"] in head
                assert record["Container"]["Filename"] == warc.rsplit("/", 1)[1]


def test_every_image_has_one_record_but_for_a_few_that_nobody_answers() -> None:
    known: set[str] = set()
    for snapshot in snapshots():
        shown = {url for path in paths(snapshot, "wat") for _, url, _ in links(path)}
        assert not known & recorded(snapshot).keys()
        assert recorded(snapshot).keys() <= shown
        known |= recorded(snapshot).keys()
        assert 0 < len(shown - known) < 0.01 * len(shown)


def test_a_revisit_has_its_response_in_the_same_file() -> None:
    for snapshot in snapshots():
        for path in paths(snapshot, "images"):
            content = (CRAWL / path).read_bytes()
            digests = {
                kind: set(re.findall(rb"WARC-Type: %b\r\nWARC-Payload-Digest: (\S+)" % kind, content))
                for kind in (b"response", b"revisit")
            }
            assert digests[b"response"] >= digests[b"revisit"]


def answers(snapshot: str) -> dict[str, tuple[str, bytes]]:
    """Status and body of each file of rules that a snapshot's robotstxt archives have, by its URL."""
    records = [record for path in paths(snapshot, "robotstxt") for record in members(path).values()]
    parts = [record.split(b"\r\n\r\n", 2) for record in records if b"WARC-Type: response" in record]
    urls = [re.search(rb"WARC-Target-URI: (\S+)", head) for head, _, _ in parts]
    answered = [(head.split(b"\r\n", 1)[0].decode(), body.removesuffix(b"\r\n\r\n")) for _, head, body in parts]
    return {url[1].decode(): answer for url, answer in zip(urls, answered, strict=True) if url}


def test_every_host_of_a_page_was_asked_for_its_robots_txt() -> None:
    for snapshot in snapshots():
        hosts = {page.split("/")[2] for path in paths(snapshot, "wat") for page, _, _ in links(path)}
        asked = {url for url in answers(snapshot) if url.endswith("/robots.txt") and url.startswith("http://")}
        assert asked == {f"http://{host}/robots.txt" for host in hosts}


def test_robots_txt_comes_in_the_ways_of_the_web() -> None:
    known = answers("SAMPLE-2026-01")
    statuses = {status.split(" ")[1] for status, _ in known.values()}
    assert statuses == {"200", "301", "404"}
    assert any(body.startswith(b"\xef\xbb\xbf") for _, body in known.values())
    assert any(b"Content-Usage: " in body for _, body in known.values())
    assert any(b"User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n" in body for _, body in known.values())
    assert [url for url in known if url.endswith("/.well-known/tdmrep.json")]


def test_pages_say_no_in_metas_and_headers_and_name_only_their_drawings_licence() -> None:
    documents = [
        (record["Envelope"]["WARC-Header-Metadata"]["WARC-Target-URI"], response)
        for snapshot in snapshots()
        for path in paths(snapshot, "wat")
        for record in wat_records(path)
        if (response := record["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata", {})).get("HTML-Metadata")
    ]
    contents = {m["content"] for _, r in documents for m in r["HTML-Metadata"]["Head"].get("Metas", ())}
    assert {"noai, noimageai", "NOINDEX", "index, follow", "1"} < contents
    names = {name for _, response in documents for name in response["Headers"]}
    assert {"X-Robots-Tag", "TDM-Reservation", "Content-Usage"} < names
    licences = {"noto-emoji": "LICENSE-2.0", "fluent-emoji": "mit", "openmoji-drawings": "by-sa/4.0/"}
    named: set[str] = set()
    for page, response in documents:
        html = response["HTML-Metadata"]
        for link in (*html["Head"].get("Link", ()), *html.get("Links", ())):
            if "license" in link.get("rel", ""):
                host = page.split("/")[2].removesuffix(".example")
                assert link["url"].endswith(licences[host])
                named.add(host)
    assert named == licences.keys()


def test_the_drawings_to_be_classified_are_in_no_snapshot() -> None:
    crawled = {digest for snapshot in snapshots() for digest in recorded(snapshot).values()}
    assert crawled
    for task in ("twemoji", "twemoji-unseen"):
        files = task_files(task)
        images = [content for name, content in files.items() if name.endswith(".webp")]
        assert len(images) == len(classnames(task)) == len(files) // 2
        assert not crawled & {payload_digest(image) for image in images}


def test_every_class_of_a_task_has_its_image_and_its_group() -> None:
    for task in ("twemoji", "twemoji-unseen"):
        labels = sorted(int(content) for name, content in task_files(task).items() if name.endswith(".cls"))
        assert labels == list(range(len(classnames(task))))
        rows = (SAMPLE / "tasks" / task / "groups.tsv").read_text(encoding="utf-8").splitlines()[1:]
        assert [row.split("\t")[1] for row in rows] == classnames(task)
        assert {row.split("\t")[3] for row in rows} == {"head", "tail"}


@pytest.mark.parametrize("task", ["twemoji", "twemoji-unseen"])
def test_classes_have_names_of_their_own_in_every_language(task: str) -> None:
    folder = SAMPLE / "tasks" / task / "languages"
    assert sorted(path.name for path in folder.iterdir()) == [*LANGUAGES]
    for language in LANGUAGES:
        lines = classnames(f"{task}/languages/{language}")
        names = [line for line in lines if line]
        assert len(lines) == len(classnames(task))
        assert len(names) == len({*names}) > 0.93 * len(lines)
        assert all(name == name.strip() and "\t" not in name for name in names)
        assert (folder / language / "zeroshot_classification_templates.txt").read_text(encoding="utf-8") == "{c}\n"


def test_every_other_language_has_a_list_of_words() -> None:
    assert sorted(path.name for path in (SAMPLE / "lists").iterdir()) == [f"{code}.txt.gz" for code in LANGUAGES]
    for path in (SAMPLE / "lists").iterdir():
        listed = gzip.decompress(path.read_bytes()).decode().splitlines()
        assert 8_000 <= len(listed) == len({*listed}) <= 16_000
        assert all(re.search(r"[^\W\d_]", word) and word == word.strip() for word in listed)


def test_held_out_names_are_in_no_text_of_any_page() -> None:
    tasks = ["twemoji-unseen", *(f"twemoji-unseen/languages/{language}" for language in LANGUAGES)]
    held_out = [words(name) for task in tasks for name in classnames(task) if name]
    texts = {text for snapshot in snapshots() for path in paths(snapshot, "wat") for _, _, text in links(path)}
    titles = {title for snapshot in snapshots() for path in paths(snapshot, "wat") for title in page_titles(path)}
    everything = "\n".join(words(text) for text in texts | titles)
    assert " waving hand " in everything
    assert [name for name in held_out if name in everything] == []


def test_held_out_names_are_in_no_text_that_only_the_pages_carry() -> None:
    hidden = {
        words(text.decode(errors="replace"))
        for snapshot in snapshots()
        for path in paths(snapshot, "warc")
        for record in members(path).values()
        for text in re.findall(rb'data-image-title="([^"]*)"', record)
    }
    assert hidden
    assert not [name for name in map(words, classnames("twemoji-unseen")) if any(name in text for text in hidden)]


def test_pages_of_the_third_snapshot_were_mostly_seen_before() -> None:
    pages = [{page for path in paths(s, "wat") for page, _, _ in links(path)} for s in snapshots()]
    assert not pages[0] >= pages[1]
    assert len(pages[2] & (pages[0] | pages[1])) > 0.5 * len(pages[2])
    assert pages[2] - pages[0] - pages[1]


def test_wordnet_is_whole() -> None:
    with zipfile.ZipFile(SAMPLE / "nltk_data" / "corpora" / "wordnet.zip") as archive:
        data = [archive.read(f"wordnet/data.{kind}") for kind in ("noun", "verb", "adj", "adv")]
        assert b"Princeton University" in archive.read("wordnet/LICENSE")
    assert sum(len(re.findall(rb"^\d{8} ", text, re.MULTILINE)) for text in data) == 117_659


def test_every_licence_that_the_readme_names_lies_beside_it() -> None:
    named = set(re.findall(r"`LICENSES/([^`]+)`", (SAMPLE / "README.md").read_text(encoding="utf-8")))
    assert named == {path.name for path in (SAMPLE / "LICENSES").iterdir()}


def test_the_sample_is_small() -> None:
    files = [path for part in PARTS for path in (SAMPLE / part).rglob("*") if path.is_file()]
    assert max(path.stat().st_size for path in files) < 9 * MEGABYTE
    # WARC files of images are not compressed, for git packs them smaller so: these are 24 MB in a clone at most.
    assert sum(path.stat().st_size for path in files) < 65 * MEGABYTE


@cache
def classnames(task: str) -> list[str]:
    return (SAMPLE / "tasks" / task / "classnames.txt").read_text(encoding="utf-8").splitlines()


@cache
def task_files(task: str) -> dict[str, bytes]:
    with tarfile.open(SAMPLE / "tasks" / task / "test" / "0.tar") as tar:
        files = [(member.name, tar.extractfile(member)) for member in tar]
        return {name: file.read() for name, file in files if file is not None}


def page_titles(path: str) -> Iterator[str]:
    for record in wat_records(path):
        response = record["Envelope"]["Payload-Metadata"].get("HTTP-Response-Metadata", {})
        yield response.get("HTML-Metadata", {}).get("Head", {}).get("Title", "")


def payload_digest(content: bytes) -> str:
    return "sha1:" + base64.b32encode(hashlib.sha1(content, usedforsecurity=False).digest()).decode()


def words(text: str) -> str:
    """Lower case, between blanks, so that a phrase is found whatever stands around its words."""
    return " " + " ".join(re.findall(r"[^\W_]+", text.lower())) + " "
