"""Entries are the same list for everyone: by declared precedence, then rank, within the budget."""

import io
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.metadata import (
    build_entries,
    count_bigrams,
    count_unigrams,
    describe_entries,
    plain_text,
    rank_synsets,
    rank_titles,
    read_own_entries,
    runs_of_words,
)
from metaclip_dagster.schemas import CANDIDATES, ENTRIES

TEXT = """The quick brown fox jumps over the lazy dog. New York is not new; New York is in New York State!
A quick brown dog: the lazy fox, the brown dog and "the quick brown fox" of New York (New York City) — old York?"""
WIKITEXT = [*"[]{}|'<>=*#:;&!-/ \n", "ref", "<ref>", "[[", "]]", "{{", "}}", "File:", "x"]
MARKS = set(",.;:?!`")
words = st.sampled_from(["a", "b", "The", "the", "dog", "é", "犬"])
sources = st.dictionaries(
    st.sampled_from(["synsets", "unigrams", "titles"]),
    st.lists(st.tuples(words, st.integers(0, 3), st.sampled_from(["en", "de"])), max_size=8),
    min_size=1,
)


def candidates(rows: Iterable[tuple[str, float, str]]) -> pa.Table:
    rows = list(rows)
    columns = {
        "entry": [entry for entry, _, _ in rows],
        "language": [language for _, _, language in rows],
        "score": [float(score) for _, score, _ in rows],
        "num_occurrences": [1] * len(rows),
    }
    return pa.Table.from_pydict(columns, schema=CANDIDATES)


def ranked(*entries: str) -> pa.Table:
    return candidates((entry, -position, "en") for position, entry in enumerate(entries))


def collect(stage: Callable[..., Iterator[pa.RecordBatch]], *args: object, **options: Any) -> pa.Table:
    options.setdefault("dropped", Counter())
    return pa.Table.from_batches(stage(*args, **options), schema=stage.writes)  # type: ignore[attr-defined]  # by @writes


def build(tables: dict[str, pa.Table], **options: Any) -> pa.Table:
    return collect(build_entries, tables, **{"why_unmatchable": lambda entry: None, **options})


def scores(table: pa.Table) -> dict[str, float]:
    return dict(zip(table["entry"].to_pylist(), table["score"].to_pylist(), strict=True))


def own(content: bytes, dropped: Counter[str] | None = None) -> list[str]:
    read = collect(read_own_entries, io.BytesIO(content), dropped=Counter() if dropped is None else dropped)
    return list(read["entry"].to_pylist())


