"""The data card: its numbers against a naive recount, its page against hostile texts, its bytes against chance."""

import io
import json
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import UndefinedError
from PIL import Image
from selectolax.lexbor import LexborHTMLParser

from metaclip_dagster.reporting.cards.card import describe_subset, render_card
from metaclip_dagster.reporting.cards.counts import PairCounts, count_pairs, count_scores, count_subset
from metaclip_dagster.reporting.cards.plots import plot_counts, plot_shares, plot_sizes
from metaclip_dagster.schemas import ENTRY_COUNTS
from tests.metaclip_dagster.pages import parse_harmless, strict
from tests.metaclip_dagster.tables import entries_of

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=https://example.org/x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style></td></table><script src=//example.org></script>",
    "[click](javascript:alert(1)) **bold** `code`",
    "\x1b[31mred\x1b[0m\x00\x07",
    "evil\u202egnp.exe\u2066\u200f",
    "&lt;b&gt; &amp;",
    "x" * 1_000_000,
]
PNG = b"\x89PNG not really"

counts_of_pool = st.lists(st.integers(0, 400), min_size=0, max_size=40)


def counts_table(entries: pa.Table, counts: Sequence[int]) -> pa.Table:
    columns = [entries[name] for name in ("entry_id", "entry", "language")]
    return pa.table([*columns, counts, counts, [[]] * len(counts)], schema=ENTRY_COUNTS)


def subset_batch(entry_ids: Sequence[Sequence[int]]) -> pa.RecordBatch:
    return pa.record_batch({"entry_ids": pa.array(entry_ids, pa.list_(pa.uint32()))})


def card_of(
    before: Sequence[int],
    after: Sequence[int],
    *,
    t: str = "20",
    words: Sequence[str] | None = None,
    languages: Sequence[str] | None = None,
    thresholds: Mapping[str, float] | None = None,
    **more: Any,  # whatever describe_subset takes
) -> dict[str, Any]:
    words = words or [f"word{i}" for i in range(len(before))]
    entries = more.pop("entries", None) or entries_of(words, languages or "en")
    return describe_subset(
        t=t,
        thresholds=thresholds or {"en": float(t)},
        entries=entries,
        entry_counts=counts_table(entries, before),
        subset_counts=np.array(after, np.uint64),
        **{"pool": PairCounts({"en": 10}, {"S1": 10}), "subset": PairCounts({"en": 4}, {"S1": 4}), **more},
    )


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=5, unique=True), max_size=30), st.integers(1, 7))
@settings(max_examples=60)
def test_a_subset_is_counted_as_a_loop_would_in_any_batches(lists: list[list[int]], size: int) -> None:
    batches = [subset_batch(lists[i : i + size]) for i in range(0, len(lists), size)]
    counts = count_subset(iter(batches), 10)
    assert counts.dtype == np.uint64
    assert counts.tolist() == [sum(i in ids for ids in lists) for i in range(10)]
    assert count_subset([batch.slice(1) for batch in batches], 10).sum() == sum(
        len(ids) for i, ids in enumerate(lists) if i % size
    )


def test_a_subset_of_another_list_of_entries_is_refused() -> None:
    with pytest.raises(ValueError, match="matches entry 7, but there are 5 entries"):
        count_subset([subset_batch([[1], [7]])], 5)


def test_pairs_and_scores_add_up_over_batches() -> None:
    batches = [
        pa.record_batch({"language": names, "language_score": pa.array(scores, pa.float32())})
        for names, scores in ((["en", "de", "en"], [0.49, 0.5, 0.8]), ([], []), (["de"], [1.00001]))
    ]
    assert count_pairs(batches, "language") == {"de": 2, "en": 2}
    scores = count_scores(batches)
    assert {name: {at: n for at, n in enumerate(of) if n} for name, of in scores.items()} == {
        "de": {10: 1, 19: 1},
        "en": {9: 1, 16: 1},
    }
    card = card_of([1], [1], language_scores=scores)
    assert [(row["language"], row["pairs"], row["below_05"]) for row in card["language_scores"]["languages"]] == [
        ("de", 2, 0.0),
        ("en", 2, 0.5),
    ]
    section = parse_harmless(render_card(card, {})).css_first("#languages")
    assert section is not None
    assert "Below 0.8" in section.text()
    assert (card["language_scores"]["below_05"], card["language_scores"]["below_08"]) == (0.25, 0.5)


