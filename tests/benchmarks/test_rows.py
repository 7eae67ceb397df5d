"""Every benchmark runs, its assertions of equal results hold, and its rows can be kept."""

import gzip
import io
import json
import sys
import zipfile
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from benchmarks.__main__ import BENCHMARKS, RESULTS, keep
from benchmarks.inputs import pool_options, replicate, sample_archives, write_pools, write_texts, zipf_matches
from benchmarks.measure import Row
from benchmarks.picture_verdicts import tell as tell_verdicts
from benchmarks.scale import STEPS, TABLES, read_results, tell
from metaclip_dagster.parsing import parse_wat
from metaclip_dagster.schemas import MATCHES
from tests.metaclip_dagster.archives import content, member, page_source, response, wat_record

ROOT = Path(__file__).parents[2]
POOL = ["--pairs", "3000", "--num-entries", "300"]
SMALL = ["--images", "600", "--pairs", "256", "--rounds", "1"]


def write_lists(folder: Path) -> list[str]:
    """Entries and texts of one's own, as a benchmark is told of them."""
    (folder / "entries.txt").write_text("red\nred apple\napple\n", "utf-8")
    pq.write_table(pa.table({"text": ["a red apple", "no match", "apple , red"] * 100}), folder / "texts.parquet")
    return ["--entries", str(folder / "entries.txt"), "--texts", str(folder / "texts.parquet")]


@pytest.fixture
def options(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """What makes a benchmark small."""
    if request.param == "matching":
        return write_lists(tmp_path)
    if request.param == "parsing":
        page, image = "http://h.example/a.html", {"src": "/i.png", "alt": "a red apple"}
        wat = wat_record(content(page, [{"url": image["src"], "alt": image["alt"]}]))
        (tmp_path / "a.wat.gz").write_bytes(member(wat))
        (tmp_path / "a.warc.gz").write_bytes(member(response(page_source([image]), page=page)))
        return ["--wat", str(tmp_path / "a.wat.gz"), "--warc", str(tmp_path / "a.warc.gz"), "--rounds", "2"]
    if request.param == "entries":
        words = {"wordsegment/unigrams.txt": "new\t9\nyork\t8\n", "wordsegment/bigrams.txt": "new york\t5\n"}
        counted = {"pywordfreq/word_frequencies.gz": gzip.compress(b"dog;200\ncat;100\nrare;99\n")}
        for name, members in (("wordsegment-0-none.whl", words), ("pywordfreq-0-none.whl", counted)):
            with zipfile.ZipFile(tmp_path / name, "w") as wheel:
                for member_name, text in members.items():
                    wheel.writestr(member_name, text)
        return ["--packages", str(tmp_path), "--budget", "1000", "--lines", "100"]
    if request.param in ("graph", "scaling"):
        entries = write_lists(tmp_path)[:2]
        images = [{"url": f"/{number}.png", "alt": "a red apple"} for number in range(9)]
        (tmp_path / "a.wat.gz").write_bytes(member(wat_record(content("http://h.example/a.html", images))))
        read = ["--wat", str(tmp_path / "a.wat.gz"), *entries]
        return [*read, *(["--times", "2"] if request.param == "graph" else ["--sizes", "1", "2", "--workers", "1"])]
    if request.param == "demo":
        return ["--home", str(request.getfixturevalue("curated").home)]
    plain = {
        "wikipedia": ["--mb", "0.5", "--large-mb", "2", "--rounds", "1"],
        "language_id": ["--texts", "200"],
        "counting": POOL,
        "balancing": POOL,
        "deduplicating": ["--pairs", "3000", "--pairs-a-shard", "100", "--group-size", "4", "--pairs-a-bucket", "500"],
        "exploring": ["--num-entries", "3000"],
        "lists": ["--wikis", "2", "--articles", "5"],
        "filtering": ["--images", "3", "--hashes", "1000"],
        "images_at_size": ["--images", "300", "--buckets", "4"],
        "near_images": ["--images", "2000", "4000", "--images-a-part", "2000"],
        "training": SMALL,
        "loader": ["--images", "300", "--tars", "2", "--rounds", "1"],
        "searching": ["--images", "3000", "--home", str(tmp_path)],
    }
    return plain[request.param]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[Row]]:
    """Runs a benchmark in this process; gives what it prints."""

    def run_benchmark(name: str, options: list[str]) -> list[Row]:
        monkeypatch.setattr(sys, "argv", [name, *options, "--json"])
        import_module(f"benchmarks.bench_{name}").main()
        rows: list[Row] = json.loads(capsys.readouterr().out)
        return rows

    return run_benchmark


@pytest.mark.night
@pytest.mark.parametrize(
    ("name", "options"),
    [(name, name) for name in BENCHMARKS if name not in ("engines", "images", "sweep", "worldwide")],
    indirect=["options"],
    ids=str,
)
def test_a_benchmark_gives_rows_with_the_five_keys(
    name: str, options: list[str], run: Callable[..., list[Row]]
) -> None:
    rows = run(name, options)
    assert rows
    for row in rows:
        assert {"name", "value", "unit", "baseline", "ratio"} <= set(row)
        assert isinstance(row["value"], float)
        assert (row["baseline"] is None) == (row["ratio"] is None)


def test_every_benchmark_has_rows_that_were_measured() -> None:
    named = {path.stem.removeprefix("bench_") for path in RESULTS.parent.glob("bench_*.py")}
    assert named == set(BENCHMARKS)
    results = RESULTS.read_text("utf-8")
    assert [name for name in BENCHMARKS if f"\n## {name}\n" not in results] == []


