"""Names are counted in texts as the definition of a match counts them, entries or not."""

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.covering import build_name_searches, count_names, space_name
from metaclip_dagster.matching import build_matcher
from metaclip_dagster.schemas import SUBSETS, TRAINING_SETS
from metaclip_dagster.words.spacing import build_finder, space_marks

words = st.text("aBb .,:'\t猫é", min_size=1, max_size=9)


def count_in(texts: list[tuple[str, str]], names: list[str]) -> dict[tuple[str, str], int]:
    rows = [{"text": text, "language": language, "admitted_at": float(at)} for at, (text, language) in enumerate(texts)]
    searches = build_name_searches(names, ["en", "ja"], build_matcher)
    batches = [pa.RecordBatch.from_pylist(rows, SUBSETS)]
    counts = count_names(batches, searches=searches, training_set="20", seen=Counter())
    return {(row["name"], row["language"]): row["num_pairs"] for row in counts.to_pylist()}


@given(st.lists(words, min_size=1, max_size=6, unique=True), st.lists(words, max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_name_is_counted_in_the_texts_that_hold_it_between_spaces(names: list[str], texts: list[str]) -> None:
    counts = count_in([(text, "en") for text in texts], [*names, "always there"])
    for name in names:
        plain = " ".join(name.split())
        expected = sum(any(map(str.isalnum, plain)) and f" {space_name(plain)} " in space_marks(text) for text in texts)
        assert counts.get((name, "en"), 0) == expected


def test_a_name_with_marks_is_counted_where_it_stands_as_it_is_written() -> None:
    texts = [("A St. Bernard, asleep", "en"), ("a Bernard", "en"), ("黒い猫です", "ja"), ("猫", "en")]
    assert count_in(texts, ["St. Bernard", "猫", "...", ""]) == {
        ("St. Bernard", "en"): 1,
        ("猫", "ja"): 1,
        ("猫", "en"): 1,
    }
    assert build_finder("黒い猫です", "ja")("猫")


@pytest.mark.parametrize("nested", [False, True])
def test_with_thresholds_only_pairs_that_balancing_keeps_are_counted(nested: bool) -> None:
    rows = [
        {"pair_id": at, "text": "A Red bird", "language": language, "entry_ids": [0], "admitted_at": float(at)}
        for at, language in enumerate(["en", "en", "en", "ja", "tlh"])
    ]
    batch = pa.RecordBatch.from_pylist(rows, SUBSETS)
    if nested:
        batch = pa.RecordBatch.from_pylist([{"tar": "0", "image_id": "0", "texts": rows}], TRAINING_SETS)
    searches = build_name_searches(["Red bird", "red bird"], ["en", "ja"], build_matcher)
    seen = Counter[str]()
    counts = count_names([batch], searches=searches, training_set="20", thresholds={"en": 2.0, "ja": 3.0}, seen=seen)
    assert counts.to_pylist() == [
        {"training_set": "20", "name": "Red bird", "language": "en", "num_pairs": 2, "num_any_case": 2},
        {"training_set": "20", "name": "red bird", "language": "en", "num_pairs": 0, "num_any_case": 2},
    ]
    assert seen == {"pairs": 2, "pairs en": 2}
