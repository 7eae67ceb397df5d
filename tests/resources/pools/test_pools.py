"""Sets that others made: every layout gives the same pairs, and images are read where they lie."""

import contextlib
import gzip
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metaclip_dagster.parsing import parse_rows
from resources.crawl.resource import CommonCrawl
from resources.pools.images import open_pool_images
from resources.pools.reading import PairSet, read_pools
from resources.pools.rows import Names
from tests.image_hosts import picture
from tests.metaclip_dagster.training_sets import write_tar

ROWS = [
    ("https://example.org/a.jpg", "A black dog"),
    ("https://example.org/b.jpg", 'An "odd", text\u00a0with  blanks'),
    ("https://EXAMPLE.org/c d.jpg#x", "Umlaute äöü, 猫"),
    ("https://example.org/a.jpg", "A black dog"),
    ("https://example.org/e.jpg", ""),
    ("data:image/png;base64,AAAA", "inline"),
    ("ftp://example.org/f.jpg", "elsewhere"),
    ("https://example.org/g.jpg", "typed on\ran old machine"),
]


def parquet(path: Path, url: str, text: str) -> None:
    urls, texts = zip(*ROWS, strict=True)
    pq.write_table(pa.table({"uid": [*map(str, range(len(ROWS)))], url: urls, text: texts}), path, row_group_size=3)


def write_lines(path: Path, delimiter: str, header: str = "") -> None:
    quoted = [[field.replace('"', '""') for field in row] if delimiter == "," else row for row in ROWS]
    mark = '"' if delimiter == "," else ""
    lines = header + "".join(delimiter.join(f"{mark}{field}{mark}" for field in row) + "\n" for row in quoted)
    path.write_bytes(gzip.compress(lines.encode()) if path.suffix == ".gz" else lines.encode())


def bare(path: Path, header: str) -> None:
    """Quotes only where a comma or a quote needs them."""
    rows = [
        [f'"{word.replace(chr(34), 2 * chr(34))}"' if {",", '"'} & {*word} else word for word in row] for row in ROWS
    ]
    path.write_bytes((header + "".join(",".join(row) + "\n" for row in rows)).encode())


def dos(path: Path, delimiter: str, header: str) -> None:
    write_lines(path, delimiter, header)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def pool_of(folder: Path, **settings: Any) -> CommonCrawl:
    (folder / "pools.json").write_text(json.dumps({"theirs": settings}), encoding="utf-8")
    return CommonCrawl(root=str(folder), snapshot_pattern="none", pools_file=str(folder / "pools.json"))


def pairs_of(crawl: CommonCrawl) -> tuple[pa.Table, Counter[str]]:
    dropped: Counter[str] = Counter()
    kind, files = crawl.files("pool-theirs", "wat")
    assert kind == "pool"
    batches = [
        batch
        for file in crawl.shards("pool-theirs", files).values()
        for batch in parse_rows(file["rows"](), name=file["name"], dropped=dropped)
    ]
    return pa.Table.from_batches(batches, parse_rows.writes), dropped  # type: ignore[attr-defined]  # set by @writes


LAYOUTS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "DataComp": (lambda path: parquet(path, "url", "text"), {"files": "part.parquet"}),
    "LAION": (lambda path: parquet(path, "URL", "TEXT"), {"files": "part*.parquet"}),
    "named": (lambda path: parquet(path, "u", "t"), {"files": "part.parquet", "url": "u", "text": "t"}),
    "CC12M": (lambda path: write_lines(path, "\t"), {"files": "part.tsv", "columns": ["url", "caption"]}),
    "LAION-COCO, ends of DOS": (lambda path: dos(path, "\t", "URL\tTEXT\n"), {"files": "part.tsv"}),
    "CSV": (lambda path: write_lines(path, ",", "url,text\n"), {"files": "part.csv"}),
    "CSV, bare": (lambda path: bare(path, "url,text\n"), {"files": "part.csv"}),
    "CSV, gzipped": (lambda path: write_lines(path, ",", "url,caption\n"), {"files": "part.csv.gz"}),
}


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_every_layout_gives_the_same_pairs(layout: str, tmp_path: Path) -> None:
    write, settings = LAYOUTS[layout]
    write(tmp_path / settings["files"].replace("*", "0"))
    pairs, dropped = pairs_of(pool_of(tmp_path, **settings))
    assert pairs.select(["url", "text", "offset"]).to_pylist() == [
        {"url": "https://example.org/a.jpg", "text": "A black dog", "offset": 0},
        {"url": "https://example.org/b.jpg", "text": 'An "odd", text with blanks', "offset": 1},
        {"url": "https://example.org/c%20d.jpg", "text": "Umlaute äöü, 猫", "offset": 2},
        {"url": "https://example.org/g.jpg", "text": "typed on an old machine", "offset": 7},
    ]
    assert dropped == {"repeat": 1, "no_text": 1, "data_url": 1, "other_scheme": 1}