class TestEntries:
    @settings(deadline=None, max_examples=100)
    @given(sources, st.integers(0, 12))
    def test_the_budget_is_filled_by_precedence_then_rank(
        self, rows: dict[str, list[tuple[str, int, str]]], budget: int
    ) -> None:
        entries = build({source: candidates(own_rows) for source, own_rows in rows.items()}, budget=budget)
        expected: list[tuple[str, str]] = []
        for own_rows in rows.values():
            for entry, _, language in sorted(own_rows, key=lambda row: (-row[1], row[0], row[2])):
                if (entry, language) not in expected:
                    expected.append((entry, language))
        got = list(zip(entries["entry"].to_pylist(), entries["language"].to_pylist(), strict=True))
        assert got == expected[:budget]
        assert entries["entry_id"].to_pylist() == list(range(len(got)))

    @settings(deadline=None, max_examples=50)
    @given(sources, st.randoms())
    def test_the_order_of_rows_changes_nothing(self, rows: dict[str, list[tuple[str, int, str]]], random: Any) -> None:
        shuffled = {source: random.sample(own_rows, len(own_rows)) for source, own_rows in rows.items()}
        first, second = (build({s: candidates(r) for s, r in some.items()}) for some in (rows, shuffled))
        assert first.equals(second)

    @settings(deadline=None, max_examples=50)
    @given(sources, st.integers(0, 12))
    def test_every_candidate_is_taken_or_accounted_for(
        self, rows: dict[str, list[tuple[str, int, str]]], budget: int
    ) -> None:
        tables, dropped = {source: candidates(own_rows) for source, own_rows in rows.items()}, Counter[str]()
        entries = build(tables, budget=budget, dropped=dropped)
        told = describe_entries(tables, entries)
        for source, table in tables.items():
            assert sum(told[source][fate] for fate in ("taken", "already_there", "beyond_budget")) == table.num_rows
        assert sum(source["taken"] for source in told.values()) == entries.num_rows
        for fate in ("already_there", "beyond_budget"):
            assert sum(source[fate] for source in told.values()) == dropped[fate]

    def test_a_repeated_entry_belongs_to_the_first_source_declared(self) -> None:
        entries = build({"titles": ranked("York", "dog"), "synsets": ranked("dog", "cat")})
        assert entries["source"].to_pylist() == ["titles", "titles", "synsets"]
        assert entries["rank"].to_pylist() == [0, 1, 1]

    def test_one_word_in_two_languages_is_two_entries(self) -> None:
        entries = build({"own": candidates([("Gift", 1, "en"), ("Gift", 1, "de")])})
        assert entries["language"].to_pylist() == ["de", "en"]

    def test_the_budget_is_reached_exactly(self) -> None:
        tables = {"a": ranked(*map(str, range(60))), "b": ranked(*map(str, range(50, 150)))}
        assert [build(tables, budget=budget).num_rows for budget in (60, 99, 150, 151)] == [60, 99, 150, 150]

    def test_a_budget_of_zero_adds_none(self) -> None:
        assert build({"synsets": ranked("dog")}, budget=0).equals(ENTRIES.empty_table())

    def test_a_negative_budget_or_no_source_is_refused(self) -> None:
        with pytest.raises(ValueError, match="budget=-1"):
            build({"synsets": ranked("dog")}, budget=-1)
        with pytest.raises(ValueError, match="name a source"):
            build({})

    def test_unmatchable_entries_keep_their_place_and_say_why(self) -> None:
        tables = {"titles": ranked("dog", "U.S.", "Yahoo!")}
        entries = build(tables, why_unmatchable=lambda entry: "a mark" if MARKS & set(entry) else None)
        assert entries["unmatchable"].to_pylist() == [None, "a mark", "a mark"]
        assert describe_entries(tables, entries)["titles"]["unmatchable"] == {"a mark": 2}

    def test_two_lists_in_one_process_do_not_meet(self) -> None:
        first, second = build({"a": ranked("dog", "cat")}), build({"a": ranked("cat")})
        assert first["entry"].to_pylist() == ["dog", "cat"]
        assert second["entry"].to_pylist() == ["cat"]

    def test_ids_are_the_same_across_processes_and_hash_seeds(self) -> None:
        program = (
            "from collections import Counter; import pyarrow as pa; from metaclip_dagster.metadata import *\n"
            "names = [f'word {n * 7919 % 1000} of {n % 13}' for n in range(2000)]\n"
            "pages = [('t', ' '.join(names)), ('u', 'The dog sees the cat')]\n"
            "made = {'s': rank_synsets(names, dropped=Counter()),\n"
            " 'u': count_unigrams(pages, min_count=1, dropped=Counter()),\n"
            " 'b': count_bigrams(pages, min_count=1, min_pmi=1, dropped=Counter())}\n"
            "tables = {s: pa.Table.from_batches(b) for s, b in made.items()}\n"
            "for b in build_entries(tables, why_unmatchable=lambda e: None, dropped=Counter()): print(b.to_pydict())"
        )
        told = [
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, "PYTHONHASHSEED": seed},
                capture_output=True,
                check=True,
                text=True,
            ).stdout
            for seed in ("1", "2")
        ]
        assert told[0] == told[1]
        assert len(told[0]) > 10_000