def test_licences_are_counted_and_a_pair_without_one_is_named_so() -> None:
    names = pa.array(["MIT", None, "MIT", None, None], pa.string())
    licenses = count_pairs([pa.record_batch({"license": names})], "license")
    card = card_of([1], [1], subset=PairCounts({"en": 5}, {"S1": 5}), licenses=licenses)
    assert [(row["license"], row["pairs"], row["share"]) for row in card["licenses"]] == [("", 3, 0.6), ("MIT", 2, 0.4)]
    section = parse_harmless(render_card(card, {})).css_first("#licenses")
    assert section is not None
    assert "none named" in section.text()
    without = render_card(card_of([1], [1], licenses={"": 4}), {})
    assert "No page names the licence of its images." in without


@given(st.data(), st.sampled_from(["1", "20", "99.5", "inf"]))
@settings(max_examples=60)
def test_every_number_agrees_with_a_naive_recount(data: st.DataObject, t: str) -> None:
    before = data.draw(counts_of_pool)
    after = [data.draw(st.integers(0, count)) for count in before]
    languages = data.draw(st.lists(st.sampled_from(["en", "de"]), min_size=len(before), max_size=len(before)))
    thresholds = {"en": float(t), "de": float(t) / 2}
    card = strict(json.dumps(card_of(before, after, t=t, languages=languages, thresholds=thresholds)))
    head = [(i, after[i] / before[i]) for i in range(len(before)) if before[i] > thresholds[languages[i]]]

    entries = card["entries"]
    assert entries["entries"] == len(before)
    assert entries["entries_matched"] == sum(b > 0 for b in before)
    assert entries["entries_head"] == len(head)
    for when, counts in (("before", before), ("after", after)):
        assert entries[f"matches_{when}"] == sum(counts)
        of_head = sum(counts[i] for i, _ in head)
        expected = of_head / sum(counts) if sum(counts) else None
        assert entries[f"head_{when}"] == pytest.approx(expected)
        ranked = sorted((-count, i) for i, count in enumerate(counts) if count)[:20]
        assert [row["entry_id"] for row in card[f"top_{when}"]] == [i for _, i in ranked]
    for part in ("groups", "sources"):
        for name in ("entries", "entries_head", "matches_before", "matches_after"):
            assert sum(group[name] for group in card[part]) == entries[name]
    for group in card["groups"]:
        inside = [i for i, b in enumerate(before) if group["at_least"] <= b < group["below"]]
        assert group["entries"] == len(inside)
        assert {row["entry_id"] for row in group["examples"]} <= set(inside)
        assert len(group["examples"]) == min(len(inside), 5)
    ratios = [row["kept"] for row in card["flattened"]]
    assert ratios == sorted(ratio for _, ratio in head)[:20]
    still_there = sorted(b for b, a in zip(before, after, strict=True) if a)
    assert [row["before"] for row in card["rarest"]] == still_there[:20]
    assert card["pairs"] == {"pool": 10, "subset": 4, "kept": 0.4}
    totals = {"pool": sum(before), "subset": sum(after)}
    assert card["matches"] == {**totals, "per_pair_pool": sum(before) / 10, "per_pair_subset": sum(after) / 4}


def test_powers_of_ten_begin_a_group() -> None:
    counts = [10**power for power in range(19)]
    groups = card_of(counts, counts, t="inf")["groups"]
    assert [(group["at_least"], group["entries"]) for group in groups] == [(count, 1) for count in counts]


def test_of_many_rare_entries_a_few_are_shown_from_all_over() -> None:
    rarest = [row["entry_id"] for row in card_of([5] + [1] * 1000, [5] + [1] * 1000)["rarest"]]
    assert len(rarest) == 20
    assert rarest[0] < 100
    assert rarest[-1] > 900


def test_each_language_is_held_to_its_own_t() -> None:
    card = card_of(
        [30, 30, 5],
        [20, 10, 5],
        languages=["en", "de", "de"],
        thresholds={"en": 30.0, "de": 7.5},
        pool=PairCounts({"de": 4, "en": 6, "fr": 1}, {"S1": 11}),
        subset=PairCounts({"de": 1, "en": 6}, {"S1": 7}),
    )
    assert [(row["language"], row["t"], row.get("entries_head")) for row in card["languages"]] == [
        ("en", "30", 0),
        ("de", "7.5", 1),
        ("fr", None, None),
    ]
    assert card["languages"][1]["kept"] == 0.25