def test_a_line_longer_than_a_text_may_be_is_dropped_and_counted(tmp_path: Path) -> None:
    endless = b"https://example.org/0.jpg\t" + b"x\thttps://example.org/1.jpg\t" * (3 << 15)
    good = b"https://example.org/2.jpg\tA black dog\n"
    (tmp_path / "a.tsv").write_bytes(endless + b"\n" + good + endless)
    (tmp_path / "b.csv").write_bytes((endless + b"\n" + good + endless).replace(b"\t", b","))
    for name in ("a.tsv", "b.csv"):
        pairs, dropped = pairs_of(pool_of(tmp_path, files=name, columns=["url", "text"]))
        assert pairs.select(["url", "offset"]).to_pylist() == [{"url": "https://example.org/2.jpg", "offset": 1}]
        assert dropped == {"too_large": 2}


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.tsv", "\t")])
def test_a_row_of_more_fields_than_columns_is_counted_and_no_half_of_its_url_is_a_pair(
    name: str, mark: str, tmp_path: Path
) -> None:
    """As where a comma stands in a URL and no quotes hold it."""
    rows = [("url", "text"), ("https://h.org/a", "b.jpg", "A dog"), ("https://h.org/c.jpg", "A cat", "")]
    (tmp_path / name).write_text("".join(mark.join(row) + "\n" for row in rows), encoding="utf-8")
    pairs, dropped = pairs_of(pool_of(tmp_path, files=name))
    assert pairs.select(["url", "text", "offset"]).to_pylist() == [
        {"url": "https://h.org/c.jpg", "text": "A cat", "offset": 1}
    ]
    assert dropped == {"extra_fields": 1}


@pytest.mark.parametrize(
    ("num_rows", "text"),
    [
        (20, "A black dog"),
        (30_000, "A black dog"),
        (30_000, '"A black, dog"'),
        (20, '"A black\ndog"'),
        (20, '"A ""black"" dog"'),
    ],
)
def test_an_unclosed_quote_costs_its_own_record(num_rows: int, text: str, tmp_path: Path) -> None:
    """Whatever stands behind it: a quote that another record opens does not close it."""
    lines = [f'https://example.org/{number}.jpg,"Two\nlines, {number}"\n' for number in range(10)]
    lines += ['https://example.org/none.jpg,"A quote\n']
    lines += [f"https://example.org/{number}.jpg,{text}\n" for number in range(10, num_rows)]
    (tmp_path / "a.csv").write_text("url,text\n" + "".join(lines), encoding="utf-8")
    pairs, dropped = pairs_of(pool_of(tmp_path, files="a.csv"))
    assert pairs["url"].to_pylist() == [f"https://example.org/{number}.jpg" for number in range(num_rows)]
    assert pairs["text"].to_pylist()[9] == "Two lines, 9"
    assert {*pairs["text"].to_pylist()[10:]} == {
        text.removeprefix('"').removesuffix('"').replace('""', '"').replace("\n", " ")
    }
    assert pairs["offset"].to_pylist() == [*range(10), *range(11, num_rows + 1)]
    assert dropped == {"corrupt": 1}


def test_every_second_quote_may_be_unclosed(tmp_path: Path) -> None:
    texts = ['"A quote', '"Closed, and\non two lines"']
    lines = [f"https://example.org/{number}.jpg,{texts[number % 2]}\n" for number in range(6000)]
    (tmp_path / "a.csv").write_text("url,text\n" + "".join(lines), encoding="utf-8")
    pairs, dropped = pairs_of(pool_of(tmp_path, files="a.csv"))
    assert pairs["url"].to_pylist() == [f"https://example.org/{number}.jpg" for number in range(1, 6000, 2)]
    assert {*pairs["text"].to_pylist()} == {"Closed, and on two lines"}
    assert dropped == {"corrupt": 3000}