class TestCounts:
    def test_a_bigram_counts_and_scores_as_nltk_says(self) -> None:
        from nltk.collocations import BigramAssocMeasures, BigramCollocationFinder

        runs = list(runs_of_words(TEXT))
        finder = BigramCollocationFinder.from_documents(runs)
        theirs = {" ".join(pair): score for pair, score in finder.score_ngrams(BigramAssocMeasures.pmi)}
        ours = collect(count_bigrams, [("t", TEXT)], min_pmi=-99.0, min_count=1)
        assert scores(ours) == pytest.approx(theirs, abs=1e-12)
        counted = dict(zip(ours["entry"].to_pylist(), ours["num_occurrences"].to_pylist(), strict=True))
        assert counted == {" ".join(pair): n for pair, n in finder.ngram_fd.items()}
        assert scores(collect(count_unigrams, [("t", TEXT)], min_count=1)) == dict(finder.word_fd)

    @settings(deadline=None, max_examples=25)
    @given(st.lists(st.lists(words, max_size=12), min_size=1, max_size=5), st.randoms())
    def test_pages_may_come_in_any_order(self, pages: list[list[str]], random: Any) -> None:
        texts = [("t", " ".join(page)) for page in [*pages, ["dog"]]]
        shuffled = random.sample(texts, len(texts))
        for stage, options in ((count_unigrams, {}), (count_bigrams, {"min_pmi": -99.0})):
            first, second = (collect(stage, some, min_count=1, **options) for some in (texts, shuffled))
            assert first.equals(second)

    def test_the_best_come_first_and_equals_by_their_letters(self) -> None:
        counted = collect(count_unigrams, [("t", "b a c C c é z")], min_count=1)
        assert counted["entry"].to_pylist() == ["c", "C", "a", "b", "z", "é"]

    def test_thresholds_take_what_reaches_them(self) -> None:
        pages = [("t", "dog " * 100 + "cat " * 99)]
        assert scores(collect(count_unigrams, pages)) == {"dog": 100.0}
        assert scores(collect(rank_titles, [("Dog", 40), ("Cat", 69), ("Dog", 30)])) == {"Dog": 70.0}
        pmi = math.log2(2 * 4 / (2 * 2))
        page = [("t", "New York. New York")]
        assert scores(collect(count_bigrams, page, min_pmi=pmi, min_count=2)) == {"New York": pmi}
        assert scores(collect(count_bigrams, page, min_pmi=-99.0, min_count=3)) == {}

    def test_case_is_kept(self) -> None:
        assert set(scores(collect(count_unigrams, [("t", "The cat the dog")], min_count=1))) >= {"The", "the"}

    def test_a_bigram_never_spans_a_mark_a_note_of_absence_or_a_page(self) -> None:
        pages = [("t", "old. York (new) {{x}} town\n\nhall"), ("u", "gate")]
        assert scores(collect(count_bigrams, pages, min_pmi=-99.0, min_count=1)) == {}

    def test_a_pmi_out_of_reach_is_an_error_not_an_empty_list(self) -> None:
        with pytest.raises(ValueError, match=r"min_pmi=30: of 4 words, a pair seen min_count=3 times"):
            collect(count_bigrams, [("t", "New York New York")])

    @pytest.mark.parametrize("stage", [count_unigrams, count_bigrams])
    def test_a_dump_without_words_is_an_error(self, stage: Callable[..., Iterator[pa.RecordBatch]]) -> None:
        for pages in ([], [("t", "{{x}} --")]):
            with pytest.raises(ValueError, match="no page has a word"):
                collect(stage, pages)

    def test_the_readers_own_error_comes_through(self) -> None:
        def broken() -> Iterator[tuple[str, str]]:
            yield "A", "a"
            raise EOFError("the compressed file ends early")

        with pytest.raises(EOFError, match="ends early"):
            collect(count_unigrams, broken())

    def test_counts_that_outgrow_python_are_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pages = [("t", TEXT), ("u", TEXT)]
        whole = collect(count_bigrams, pages, min_pmi=-99.0, min_count=1)
        monkeypatch.setattr("metaclip_dagster.metadata.candidates._HELD", 2)
        monkeypatch.setattr("metaclip_dagster.metadata.candidates._ROWS", 3)
        assert collect(count_bigrams, pages, min_pmi=-99.0, min_count=1).equals(whole)

    def test_synsets_are_ranked_by_how_many_bear_the_name(self) -> None:
        dropped = Counter[str]()
        names = collect(rank_synsets, ["st. louis", "run", "dog", "run", ""], dropped=dropped)
        assert scores(names) == {"run": 2.0, "dog": 1.0, "st. louis": 1.0}
        assert dropped == {"empty_name": 1}

    def test_views_of_a_redirect_are_its_targets(self) -> None:
        views = [("USA", 50), ("United States", 30), None]
        dropped = Counter[str]()
        redirects = [("USA", "United States"), ("USA", "United States")]
        ranked_titles = collect(rank_titles, views, redirects=redirects, dropped=dropped)
        assert scores(ranked_titles) == {"United States": 80.0}
        assert ranked_titles["num_occurrences"].to_pylist() == [80]
        assert dropped == {"unreadable_line": 1}