def test_a_loss_that_no_reason_accounts_for_shows() -> None:
    stages = [
        {"stage": "pairs", "rows": 100, "dropped": {"no_text": 300}, "seen": {"alt": 90}},
        {"stage": "matches", "rows": 40, "dropped": {"no_match": 50}, "seen": {}},
        {"stage": "subsets", "rows": 10},
    ]
    card = card_of([1], [1], stages=stages)
    assert [(s["rows_in"], s["rows"], s["unaccounted"]) for s in card["stages"]] == [
        (400, 100, 0),
        (100, 40, 10),
        (40, 10, 30),
    ]
    assert [s["kept"] for s in card["stages"]] == [0.25, 0.4, 0.25]
    assert "no reason given 30" in render_card(card, {})


def test_sources_stand_beside_those_of_the_paper() -> None:
    sources = ["wikipedia_titles", "my_terms", "wordnet_synsets", "my_terms"]
    card = card_of([1, 2, 0, 0], [1, 1, 0, 0], entries=entries_of(list("abcd"), sources=sources))
    assert [(s["source"], s["entries"], s["paper_entries"]) for s in card["sources"]] == [
        ("wordnet_synsets", 1, 86_554),
        ("wikipedia_titles", 1, 61_235),
        ("my_terms", 2, None),
    ]


def test_entries_that_no_text_can_contain_are_counted_by_reason() -> None:
    reasons = [None, "a mark inside a word", "a mark inside a word", "no word"]
    entries = entries_of(["a", "U.S.", "a.b", ""], unmatchable=reasons)
    card = card_of([1, 0, 0, 0], [1, 0, 0, 0], entries=entries)
    assert card["entries"]["unmatchable"] == {"a mark inside a word": 2, "no word": 1}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"subset_counts": [1]}, "not the same entries"),
        ({"subset_counts": [3, 9]}, "entry 1 has 9 pairs in the subset, 2 in the pool"),
        ({"thresholds": {"de": 1.0}}, "no t for en"),
        ({"t": "nan"}, "t must be"),
        ({"language_scores": {"en": [1, 2]}}, "make it with count_scores"),
    ],
)
def test_what_cannot_be_of_one_pool_is_refused(change: dict[str, Any], says: str) -> None:
    entries = entries_of(["a", "b"])
    pairs = PairCounts({"en": 1}, {"S1": 1})
    arguments: dict[str, Any] = {"t": "2", "thresholds": {"en": 2.0}, "subset_counts": [3, 2], **change}
    arguments["subset_counts"] = np.array(arguments["subset_counts"], np.uint64)
    with pytest.raises(ValueError, match=says):
        describe_subset(
            entries=entries, entry_counts=counts_table(entries, [3, 2]), pool=pairs, subset=pairs, **arguments
        )
    with pytest.raises(ValueError, match="2 pairs by language but 1 by snapshot"):
        PairCounts({"en": 2}, {"S1": 1})