def test_a_quote_within_quotes_that_is_not_doubled_costs_its_own_record(tmp_path: Path) -> None:
    lines = [
        'u0.jpg,"He said "hi" there"',
        'u1.jpg,5" wide',
        'u2.jpg,"5"" wide"',
        'u3.jpg,"two "words"',
        "u4.jpg,plain",
    ]
    (tmp_path / "a.csv").write_text("url,text\n" + "".join(f"https://h.org/{line}\n" for line in lines))
    pairs, dropped = pairs_of(pool_of(tmp_path, files="a.csv"))
    assert pairs.select(["text", "offset"]).to_pylist() == [
        {"text": '5" wide', "offset": 1},
        {"text": '5" wide', "offset": 2},
        {"text": "plain", "offset": 4},
    ]
    assert dropped == {"corrupt": 2}


def test_quotes_that_lead_on_and_on_are_read_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    """Each line opens a quote that the next one closes and opens again, a megabyte on to no end."""
    (tmp_path / "a.csv").write_text("url,text\n" + 'a","b\n' * 200_000, encoding="utf-8")
    begun = time.process_time()
    _, dropped = pairs_of(pool_of(tmp_path, files="a.csv"))
    assert dropped == {"corrupt": 200_000}
    assert time.process_time() - begun < 60, "hours, if each were read with all that follow"


def test_a_webdataset_brings_its_images_along(tmp_path: Path) -> None:
    members = [
        ("000/0.jpg", picture(0)), ("000/0.txt", b"A black dog"),
        ("000/1.png", picture(1, kind="PNG")), ("000/1.json", json.dumps({"caption": "A cat", "url": "http://h/c"}).encode()),
        ("000/2.txt", b"no image"), ("000/3.jpg", picture(3)), ("000/3.pyd", b"never loaded"), ("000/3.txt", b"Three"),
    ]  # fmt: skip
    for number in range(2):
        write_tar(tmp_path / f"{number:05d}.tar", members)
    crawl = pool_of(tmp_path, files="*.tar")
    pairs, dropped = pairs_of(crawl)
    assert pairs["text"].to_pylist() == ["A black dog", "A cat", "Three"] * 2
    assert dropped == {"no_url": 2}
    fetch = open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)
    addresses = pairs["pool_address"].to_pylist()
    answers = dict(fetch(addresses))
    assert [answers[address] for address in addresses] == [picture(0), picture(1, kind="PNG"), picture(3)] * 2


def test_a_tar_that_breaks_off_or_is_broken_inside_is_refused_wherever_that_is(tmp_path: Path) -> None:
    """As a killed writer leaves it: even at the end of a member, where what is there looks whole."""
    write_tar(tmp_path / "a.tar", [(f"{number}.{kind}", b"x" * 100) for number in range(3) for kind in ("jpg", "txt")])
    whole = (tmp_path / "a.tar").read_bytes()
    for begin in range(0, 6144, 1024):
        broken = whole[:begin] + b"\x99" * 512 + whole[begin + 512 :]
        for left in (broken, *(whole[: begin + size] for size in (0, 300, 512))):
            (tmp_path / "a.tar").write_bytes(left)
            with pytest.raises(ValueError, match=r"a\.tar: unreadable"):
                pairs_of(pool_of(tmp_path, files="a.tar"))


@pytest.mark.parametrize("name", ["part 1.tar", "a=1.tar", "50%.tar", "a+b,c.tar", "ä#1?.tar"])
def test_a_tar_may_have_any_name(name: str, tmp_path: Path) -> None:
    write_tar(tmp_path / name, [("0.jpg", picture(0)), ("0.txt", b"text")])
    crawl = pool_of(tmp_path, files="*.tar")
    [url] = pairs_of(crawl)[0]["url"].to_pylist()
    assert dict(open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)([url])) == {url: picture(0)}


def test_only_members_of_the_pool_are_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"secret" * 1000)
    write_tar(tmp_path / "0.tar", [("0.jpg", picture(0)), ("0.txt", b"text")])
    crawl = pool_of(tmp_path, files="0.tar")
    [good] = pairs_of(crawl)[0]["url"].to_pylist()
    size = len(picture(0))
    bad = [
        good.replace("/512-", "/513-"), good.replace("/512-", "/0-"), good.replace(f"-{size}", f"-{size - 1}"),
        good.replace(f"-{size}", "-999999999999"), good.replace("0.tar", "..%2Fsecret"),
        good.replace("0.tar", "secret"),
        good.replace("theirs", "ours"), "https://example.org/x.jpg",
    ]  # fmt: skip
    answers = dict(open_pool_images({"theirs": crawl.pool("pool-theirs").image_files()}, None)([good, *bad]))
    assert answers.pop(good) == picture(0)
    assert set(answers.values()) == {"not_found", "too_large"}