class TestText:
    @pytest.mark.parametrize(
        ("wikitext", "text"),
        [
            ("'''Dogs''' and ''cats''", "Dogs and cats"),
            ("[[dog]]s, [[wolf|wolves]]", "dogs, wolves"),
            ("[[File:A.jpg|thumb|A [[dog]] runs]]It runs", "It runs"),
            ("[[Category:Dogs]][[de:Hund]][[:Category:Cats|cats]]", "cats"),
            ("[[Re:Zero]] and [[2001: A Space Odyssey]]", "Re:Zero and 2001: A Space Odyssey"),
            ("a{{b|{{c}}}}d", "a…d"),
            ("a<!-- b -->c<ref>d [[e]]</ref><ref name=f/> g", "ac g"),
            ("CO<sub>2</sub> is<br/>gas &amp; more&nbsp;", "CO2 is\ngas & more"),
            ("== Life ==\n* a\n# b\n:c", "Life\na\nb\nc"),
            ("{| class=x\n|-\n! a\n| b || c\n|}\nd", "d"),
            ("[http://a.example a site] [http://b.example]", "a site"),
            ("1 < 2 and {x}", "1 < 2 and {x}"),
            ("__NOTOC__x", "x"),
            ("&#xD800; &#0; &#x110000;", "\ufffd &#0; &#x110000;"),
        ],
    )
    def test_running_text_is_what_a_reader_sees(self, wikitext: str, text: str) -> None:
        assert plain_text(wikitext) == text

    @settings(deadline=None, max_examples=200)
    @given(st.lists(st.sampled_from(WIKITEXT), max_size=60).map("".join))
    def test_any_wikitext_has_a_text_and_words_without_marks(self, wikitext: str) -> None:
        for run in runs_of_words(plain_text(wikitext)):
            assert run
            assert not any(MARKS & set(word) or word != "".join(word.split()) for word in run)

    def test_words_are_found_again_where_matching_parts_texts(self) -> None:
        assert list(runs_of_words("Mr. O'Neil's rock-'n'-roll, 3.5% -- 'quoted' AC/DC")) == [
            ["Mr"],
            ["O'Neil's", "rock-'n'-roll"],
            ["3"],
            ["5%"],
            ["quoted", "AC/DC"],
        ]

    def test_a_page_of_five_megabytes_takes_seconds(self) -> None:
        page = ("The '''quick''' [[fox|foxes]] {{jump|over}} the dog.<ref>x</ref>\n\n" * 80_000)[:5_000_000]
        begun = time.process_time()
        counted = collect(count_unigrams, [("t", page)])
        assert counted["num_occurrences"].to_pylist()[0] > 70_000
        assert time.process_time() - begun < 60

    @pytest.mark.parametrize(
        "piece", ["{{", "[[", "[[a|", "<b>", '<b x="', "<ref>", "<!--", "{|\n", "{{{a|", "\n*:;#", "[http://a [[b|]] "]
    )
    def test_what_is_never_closed_costs_no_more_than_its_length(self, piece: str) -> None:
        begun = time.process_time()
        plain_text(piece * (200_000 // len(piece)))
        assert time.process_time() - begun < 20


class TestOwnLists:
    def test_a_text_file_ranks_as_it_stands(self) -> None:
        assert own(b"zebra\nNew York\r\n  ant  \n") == ["zebra", "New York", "ant"]
        assert build({"own": collect(read_own_entries, io.BytesIO(b"b\na\nc"))})["entry"].to_pylist() == ["b", "a", "c"]

    def test_a_csv_gives_its_column_entry(self) -> None:
        assert own(b'\xef\xbb\xbfid,entry\n1,"Austin, Texas"\n2,dog\n3\n') == ["Austin, Texas", "dog"]

    def test_commas_are_text_where_no_column_is_named(self) -> None:
        assert own(b"Austin, Texas\n") == ["Austin, Texas"]

    def test_what_cannot_be_an_entry_is_counted_by_reason(self) -> None:
        dropped = Counter[str]()
        content = b"dog\n\ndog\nca\tt\nb\x07\n\xff\xfe\n\xed\xa0\x80\n   \n" + "a\u2028b\n".encode()
        assert own(content, dropped) == ["dog", "a\u2028b"]
        assert dropped == {"empty": 2, "repeated": 1, "control_character": 2, "not_unicode": 2}

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1), min_size=1, unique=True))
    def test_a_list_comes_back_whole(self, entries: Sequence[str]) -> None:
        content = "\n".join(entries).encode()
        if entries[0].startswith("\ufeff") or "entry" in entries[0]:
            return
        assert own(content) == list(entries)

    @pytest.mark.parametrize("content", [b"", b"\n\n", "dog\ncat".encode("utf-16"), b"entry\n"])
    def test_a_list_without_any_entry_is_an_error(self, content: bytes) -> None:
        with pytest.raises(ValueError, match="holds no entry; write one a line in UTF-8"):
            own(content)

    def test_broken_csv_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="no readable CSV after 1 entries"):
            own(b'entry\ndog\n"cat"s\n')
