"""Every match is one that the naive loop finds, whatever the strings, the batches and the languages."""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.matching import (
    Engine,
    Matcher,
    automaton,
    build_matcher,
    index_entries,
    match_entries,
    open_matcher,
    why_unmatchable,
)
from metaclip_dagster.matching.tokens import TokenEngine, index_tokens
from metaclip_dagster.schemas import ENTRIES, MATCHES
from metaclip_dagster.words.languages import Identify
from metaclip_dagster.words.spacing import MARKS, join_texts, space_marks
from resources.models.language_id import load_identifier
from tests.metaclip_dagster.tables import entries_of, pairs_of

ROOT = Path(__file__).parents[3]
WORDS = ["a", "b", "ab", "A", "x-y", "'", "/", "U.S", "\0", "é", "e\u0301", "ß", "\ud7ff", "\ue000", "\U00010000"]
SCRIPTS = ["犬", "か", "ー", "ﾊ", "개", "가", "ก", "ิ", "न", "्", "א", "ا", "👩\u200d🚀", "🇩🇪", "👍🏽", "\ufe0f"]
BLANKS = [" ", " ", " ", " ", "  ", "\t", "\n", "\r", "\v", "\f", "\x1c", "\x85", "\xa0", "\u2003", "\u2028", "\u3000"]
# Words of seven, eight, fifteen bytes and more are kept in other ways, and told apart by their first and last bytes.
LONG = [f"{first}{'x' * (n - 2)}{last}" for n in (7, 8, 9, 15, 16, 17, 40) for first, last in ("xx", "yx", "xy")]
strings = st.lists(st.sampled_from([*WORDS, *SCRIPTS, *BLANKS, *MARKS, *MARKS]), max_size=9).map("".join)
lists_of_entries = st.lists(st.one_of(strings, st.sampled_from([*WORDS, *SCRIPTS, *MARKS])), max_size=25, unique=True)
lists_of_texts = st.lists(strings, max_size=12)
thorough = settings(max_examples=300)


def naive(texts: Iterable[str], entries: list[str]) -> list[list[int]]:
    """The definition, written once more: the oracle that every engine must agree with."""
    searched = [re.sub(r"[,.;:?!`]", r" \g<0> ", re.sub(r"[\t\n\r]", " ", f" {text} ")) for text in texts]
    able = [(i, f" {entry} ") for i, entry in enumerate(entries) if any(map(str.isalnum, entry))]
    return [[i for i, entry in able if entry in haystack] for haystack in searched]


def contains(text: str, entry: str) -> bool:
    return naive([text], [entry]) == [[0]]


def english(texts: list[str]) -> tuple[list[str], list[float]]:
    return ["en"] * len(texts), [0.5] * len(texts)


def first_letter(texts: list[str]) -> tuple[list[str], list[float]]:
    return [{"a": "en", "b": "de"}.get(text[:1], "fr") for text in texts], [len(text) % 7 / 7 for text in texts]


def match(
    batches: Iterable[pa.RecordBatch], matcher: Matcher, identify: Identify = english
) -> tuple[pa.Table, Counter[str]]:
    dropped: Counter[str] = Counter()
    batches_of_matches = [*match_entries(batches, matcher=matcher, identify=identify, dropped=dropped)]
    assert all(batch.schema.equals(MATCHES, check_metadata=True) and batch.num_rows for batch in batches_of_matches)
    return pa.Table.from_batches(batches_of_matches, MATCHES), dropped


def search(texts: pa.Array | list[str], entries: list[str]) -> list[list[int]]:
    """The answer of tokens, which the automaton gives too, as lists; the table says of no entry that it can't match."""
    [engine] = build_matcher(entries_of(entries)).engines.values()
    assert isinstance(engine, TokenEngine)
    able = {entry: i for i, entry in enumerate(entries) if why_unmatchable(entry) is None}
    array = texts if isinstance(texts, pa.Array) else pa.array(texts, pa.string())
    lists = lists_of(engine, array)
    assert lists == lists_of(automaton.Automaton(able), array)
    return lists


def lists_of(engine: Engine, texts: pa.Array) -> list[list[int]]:
    offsets, entry_ids = engine.match(texts)
    assert (offsets.dtype.name, entry_ids.dtype.name) == ("int32", "uint32")
    assert (offsets[0], offsets[-1], len(offsets)) == (0, len(entry_ids), len(texts) + 1)
    return [entry_ids[start:end].tolist() for start, end in pairwise(offsets)]


