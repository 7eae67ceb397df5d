"""What older versions left in a lake is named, with the way out, by whoever reads it."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from assets.cards import make_card
from assets.queries.distributions import read_distribution
from assets.queries.parsers import check_columns
from assets.queries.publications import copy_subset
from assets.queries.rungs import thresholds_of
from metaclip_dagster.schemas import ENTRY_COUNTS, SUBSETS
from resources.lake.resource import Lake
from tests.lakes import commit

OLD = {
    "entry_counts": [name for name in ENTRY_COUNTS.names if name != "balanced_to"],
    "subsets": [name for name in SUBSETS.names if not name.startswith("license")],
}


def put(lake: Lake, table: str, schema: pa.Schema) -> None:
    commit(lake, table, "20" if table == "subsets" else "all", pa.RecordBatch.from_pylist([{}], schema))


@pytest.mark.parametrize("table", OLD)
def test_a_table_of_an_older_version_is_said_to_lack_columns(table: str, tmp_path: Path) -> None:
    lake = Lake(root=str(tmp_path / "lake"))
    for name, schema in (("entry_counts", ENTRY_COUNTS), ("subsets", SUBSETS)):
        columns = OLD[name] if name == table else schema.names
        put(lake, name, pa.schema([schema.field(column) for column in columns]))
    readers: dict[str, list[Callable[[], object]]] = {
        "entry_counts": [lambda: read_distribution(lake, "20"), lambda: thresholds_of(lake, "20")],
        "subsets": [lambda: make_card(lake, "20"), lambda: copy_subset(lake, "20", tmp_path)],
    }
    for read in readers[table]:
        with pytest.raises(ValueError, match=rf"^{table}.* has no column .*Materialize pairs, matches, "):
            read()


def test_a_table_of_today_and_one_without_rows_lack_nothing(tmp_path: Path) -> None:
    lake = Lake(root=str(tmp_path))
    put(lake, "entry_counts", ENTRY_COUNTS)
    commit(lake, "subsets", "20", pa.RecordBatch.from_pylist([], SUBSETS))
    check_columns(lake, "entry_counts")
    check_columns(lake, "subsets", "20")
