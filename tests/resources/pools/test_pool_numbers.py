"""Numbers that a pool's files have of their pairs are kept as they stand there, whatever the layout, or counted."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_dagster.parsing import read_pool_columns
from metaclip_dagster.urls import pair_id_of
from resources.deferred import version_of
from tests.metaclip_dagster.training_sets import write_tar
from tests.resources.pools.test_pools import pairs_of, pool_of

COLUMNS = ["clip_b32_similarity_score", "punsafe"]
NUMBERS: list[tuple[float | None, float | None]] = [
    (0.25, 0.0),
    (None, 1e-7),
    (float("nan"), 3.0),
    (0.5, float("inf")),
]
ROWS = [(f"https://a.example/{number}.jpg", f"text {number}") for number in range(len(NUMBERS))]
# What stands twice has the numbers of its first row.
ROWS, NUMBERS = [*ROWS, ROWS[0]], [*NUMBERS, (0.9, 0.9)]


def spell(number: float | None) -> str:
    return "" if number is None else str(number)


def write_parquet(folder: Path) -> None:
    urls, texts = zip(*ROWS, strict=True)
    scores, unsafe = zip(*NUMBERS, strict=True)
    columns = {COLUMNS[0]: pa.array(scores, pa.float64()), "url": urls, COLUMNS[1]: pa.array(unsafe), "text": texts}
    pq.write_table(pa.table(columns), folder / "part.parquet", row_group_size=2)


def write_lines(folder: Path, suffix: str, delimiter: str) -> None:
    rows = [("url", "text", *COLUMNS)]
    rows += [(*row, *map(spell, numbers)) for row, numbers in zip(ROWS, NUMBERS, strict=True)]
    (folder / f"part.{suffix}").write_text("".join(delimiter.join(row) + "\n" for row in rows), encoding="utf-8")


def write_samples(folder: Path) -> None:
    samples = [
        (
            f"{number}.json",
            json.dumps({"url": url, "caption": text, **dict(zip(COLUMNS, of_row, strict=True))}).encode(),
        )
        for number, ((url, text), of_row) in enumerate(zip(ROWS, NUMBERS, strict=True))
    ]
    write_tar(folder / "part.tar", samples)


LAYOUTS: dict[str, Callable[[Path], None]] = {
    "parquet": write_parquet,
    "tsv": lambda folder: write_lines(folder, "tsv", "\t"),
    "csv": lambda folder: write_lines(folder, "csv", ","),
    "tar": write_samples,
}


def read(folder: Path, **settings: Any) -> tuple[list[dict[str, Any]], Counter[str]]:
    crawl, dropped = pool_of(folder, **settings), Counter[str]()
    _, files = crawl.files("pool-theirs", "wat")
    batches = [
        batch
        for file in crawl.number_shards("pool-theirs", files).values()
        for batch in read_pool_columns(file["rows"](), name=file["name"], dropped=dropped)
    ]
    return [row for batch in batches for row in batch.to_pylist()], dropped


@pytest.mark.parametrize("layout", [*LAYOUTS])
def test_a_number_of_every_pair_is_kept_or_counted_in_every_layout(layout: str, tmp_path: Path) -> None:
    LAYOUTS[layout](tmp_path)
    rows, dropped = read(tmp_path, files=f"part.{layout}", numbers=COLUMNS)
    ids = [pair_id_of(*row) for row in ROWS]
    assert {(row["pair_id"], row["column"]): row["value"] for row in rows} == {
        (ids[0], COLUMNS[0]): 0.25,
        (ids[0], COLUMNS[1]): 0.0,
        (ids[1], COLUMNS[1]): 1e-7,
        (ids[2], COLUMNS[1]): 3.0,
        (ids[3], COLUMNS[0]): 0.5,
    }
    assert dropped == {"missing_clip_b32_similarity_score": 2, "no_number_punsafe": 1}
    pairs, _ = pairs_of(pool_of(tmp_path, files=f"part.{layout}", numbers=COLUMNS))
    assert len(rows) + dropped.total() == pairs.num_rows * len(COLUMNS)


def test_numbers_that_are_kept_read_no_pair_again(tmp_path: Path) -> None:
    write_parquet(tmp_path)
    plain, keeping = ({"files": "part.parquet", "numbers": numbers} for numbers in ([], COLUMNS))
    versions, pairs = [], []
    for settings in (plain, keeping):
        crawl = pool_of(tmp_path, **settings)
        _, files = crawl.files("pool-theirs", "wat")
        versions.append([version_of(it["rows"]) for it in crawl.shards("pool-theirs", files).values()])
        pairs.append(pairs_of(crawl)[0])
    assert versions[0] == versions[1]
    assert pairs[0] == pairs[1]
    assert pool_of(tmp_path, **plain).number_shards("pool-theirs", files) == {}


def test_numbers_stay_with_their_pairs_through_many_batches() -> None:
    rows = [(f"https://a.example/{n}.jpg", ["a text"] * (n % 3 > 0), None, n, None, {"a": n}) for n in range(30_000)]
    batches = read_pool_columns(rows, name="part", dropped=Counter())
    values = {row["pair_id"]: row["value"] for batch in batches for row in batch.to_pylist()}
    assert values == {pair_id_of(url, "a text"): n for url, texts, _, n, _, _ in rows if texts}


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (["similarity"], r"part\.parquet: no column is named similarity among .*url"),
        (["text"], r"part\.parquet: column text is of type string, which is no number"),
        ("punsafe", "numbers is a list"),
    ],
)
def test_a_column_that_holds_no_numbers_is_refused_by_name(numbers: Any, message: str, tmp_path: Path) -> None:
    write_parquet(tmp_path)
    with pytest.raises(ValueError, match=message):
        read(tmp_path, files="part.parquet", numbers=numbers)