@thorough
@given(lists_of_texts, lists_of_entries.filter(len))
def test_every_match_is_what_the_naive_loop_finds(texts: list[str], entries: list[str]) -> None:
    assert search(texts, entries) == naive(texts, entries)


@thorough
@given(lists_of_texts, lists_of_entries.filter(len), st.integers(1, 4), st.integers(1, 12))
def test_portions_and_windows_change_no_match(
    texts: list[str], entries: list[str], most_texts: int, most_bytes: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automaton, "_MOST_TEXTS", most_texts)
        patch.setattr(automaton, "_MOST_BYTES", most_bytes)
        assert search(texts, entries) == naive(texts, entries)


@settings(max_examples=100)
@given(lists_of_texts, st.integers(1, 4), st.integers(1, 12))
def test_a_portion_is_as_large_as_its_bounds_allow(texts: list[str], most_texts: int, most_bytes: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(automaton, "_MOST_TEXTS", most_texts)
        patch.setattr(automaton, "_MOST_BYTES", most_bytes)
        portions = [*automaton._portion_texts(pa.array(texts, pa.string()))]

    def fits(portion: list[str]) -> bool:
        return len(portion) <= most_texts and len("".join(portion).encode()) <= most_bytes

    assert [text for portion in portions for text in portion] == texts
    assert all(fits(portion) or len(portion) == 1 for portion in portions)
    assert not any(fits([*portion, following[0]]) for portion, following in pairwise(portions))


@thorough
@given(strings, strings)
def test_a_match_is_a_contiguous_run_of_tokens(text: str, entry: str) -> None:
    tokens, wanted = space_marks(text).split(" ")[1:-1], entry.split(" ")
    runs = any(tokens[i : i + len(wanted)] == wanted for i in range(len(tokens)))
    assert contains(text, entry) == (runs and any(map(str.isalnum, entry)))


@thorough
@given(lists_of_texts.filter(len))
def test_joined_texts_are_the_spaced_texts_with_a_newline_between(texts: list[str]) -> None:
    assert join_texts(texts) == "\n".join(map(space_marks, texts))


@thorough
@given(strings)
def test_an_entry_without_a_reason_is_in_some_text(entry: str) -> None:
    # The text that brings it about: a mark takes up one space on either side.
    if why_unmatchable(entry) is None:
        assert contains(re.sub(r" ?([,.;:?!`]) ?", r"\1", entry), entry)


@thorough
@given(strings, st.lists(strings), st.sampled_from([*BLANKS, *MARKS, ""]))
def test_an_entry_with_a_reason_is_in_no_text(entry: str, texts: list[str], between: str) -> None:
    if why_unmatchable(entry):
        squeezed = re.sub(r" ?([,.;:?!`]) ?", r"\1", entry)
        for text in [*texts, entry, squeezed, space_marks(entry), between.join([entry, *texts, squeezed, entry])]:
            assert not contains(text, entry)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("", "no word"),
        ("  ", "no word"),
        ("New\tYork", "a tab, newline or carriage return"),
        ("dog\n", "a tab, newline or carriage return"),
        ("U.S.", "a mark inside a word"),
        ("St. Louis", "a mark inside a word"),
        ("Yahoo!", "a mark inside a word"),
        ("...", "no word"),
        ("!!!", "no word"),
        ("™", "no word"),
        ("❤", "no word"),
        ("7", None),
        ("½", None),
        ("क", None),
        ("who ? !", "two marks one space apart"),
        ("who ?  !", None),
        ("St . Louis", None),
        ("!", "no word"),
        (" dog", None),
        ("AC/DC", None),
        ("don't", None),
        ("東京", None),
    ],
)
def test_an_entry_no_text_can_contain_has_a_reason(entry: str, reason: str | None) -> None:
    assert why_unmatchable(entry) == reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AC/DC live", ["AC/DC"]),
        ("I don't,dog", ["don't", "dog"]),
        ('Dog DOG dog\'s (dog) "dog" dog/cat hotdog', []),
        ("dog;dog", ["dog"]),
        ("hot dog!", ["dog", "hot dog"]),
        ("hot  dog", ["dog"]),
        ("hot\ndog", ["dog", "hot dog"]),
        ("hot\xa0dog", []),
        ("the U.S. and U.S", []),
        ("犬 と 猫", ["犬"]),
        ("犬です。犬", []),
        ("개 가", ["개"]),
        ("개가", []),
        ("cafe\u0301", []),
        ("café", ["café"]),
        ("👩\u200d🚀 👩", []),
    ],
)
def test_matching_knows_case_marks_and_spaces_and_nothing_else(text: str, expected: list[str]) -> None:
    entries = ["dog", "hot dog", "AC/DC", "don't", "!", "U.S.", "犬", "개", "café", "👩"]
    assert search([text], entries) == [sorted(entries.index(entry) for entry in expected)]