@pytest.mark.parametrize(("num_entries", "t"), [(0, "inf"), (3, "20")])
def test_nothing_at_all_still_makes_a_card_and_plots(num_entries: int, t: str) -> None:
    none: npt.NDArray[np.uint64] = np.zeros(num_entries, np.uint64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        card = card_of(none.tolist(), none.tolist(), t=t, pool=PairCounts({}, {}), subset=PairCounts({}, {}))
        plots = {
            "counts": plot_counts(none, none, t),
            "shares": plot_shares(none, none),
            "sizes": plot_sizes([], [], {t: 0}),
        }
        page = render_card(strict(json.dumps(card)), plots)
    assert card["pairs"]["kept"] is None
    assert card["entries"]["head_before"] is None
    assert len(LexborHTMLParser(page).css("img")) == 3


def hostile_card() -> dict[str, Any]:
    text = HOSTILE[0]
    return card_of(
        range(len(HOSTILE), 0, -1),
        range(len(HOSTILE), 0, -1),
        t="5",
        entries=entries_of(HOSTILE, [text] * len(HOSTILE), sources=HOSTILE),
        thresholds={text: math.inf},
        pool=PairCounts({text: 2}, {text: 2}),
        subset=PairCounts({text: 1}, {text: 1}),
        licenses=dict.fromkeys(HOSTILE, 1),
        stages=[{"stage": hostile, "rows": 1, "dropped": {hostile: 2}, "seen": {hostile: 3}} for hostile in HOSTILE],
        language_scores={"en": [1] * 20},
        provenance=dict.fromkeys(HOSTILE, text),
    )


def test_hostile_texts_end_as_harmless_text() -> None:
    page = render_card(hostile_card(), {HOSTILE[1]: PNG})
    tree = parse_harmless(page)
    assert max(len(node.text()) for node in tree.css("bdi")) <= 200
    shown = {node.text() for node in tree.css(".entry bdi")}
    assert {*HOSTILE[:5], HOSTILE[7]} <= shown
    assert "evil⟨U+202E⟩gnp.exe⟨U+2066⟩⟨U+200F⟩" in shown
    assert "x" * 199 + "…" in shown
    assert not set(page) & set("\x1b\x00\x07\u202e\u2066\u200f")
    assert len(page) < 100_000


@given(st.text(max_size=300))
@settings(max_examples=40)
def test_any_entry_is_shown_as_text_and_changes_no_tag(text: str) -> None:
    trees = [LexborHTMLParser(render_card(card_of([3], [2], words=[word]), {})) for word in ("plain", text)]
    tags = [[node.tag for node in tree.css("*")] for tree in trees]
    assert tags[0] == tags[1]


def test_joined_emoji_stay_whole() -> None:
    family = "\U0001f469\u200d\U0001f467"
    assert family in render_card(card_of([3], [2], words=[family]), {})


def test_the_page_loads_nothing_and_says_so_to_the_browser() -> None:
    page = render_card(hostile_card(), {"counts": PNG})
    assert 'http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:' in page
    style = page[page.index("<style>") : page.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style


def test_the_contents_line_leads_to_every_section_and_a_card_without_its_parts_is_refused() -> None:
    page = LexborHTMLParser(render_card(hostile_card(), {}))
    links = [node.attributes["href"] for node in page.css("nav a")]
    assert links == [f"#{node.attributes['id']}" for node in page.css("section")]
    with pytest.raises(UndefinedError, match="pairs"):
        render_card({"t": "20"}, {})


def test_long_lists_are_cut_and_the_page_says_how_much_more_there_is() -> None:
    pairs = PairCounts({"en": 1} | {f"l{i}": 1 for i in range(69)}, {"S1": 70})
    stage = {"stage": "pairs", "rows": 70, "seen": dict.fromkeys(map(str, range(100)), 2)}
    page = LexborHTMLParser(render_card(card_of([3], [2], pool=pairs, subset=pairs, stages=[stage]), {}))
    assert "10 more languages are in the JSON." in [node.text() for node in page.css("#languages .note")]
    assert [node.text() for node in page.css("details tr:last-child td")] == ["40 more", "80"]


def test_same_numbers_give_the_same_bytes() -> None:
    before, after = np.array([50, 30, 5, 1, 0], np.uint64), np.array([22, 20, 5, 1, 0], np.uint64)
    assert plot_counts(before, after, "20") == plot_counts(before, after, "20")
    assert json.dumps(hostile_card()) == json.dumps(hostile_card())
    assert render_card(hostile_card(), {"counts": PNG}) == render_card(hostile_card(), {"counts": PNG})
    assert render_card(strict(json.dumps(hostile_card())), {}) == render_card(hostile_card(), {})


def test_plots_are_small_png_of_the_stated_size() -> None:
    rng = np.random.default_rng(0)
    before = (3e7 / np.arange(1, 500_001) * rng.lognormal(0, 1, 500_000)).astype(np.uint64)
    after = np.minimum(before, 20_000).astype(np.uint64)
    t_values = np.geomspace(1, 1e7, 300).tolist()
    for png in (
        plot_counts(before, after, "20000"),
        plot_shares(before, after),
        plot_sizes(t_values, range(300), {"20": 56, "20000": 184, "170000": 224, "inf": 300}),
    ):
        picture = Image.open(io.BytesIO(png))
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (900, 500))
        assert not picture.info.keys() & {"Software", "Creation Time", "date"}
        assert len(png) < 60_000


def test_at_inf_the_page_says_that_nothing_is_thinned() -> None:
    page = render_card(card_of([30, 1], [30, 1], t="inf"), {})
    assert "Nothing is thinned at t = inf" in page


def test_the_command_that_makes_a_card_again_is_shown_as_it_is_or_not_at_all() -> None:
    card = card_of([30, 1], [30, 1], t="inf")
    assert "<pre>" not in render_card(card, {})
    command = "A='b c' make <it>"
    assert [node.text() for node in LexborHTMLParser(render_card(card | {"command": command}, {})).css("pre")] == [
        command
    ]
