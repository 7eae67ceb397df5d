import importlib
import re
from pathlib import Path

import pyarrow as pa

import definitions
from metaclip_dagster import schemas

PAGE = Path(__file__).parents[2].joinpath("docs", "tables.md").read_text(encoding="utf-8")
STAGES = re.findall(r"^\| ([A-Z_]+) \| (`.+`) \| (\w+)[^|]* \|$", PAGE, re.MULTILINE)


def test_the_page_is_what_the_schemas_print() -> None:
    assert PAGE[PAGE.index("## ") :] == schemas.describe_tables() + "\n"


def test_every_stage_named_writes_the_table_beside_it() -> None:
    for table, stages, _ in STAGES:
        for stage in re.findall(r"`([\w.]+)`", stages):
            module, name = f"metaclip_dagster.{stage}".rsplit(".", 1)
            assert getattr(importlib.import_module(module), name).writes == getattr(schemas, table)


def test_every_table_and_asset_stands_in_the_page() -> None:
    tables = {name for name, schema in vars(schemas).items() if isinstance(schema, pa.Schema)}
    assert {table for table, _, _ in STAGES} == tables
    assert all(any(hasattr(module, asset) for module in definitions.MODULES) for _, _, asset in STAGES)