def test_rows_replace_the_last_ones_of_their_benchmark_only(tmp_path: Path) -> None:
    def row(value: float) -> dict[str, object]:
        return {"name": "it", "value": value, "unit": "s", "baseline": 10.0, "ratio": 10.0 / value, "input": "a file"}

    results = tmp_path / "RESULTS.md"
    keep(results, "by hand", ["-m", "h"], [row(3.0)])
    keep(results, "matching", ["-m", "m"], [row(1.0)])
    keep(results, "counting", ["-m", "c"], [row(2.0)])
    before = results.read_text("utf-8")
    assert "| it | 1 | s | 10 | 10 | 1 |" in before
    keep(results, "matching", ["-m", "m"], [row(4.0)])
    assert results.read_text("utf-8") == before.replace("| it | 1 | s | 10 | 10 | 1 |", "| it | 4 | s | 10 | 2.5 | 1 |")


@pytest.mark.night
def test_texts_of_ones_own_make_a_pool(tmp_path: Path, run: Callable[..., list[Row]]) -> None:
    assert "200 pairs, 500 matches, 3 entries" in run("counting", write_lists(tmp_path))[0]["input"]


def test_a_snapshot_costs_what_its_rows_say_times_its_size() -> None:
    row = STEPS[0].row
    lines = tell({("parsing", row): (36.0, "s/GB raw")}, dollars=0.5).split("\n")
    assert f"| parse WATs | parsing: {row} | 36 s/GB raw | 810.0 | 405.00 | 81,000.0 | 40,500.00 |" in lines
    assert sum("not measured" in line for line in lines) == len(STEPS) - 1 + len(TABLES)
    with pytest.raises(ValueError, match=f"{row} is in furlongs"):
        tell({("parsing", row): (36.0, "furlongs")})


def test_every_row_that_scale_reads_is_one_that_a_benchmark_gives() -> None:
    rows = read_results(RESULTS)
    for step in (*STEPS, *TABLES):
        assert (step.benchmark, step.row) in rows


def test_the_tables_of_the_page_on_scale_are_those_that_are_printed() -> None:
    assert tell(read_results(RESULTS)) in (ROOT / "docs" / "scale.md").read_text("utf-8")


def test_the_table_of_verdicts_says_of_every_picture_once_what_becomes_of_it() -> None:
    def encode(image_format: str, mode: str = "RGB", **options: object) -> bytes:
        file = io.BytesIO()
        Image.new(mode, (8, 8)).save(file, image_format, **options)
        return file.getvalue()

    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg = encode("JPEG")
    pictures = {
        "a.jpg": jpeg,
        "b.jpg": encode("JPEG", exif=turned),
        "c.webp": encode("WEBP", "RGBA", lossless=True),
        "d.png": encode("PNG", "RGBA", exif=turned),
        "e.png": encode("GIF"),
        "f.jpg": jpeg[:-2],
        "g.png": b"no image",
        "h.txt": jpeg,
    }
    rows = [line.strip("| ").split(" | ") for line in tell_verdicts(pictures.items()).split("\n")[2:]]
    assert {(row[0], row[1], row[3], row[4]) for row in rows} == {
        ("stored as it came", "2", "2 JPEG", "`a.jpg`, `h.txt`"),
        ("written again upright", "1", "1 JPEG", "`b.jpg`"),
        ("written again on white", "1", "1 WEBP", "`c.webp`"),
        ("written again upright, on white", "1", "1 PNG", "`d.png`"),
        ("`unsupported_format_...`", "1", "1 GIF", "`e.png`"),
        ("`undecodable`", "1", "1 JPG", "`f.jpg`"),
        ("`not_an_image`", "1", "1 PNG", "`g.png`"),
    }


def test_copies_of_an_archive_share_no_pair(tmp_path: Path) -> None:
    archive = min(sample_archives(), key=lambda path: path.stat().st_size)
    replicate(archive, range(3), tmp_path / "three")
    once, thrice = (_pair_ids(path) for path in (archive, tmp_path / "three"))
    assert len(thrice) == 3 * len(once)


def test_a_made_up_pool_holds_ascending_entries_and_is_the_same_each_time() -> None:
    [pool] = zipf_matches(2000, 100)
    assert pool.schema.equals(MATCHES)
    assert all(entries == sorted(set(entries)) and entries for entries in pool["entry_ids"].to_pylist())
    assert len(set(pool["pair_id"].to_pylist())) == 2000
    [again] = zipf_matches(2000, 100)
    assert pool.equals(again)


def _pair_ids(path: Path) -> set[int]:
    with path.open("rb") as archive:
        batches = list(parse_wat(archive, name=path.name, dropped=Counter()))
    return {pair_id for batch in batches for pair_id in batch["pair_id"].to_pylist()}


def test_the_texts_of_wats_are_those_of_their_pairs_in_order(tmp_path: Path) -> None:
    for name in "ab":
        wat = wat_record(content("http://h.example/a.html", [{"url": "/i.png", "alt": f"apple {name}"}]))
        (tmp_path / name).write_bytes(member(wat))
    texts = pq.read_table(write_texts(tmp_path / "texts", [tmp_path / "a", tmp_path / "b"]))
    assert texts["text"].to_pylist() == ["apple a", "apple b"]


@pytest.mark.parametrize("given", [["--entries", "F"], ["--texts", "F"], ["--wat", "F"]])
def test_entries_without_texts_and_texts_without_entries_make_no_pool(given: list[str], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="--entries goes with --texts or --wat"):
        write_pools(tmp_path, pool_options("").parse_args(given))