def test_what_is_in_no_pool_is_asked_elsewhere() -> None:
    fetch = open_pool_images({}, lambda urls: iter([(url, b"from the web") for url in urls]))
    assert dict(fetch(["https://example.org/a.jpg", "https://x.invalid/0.tar/512-9.jpg"])) == {
        "https://example.org/a.jpg": b"from the web",
        "https://x.invalid/0.tar/512-9.jpg": "not_found",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"A b": {"files": "x.parquet"}}, "no pool's name"),
        ({"xn--a": {"files": "x.parquet"}}, "no pool's name"),
        ({"a": {"files": "x.csv", "text": ["t"]}}, "text is one name"),
        ({"a": {"files": []}}, "names no files"),
        ({"a": {"files": "x.zip"}}, "none of"),
        ({"a": {"files": "x.tar.gz"}}, "none of"),
        ({"a": {"file": "x.csv"}}, "other than"),
        ({"a": {"files": "x.csv", "columns": "url"}}, "columns is a list"),
        ({"a": {"files": "x.csv", "columns": [1]}}, "columns is a list"),
        ({"a": []}, "other than"),
        ([], "pools.json"),
    ],
)
def test_settings_that_mean_nothing_are_refused_by_name(settings: Any, message: str, tmp_path: Path) -> None:
    (tmp_path / "pools.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_pools(str(tmp_path / "pools.json"))


def test_a_set_stands_in_fingerprints_as_it_always_did() -> None:
    """These words are in lakes: another name of the class, or another field, changes none of them."""
    there = PairSet("cc12m", ("file:///a.tsv",), ("url", "text"), Names(text="caption"))
    assert str(there) == (
        "Pool(name='cc12m', files=('file:///a.tsv',), columns=('url', 'text'), "
        "names=Names(url='', text='caption', page=''))"
    )


def test_a_text_of_parquet_that_is_no_utf8_costs_no_other(tmp_path: Path) -> None:
    texts = pa.array([b"A black dog", b"caf\xe9", None]).view(pa.string())
    urls = [f"https://example.org/{number}.jpg" for number in range(3)]
    pq.write_table(pa.table({"url": urls, "text": texts}), tmp_path / "a.parquet")
    pairs, dropped = pairs_of(pool_of(tmp_path, files="a.parquet"))
    assert pairs["text"].to_pylist() == ["A black dog", "caf\ufffd"]
    assert dropped == {"no_text": 1}


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array(["u"])] * 3, names=["url", "text", "text"]), tmp_path / "a.parquet")
    with pytest.raises(ValueError, match=r"a\.parquet: several columns are named text"):
        pairs_of(pool_of(tmp_path, files="a.parquet"))


def test_a_row_group_that_claims_more_than_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet(tmp_path / "a.parquet", "url", "text")
    monkeypatch.setattr("resources.pools.parquet._MAX_ROW_GROUP", 10)
    with pytest.raises(ValueError, match=r"a\.parquet: row group 0 claims more than 10 bytes"):
        pairs_of(pool_of(tmp_path, files="a.parquet"))


def test_files_that_are_missing_or_broken_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file is .*none\.tsv"):
        pairs_of(pool_of(tmp_path, files="none.tsv"))
    (tmp_path / "b.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match=r"b\.parquet"):
        pairs_of(pool_of(tmp_path, files="b.parquet"))
    (tmp_path / "c.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"c\.csv: no column for url among a, b"):
        pairs_of(pool_of(tmp_path, files="c.csv"))
    (tmp_path / "d.tar").write_bytes(b"x" * 2000)
    with pytest.raises(ValueError, match=r"d\.tar: unreadable"):
        pairs_of(pool_of(tmp_path, files="d.tar"))
    with pytest.raises(ValueError, match="does not name it"):
        pool_of(tmp_path, files="d.tar").check("pool-ours")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory: Any, data: bytes) -> None:
    folder = tmp_path_factory.mktemp("pool")
    for kind in ("tsv", "csv", "tar", "parquet"):
        (folder / f"x.{kind}").write_bytes(data)
        columns = {"columns": ["url", "text"]} if kind in {"tsv", "csv"} else {}
        with contextlib.suppress(ValueError), named(f"x.{kind}"):
            pairs_of(pool_of(folder, files=f"x.{kind}", **columns))


@contextlib.contextmanager
def named(name: str) -> Iterator[None]:
    """Whatever is refused inside is refused by name."""
    try:
        yield
    except ValueError as refused:
        if name not in str(refused):
            raise AssertionError from refused
        raise