def test_texts_that_the_paper_rejects_match_nothing() -> None:
    # Xu et al. 2023, Table 14.
    rejected = [
        *("control_14ct", "cudd2008", "product-img", "Skirmisher-Main-440x412", "A4omote", "8533 GOLDEN RIDGE COURT"),
        *("How-to-Find-the-Finest-Electric-Car-Companies", "hanukkah-party-facebook-event-cover-template"),
        "johnny_cash_chili_dog (2)",
    ]
    entries = ["2", "14", "2008", "product", "img", "Main", "A4", "How to", "Electric Car", "party", "dog", "ridge"]
    entries.append("court")
    assert search(rejected, entries) == [[]] * len(rejected)


def test_texts_without_a_character_and_of_millions_are_searched() -> None:
    long = "x" * 999_990 + " hot dog " * 200_000 + "y,"
    texts = ["", long, "dog", "é" * 3_000_000 + " dog", ""]
    assert search(texts, ["dog", "hot dog", "y"]) == [[], [0, 1, 2], [0], [0], []]


words_of_all_lengths = st.lists(st.sampled_from([*LONG, "a", "", "é" * 8]), max_size=6).map(" ".join)


@thorough
@given(st.lists(words_of_all_lengths, max_size=8), st.lists(words_of_all_lengths, min_size=1, max_size=12, unique=True))
def test_words_of_every_length_are_told_apart(texts: list[str], entries: list[str]) -> None:
    assert search(texts, entries) == naive(texts, entries)


def test_a_long_word_with_the_same_key_is_no_match() -> None:
    index = index_tokens(pa.array(["x" * 20]), pa.array([0], pa.uint32()))
    columns = {name: array.to_numpy() for name, array in index.items()}
    texts = pa.array(["x" * 20])
    assert lists_of(TokenEngine(columns), texts) == [[0]]
    assert lists_of(TokenEngine({**columns, "letters": columns["letters"] + 1}), texts) == [[]]


@pytest.mark.parametrize("longest", [1, 2, 30, 600])
def test_long_texts_match_whatever_stands_where_a_window_ends(longest: int) -> None:
    random = Random(longest)
    words = ["a", "a", "b", "", "ab", "犬", "x" * 20, ",", "U.S", "\t"]
    texts = [" ".join(random.choices(words, k=random.choice([5, 5, 2_000, 9_000]))) for _ in range(12)]
    tokens = " ".join(space_marks(text) for text in texts).split(" ")
    starts = [random.randrange(len(tokens) - longest) for _ in range(300)]
    runs = [" ".join(tokens[start : start + random.randint(1, longest)]) for start in starts]
    entries = [*dict.fromkeys(["a", "a a", "a a a a", *runs])]
    lists = search(texts, entries)
    assert sum(map(len, lists)) > 50
    assert lists == naive(texts, entries)


def test_texts_of_a_few_and_of_many_matches_are_sorted_alike() -> None:
    entries = [f"w{i}" for i in range(3_000)]
    counts = [0, 1, 62, 63, 64, 65, 66, 0, 3_000, 1, 200, 64]
    chosen = [Random(n).sample(range(3_000), n) for n in counts]
    texts = [" ".join(f"w{i}" for i in ids + ids[::2]) for ids in chosen]
    assert search(texts * 20, entries) == [sorted(ids) for ids in chosen] * 20


def test_an_entry_of_ten_thousand_tokens_is_found() -> None:
    long = "a " * 9_999 + "b"
    assert search([f"c {long}", "a " * 1_000, long[2:]], [long, "b"]) == [[0, 1], [], [1]]


def test_large_strings_are_searched_as_strings_are() -> None:
    texts, entries = ["hot dog", "", "a dog,"], ["dog", "hot dog"]
    assert search(pa.array(texts, pa.large_string())[1:], entries) == naive(texts, entries)[1:]


