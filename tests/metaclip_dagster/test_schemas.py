"""What tables and stages declare."""

import importlib
import pkgutil
from collections import defaultdict
from pathlib import Path

import metaclip_dagster

NAMES = Path(__file__).parent / "stage_names.txt"


def test_stored_tables_know_every_stage_by_the_name_it_has_always_had() -> None:
    """A name that changes makes every table of its stage anew, in every lake: add to the list, change none of it."""
    functions: dict[str, set[object]] = defaultdict(set)
    for module in pkgutil.walk_packages(metaclip_dagster.__path__, "metaclip_dagster."):
        if not module.name.endswith("__main__"):
            for value in vars(importlib.import_module(module.name)).values():
                if isinstance(identity := getattr(value, "identity", None), str):
                    functions[identity].add(value)
    assert sorted(functions) == NAMES.read_text("utf-8").split()
    assert {name: len(sharing) for name, sharing in functions.items() if len(sharing) > 1} == {}
