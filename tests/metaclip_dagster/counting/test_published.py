"""Published counts are read in each of their layouts, and what is no count is refused by its name."""

import gzip
import io
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metaclip_dagster.balancing import build_draw, draw_pairs, language_thresholds
from metaclip_dagster.counting import (
    PublishedCounts,
    build_distribution,
    count_entries,
    merge_counts,
    read_published,
    write_distribution,
)
from tests.metaclip_dagster.tables import counts_of, entries_of, matches_of, zipf_pool

ENTRIES = entries_of([f"e{i}" for i in range(60)])
POOL = zipf_pool(300, 60)


def read(content: bytes, name: str = "entry_counts.json", languages: tuple[str, ...] = ("en", "de")) -> PublishedCounts:
    return read_published({name: io.BytesIO(content)}, name=name, languages=languages)


def rows_of(content: bytes, name: str = "entry_counts.json") -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in read(content, name).table.to_pylist()]


def to_parquet(**columns: Any) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def balance(published: PublishedCounts | None = None) -> pa.Table:
    counted = count_entries([POOL], snapshot="S", seen=Counter())
    return merge_counts(counted.to_batches(), entries=ENTRIES, published=published, seen=Counter())


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b'{"bird": 5, "owl": 0}', "entry_counts.json"),
        (b'\xef\xbb\xbf{"bird": 5, "owl": 0}', "counts.json"),
        (gzip.compress(b'{"bird": 5, "owl": 0}', mtime=0), "entry_counts.json.gz"),
        (b'{"en": {"bird": 5, "owl": 0}}', "entry_counts.de.json"),
        (b'{"bird": 5, "owl": 0}', "entry_counts.en.json"),
        (to_parquet(entry=["bird", "owl"], entry_count=[5, 0]), "counts.parquet"),
        (to_parquet(entry=["bird", "owl"], before=[5.0, 0.0], after=[1, 0], language=["en", "en"]), "x"),
    ],
)
def test_every_layout_gives_the_same_counts(content: bytes, name: str) -> None:
    assert rows_of(content, name) == [("en", "bird", 5), ("en", "owl", 0)]


def test_a_language_is_that_of_its_object_or_its_file() -> None:
    nested = b'{"en": {"Gift": 1}, "de": {"Gift": 2}}'
    assert rows_of(nested) == [("en", "Gift", 1), ("de", "Gift", 2)]
    files = {f"entry_counts.{of}.json": io.BytesIO(b'{"Gift": %d}' % n) for n, of in enumerate(["de", "en"])}
    table = read_published(files, name="folder", languages=("en", "de")).table
    assert table.to_pydict() == {"language": ["de", "en"], "entry": ["Gift", "Gift"], "num_pairs": [0, 1]}


@pytest.mark.parametrize("layout", ["distribution.parquet", "entry_counts.json"])
def test_counts_that_are_the_pools_own_change_nothing(layout: str, tmp_path: Path) -> None:
    own_counts = balance()
    write_distribution(build_distribution(ENTRIES, own_counts, np.zeros(60, np.uint64)), tmp_path)
    assert balance(read((tmp_path / layout).read_bytes(), layout)) == own_counts


def test_other_counts_draw_and_cut_while_the_pools_own_stay() -> None:
    published = read(json.dumps({f"e{i}": 1000 * (i % 3) for i in range(50)}).encode())
    table, seen = balance(), Counter[str]()
    counted = count_entries([POOL], snapshot="S", seen=Counter())
    other = merge_counts(counted.to_batches(), entries=ENTRIES, published=published, seen=seen)
    assert other.drop_columns("balanced_to") == table.drop_columns("balanced_to")
    expected = [max(1000 * (i % 3), min(n, 1)) if i < 50 else n for i, n in enumerate(table["entry_count"].to_pylist())]
    assert other["balanced_to"].to_pylist() == expected, "an absent entry keeps its own; none that is matched has 0"
    absent = sum(table["entry_count"].to_pylist()[50:])
    assert seen == {"published_entries": 50, "absent_from_published": 10, "matches_absent_from_published": absent}
    drawn = [draw_pairs(POOL, build_draw(counts), 0) for counts in (table, other)]
    assert (drawn[0] != drawn[1]).any()
    as_if_counted = counts_of(expected)
    assert (drawn[1] == draw_pairs(POOL, build_draw(as_if_counted), 0)).all()
    two = [counts_of([5, 50, 3, 30], ["en", "en", "de", "de"])]
    at = two[0].schema.get_field_index("entry_count")
    two.append(two[0].set_column(at, two[0].schema.field(at), pa.array([0, 0, 0, 0], pa.uint64())))
    assert language_thresholds(two[0], 5.0) == language_thresholds(two[1], 5.0)


def test_counts_of_another_list_are_refused_with_both_numbers_and_the_way_out() -> None:
    published = read(b'{"e0": 5, "strix": 7, "e1": 2}', "strangers.json")
    counted = count_entries([matches_of({i: [i] for i in range(5)})], snapshot="S", seen=Counter())
    with pytest.raises(ValueError, match=r"strangers\.json: of 5 entries that the pool matches only 2 are in it.*own"):
        merge_counts(counted.to_batches(), entries=ENTRIES, published=published)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1, "owl": -3}', "'owl' has the count -3"),
        (b'{"owl": 2.5}', "'owl' has the count 2.5"),
        (b'{"owl": NaN}', "'owl' has the count nan"),
        (b'{"owl": 1e999}', "'owl' has the count inf"),
        (b'{"owl": "12"}', "'owl' has the count '12'"),
        (b'{"owl": true}', "'owl' has the count True"),
        (b'{"owl": null}', "'owl' has the count None"),
        (b'{"owl": 9223372036854775808}', "'owl' has the count 9223372036854775808"),
        (b'{"t": "20", "pairs": {"pool": 3}}', "'t' has the count '20'"),
        (b'{"owl": 9223372036854775807, "eagle": 9223372036854775807}', "2\\*\\*63 or more together"),
        (b'{"owl": 1, "owl": 2}', "'owl' .en. has 2 counts"),
        (b'["owl", "eagle"]', "no JSON object, but a list"),
        (b"[" * 100_000, "cannot be read as counts"),
        (b'{"owl": ' + b"9" * 5000 + b"}", "cannot be read as counts"),
        (b'{"\\ud800": 1}', "cannot be read as counts"),
        (b'{"owl": 1', "cannot be read as counts"),
        (gzip.compress(b'{"owl": 1}', mtime=0)[:-9], "cannot be read as counts"),
        (b"PAR1 and nothing of it", "cannot be read as counts"),
        (b"\xff\xfe\x00", "cannot be read as counts"),
        (to_parquet(entry=["owl", "owl"], entry_count=[1, 2]), "'owl' .en. has 2 counts"),
        (to_parquet(entry=["owl"], entry_count=[-1]), "'owl' has the count -1"),
        (to_parquet(entry=["owl"], entry_count=pa.array([None], pa.int64())), "'owl' has the count None"),
        (to_parquet(entry=pa.array([None], pa.string()), entry_count=[1]), "the entry None"),
        (to_parquet(url=["http://h.example/"], text=["owl"]), "it has the columns url, text"),
    ],
)
def test_what_is_no_file_of_counts_is_refused_by_file_and_entry(content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        read(content, "strange.json")
    assert str(refused.value).startswith("strange.json: ")