def test_an_index_that_went_through_a_file_gives_the_same(tmp_path: Path) -> None:
    table = entries_of(["hand", "Hand", "東京", "also", "U.S."], ["en", "de", "ja", "en", "en"])
    index = index_entries(table)
    with pa.OSFile(str(tmp_path / "index"), "wb") as file, pa.ipc.new_file(file, index.schema) as writer:
        writer.write_table(index)
    opened = pa.ipc.open_file(pa.memory_map(str(tmp_path / "index"))).read_all()
    batch = pairs_of(["a hand", "a Hand", "b Hand", "c 東京タワー", "also", "aU.S."])

    def identify(texts: list[str]) -> tuple[list[str], list[float]]:
        return [{"a": "en", "b": "de", "c": "ja"}[text[0]] for text in texts], [0.5] * len(texts)

    matches, dropped = match([batch], open_matcher(opened), identify)
    assert (matches, dropped) == match([batch], open_matcher(index), identify)
    assert matches["entry_ids"].to_pylist() == [[0], [1], [2], [3]]


PEAK = """
from pathlib import Path
import pyarrow as pa
from benchmarks.measure import peak_mb
from metaclip_dagster.matching.tokens import TokenEngine, index_tokens
entries = pa.array(["a", "a b", ","])
index = index_tokens(entries, pa.array([0, 1, 2], pa.uint32()))
engine = TokenEngine({name: array.to_numpy() for name, array in index.items()})
engine.match(pa.array(["a b"]))
text = pa.array(["a b,,," * 8_000_000])
Path("/proc/self/clear_refs").write_text("5", "ascii")  # the peak is counted from here
before = peak_mb()
_, found = engine.match(text)
print(round(peak_mb() - before), found.tolist())
"""


def test_a_text_of_fifty_megabytes_takes_no_memory_of_its_own() -> None:
    run = subprocess.run([sys.executable, "-c", PEAK], capture_output=True, text=True, check=True, cwd=ROOT)
    megabytes, printed = run.stdout.split(" ", 1)
    assert int(megabytes) < 8
    assert printed == "[0, 1, 2]\n"


@settings(max_examples=100)
@given(lists_of_texts, st.integers(0, 5), st.integers(0, 5))
def test_a_slice_of_texts_matches_as_if_it_were_whole(texts: list[str], skipped: int, left_off: int) -> None:
    entries = ["a", "b", "ab", "犬", "!"]
    part = pa.array(["a b", *texts, "b"], pa.string())[skipped : len(texts) + 2 - left_off]
    assert search(part, entries) == naive(part.to_pylist(), entries)


def test_two_matchers_in_one_process_keep_to_their_own_entries() -> None:
    cats, dogs = build_matcher(entries_of(["x", "cat"])), build_matcher(entries_of(["dog"]))
    batch = pairs_of(["cat", "dog"])
    assert match([batch], cats)[0].select(["pair_id", "entry_ids"]).to_pylist() == [{"pair_id": 0, "entry_ids": [1]}]
    assert match([batch], dogs)[0].select(["pair_id", "entry_ids"]).to_pylist() == [{"pair_id": 10, "entry_ids": [0]}]


def test_entries_that_the_table_calls_unmatchable_are_left_out() -> None:
    matches, dropped = match(
        [pairs_of(["a b"])], build_matcher(entries_of(["a", "b"], unmatchable=["not today", None]))
    )
    assert matches["entry_ids"].to_pylist() == [[1]]
    matches, dropped = match([pairs_of(["a b"])], build_matcher(entries_of(["U.S."])))
    assert (len(matches), dropped["no_match"]) == (0, 1)


