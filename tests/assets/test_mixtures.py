"""What mixtures.json may hold, and what a command needs of a mixture."""

from pathlib import Path
from typing import Any

import pytest

from assets.keys import check_mixtures
from assets.partitions import training_set_keys
from assets.tags import tags_of
from resources.variables import read_mixtures

OURS = {"ours": {"snapshots": "pool-ours", "t": "inf"}}


@pytest.mark.parametrize(
    ("mixtures", "why"),
    [
        ({"Ours": OURS}, "mixtures.json: 'Ours': 'Ours' is no name"),
        ({"../ours": OURS}, "is no name"),
        (
            {"ours": {"ours": {"snapshots": "pool-ours", "t": "many"}}},
            "'ours': ours: t must be a positive number or inf",
        ),
        ({"ours": {"ours": {"snapshots": "pool-ours", "t": "020"}}}, "'ours': ours: t has one spelling: write '20'"),
        (
            {"ours": {"ours": {"snapshots": "pool-ours", "t": "20", "weight": 0}}},
            "'ours': ours: its weight is a number",
        ),
        ({"ours": None}, "'ours': name its sources"),
    ],
)
def test_a_mixture_that_makes_no_sense_is_named_with_its_file(mixtures: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        check_mixtures(mixtures)


def test_mixtures_come_from_a_file_of_the_deployment_or_there_are_none(tmp_path: Path) -> None:
    path = tmp_path / "mixtures.json"
    assert read_mixtures(path) == {}
    for content, why in (("{", "not JSON"), ("[]", "name each mixture"), ('{"a": {}, "a": {}}', "a is named twice")):
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=f"{path}: {why}"):
            read_mixtures(path)


def test_a_run_of_a_mixture_is_tagged_with_it() -> None:
    assert tags_of(training_set_keys, "mix-ours") == {"mixture": "mix-ours"}