def test_matches_are_the_rows_that_the_rule_gives() -> None:
    texts = ["A dog in New York", "nothing", "", "dog,dog", "New York\nCity"]
    seen: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    matcher = build_matcher(entries_of(["York", "dog", "New York", "A", "U.S."]))
    [matches] = match_entries([pairs_of(texts)], matcher=matcher, identify=english, dropped=dropped, seen=seen)
    assert matches.to_pylist() == [
        {
            "pair_id": pair_id,
            "image_id": (pair_id // 10).to_bytes(12),
            "language": "en",
            "language_score": 0.5,
            "entry_ids": e,
        }
        for pair_id, e in [(0, [0, 1, 2, 3]), (30, [1]), (40, [0, 2])]
    ]
    assert dropped == Counter(no_match=2)
    assert seen == {"language en": 3}


@pytest.mark.parametrize("texts", [None, [], ["cat"], [""] * 20_000])
def test_pairs_without_a_match_give_no_batch_but_are_counted(texts: list[str] | None) -> None:
    batches = [] if texts is None else [pairs_of(texts)]
    for matcher in (build_matcher(entries_of(["dog"])), build_matcher(entries_of(["dog", "Hund"], ["en", "de"]))):
        matches, dropped = match(batches, matcher)
        assert (len(matches), dropped["no_match"]) == (0, len(texts or []))


@settings(max_examples=100)
@given(lists_of_texts, st.lists(st.integers(0, 12)), st.booleans())
def test_how_pairs_are_cut_into_batches_changes_no_row(texts: list[str], cuts: list[int], two_languages: bool) -> None:
    matcher = build_matcher(entries_of(["a", "b", "ab", "犬"], ["en", "de" if two_languages else "en", "en", "en"]))
    whole = pairs_of(texts)
    bounds = sorted({0, len(texts), *(cut for cut in cuts if cut < len(texts))})
    parts = [whole.slice(start, end - start) for start, end in pairwise(bounds)]
    assert match(parts, matcher, first_letter) == match([whole], matcher, first_letter)


def test_a_text_is_searched_for_the_entries_of_its_own_language_only() -> None:
    matcher = build_matcher(entries_of(["hand", "Hand", "hand", "also"], ["en", "de", "de", "en"]))
    texts = ["b hand Hand", "also hand", "c hand", "b also", "a hand", "also Hand"]
    seen: Counter[str] = Counter()
    dropped: Counter[str] = Counter()
    matches = pa.Table.from_batches(
        match_entries([pairs_of(texts)], matcher=matcher, identify=first_letter, dropped=dropped, seen=seen)
    )
    assert [*zip(*(matches[name].to_pylist() for name in ("pair_id", "language", "entry_ids")), strict=True)] == [
        (0, "de", [1, 2]),
        (10, "en", [0, 3]),
        (40, "en", [0]),
        (50, "en", [3]),
    ]
    assert dropped == {"other_language": 1, "no_match": 1}
    assert seen == {"language de": 2, "language en": 3, "language fr": 1}


def check_that_identifying_first_or_last_gives_one_pool(
    texts: list[str], entries: list[str], identify: Identify
) -> int:
    last = build_matcher(entries_of(entries))
    # A second language, none of whose texts are there, has every text identified first.
    first = build_matcher(entries_of([*entries, "nowhere"], ["en"] * len(entries) + ["none"]))
    pool, dropped = match([pairs_of(texts)], last, identify)
    pool_of_first, dropped_of_first = match([pairs_of(texts)], first, identify)
    assert pool == pool_of_first
    assert dropped.total() == dropped_of_first.total() == len(texts) - len(pool)
    assert dropped["other_language"] <= dropped_of_first["other_language"]
    return len(pool)


@thorough
@given(lists_of_texts, lists_of_entries.filter(len))
def test_the_pool_is_the_same_whether_language_is_told_before_or_after(texts: list[str], entries: list[str]) -> None:
    check_that_identifying_first_or_last_gives_one_pool(texts, entries, first_letter)


def test_the_pool_of_labels_is_the_same_whether_language_is_told_before_or_after() -> None:
    labels = ["a photo of the dog", "ein Foto von dem Hund", "1 of the best", "photo", "une photo du chien", ""]
    entries = ["photo", "the", "of the", "a", "1"]
    assert 2 <= check_that_identifying_first_or_last_gives_one_pool([*labels, "IMG 1"], entries, load_identifier()) < 5


def with_ids(ids: list[int]) -> pa.Table:
    table = entries_of([f"entry {i}" for i in range(len(ids))])
    return table.set_column(0, ENTRIES.field("entry_id"), pa.array(ids, pa.uint32()))


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        (with_ids([]), "has no row"),
        (with_ids([1, 2]), "row 0 has entry_id 1; number the rows 0, 1, 2"),
        (with_ids([0, 2, 1]), "row 1 has entry_id 2"),
        (with_ids([0, 1, 1]), "row 2 has entry_id 1"),
        (entries_of(["a", "b", "a", "b"]), "rows 0 and 2 are both 'a' of language 'en'; drop the later one"),
    ],
)
def test_entries_that_cannot_be_counted_are_refused(entries: pa.Table, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        build_matcher(entries)
