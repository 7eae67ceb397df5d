"""Candidates are counted as a reader would count them: words, neighbours, titles and synsets."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.metadata import (
    count_ngrams,
    count_views,
    list_pages,
    rank_bigrams,
    rank_synsets,
    rank_titles,
    rank_unigrams,
    split_runs,
    strip_markup,
    sum_counts,
)
from metaclip_dagster.schemas import NAME_COUNTS

TEXT = """The quick brown fox jumps over the lazy dog. New York is not new; New York is in New York State!
A quick brown dog: the lazy fox, the brown dog and "the quick brown fox" of New York (New York City) — old York?"""
WIKITEXT = [*"[]{}|'<>=*#:;&!-/ \n", "ref", "<ref>", "[[", "]]", "{{", "}}", "-{", "}-", "File:", "x"]
MARKS = set(",.;:?!`")
words = st.sampled_from(["a", "b", "The", "the", "dog", "é", "犬"])


def collect(stage: Callable[..., Iterator[pa.RecordBatch]], *args: object, **options: Any) -> pa.Table:
    return pa.Table.from_batches(stage(*args, **options), schema=stage.writes)  # type: ignore[attr-defined]  # by @writes


def scores(table: pa.Table) -> dict[str, float]:
    return dict(zip(table["entry"].to_pylist(), table["score"].to_pylist(), strict=True))


def ngrams(pages: Sequence[tuple[str, str | None]], **options: Any) -> list[pa.RecordBatch]:
    """All n-grams of the pages, as a part alone would have them."""
    options = {"dropped": Counter(), "seen": Counter(), **options}
    return list(sum_counts(count_ngrams(pages, **options)))


def unigrams(pages: Sequence[tuple[str, str | None]], **options: Any) -> pa.Table:
    return collect(rank_unigrams, ngrams(pages), **options)


def bigrams(pages: Sequence[tuple[str, str | None]], **options: Any) -> pa.Table:
    return collect(rank_bigrams, ngrams(pages), **options)


def titles(
    views: Sequence[tuple[str, int] | None], pages: Mapping[str, str | None] | None = None, **options: Any
) -> pa.Table:
    dropped = options.setdefault("dropped", Counter())
    viewed = (view and ("en", *view) for view in views)
    counts = sum_counts(count_views(viewed, dropped=dropped, seen=Counter()))
    listed = list_pages((pages or {}).items())
    return collect(rank_titles, counts, pages=listed, **{"min_views": 1, "in_dump_only": pages is not None, **options})


class TestNGrams:
    def test_a_bigram_counts_and_scores_as_nltk_says(self) -> None:
        from nltk.collocations import BigramAssocMeasures, BigramCollocationFinder

        runs = list(split_runs(TEXT))
        finder = BigramCollocationFinder.from_documents(runs)
        of_nltk = {" ".join(pair): score for pair, score in finder.score_ngrams(BigramAssocMeasures.pmi)}
        of_bigrams = bigrams([("t", TEXT)], min_pmi=-99.0, min_count=1)
        assert scores(of_bigrams) == pytest.approx(of_nltk, abs=1e-12)
        counted = dict(zip(of_bigrams["entry"].to_pylist(), of_bigrams["num_occurrences"].to_pylist(), strict=True))
        assert counted == {" ".join(pair): n for pair, n in finder.ngram_fd.items()}
        assert scores(unigrams([("t", TEXT)], min_count=1)) == dict(finder.word_fd)

    @settings(max_examples=15)
    @given(st.lists(st.lists(words, max_size=12), max_size=6), st.integers(1, 6), st.integers(1, 4), st.integers(1, 9))
    def test_parts_buckets_and_memory_change_nothing(
        self, pages: list[list[str]], num_parts: int, num_buckets: int, max_counted: int
    ) -> None:
        texts = [("t", " ".join(page)) for page in [*pages, ["dog"]]]
        options: dict[str, Any] = {"num_buckets": num_buckets, "dropped": Counter(), "seen": Counter()}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("metaclip_dagster.metadata.ngrams._MAX_COUNTED", max_counted)
            parts = [batch for at in range(num_parts) for batch in count_ngrams(texts[at::num_parts], **options)]
        rows = []
        for bucket in range(num_buckets):
            of_bucket = [batch.filter(pc.equal(batch["bucket"], bucket)) for batch in parts]
            rows += pa.Table.from_batches(sum_counts(of_bucket), NAME_COUNTS).to_pylist()
        whole = pa.Table.from_batches(ngrams(texts), NAME_COUNTS).to_pylist()
        assert sorted(rows, key=lambda row: row["name"]) == sorted(whole, key=lambda row: row["name"])
        assert options["seen"]["words"] == sum(row["num_occurrences"] for row in whole if " " not in row["name"])

    def test_rows_of_a_bucket_lie_side_by_side(self) -> None:
        [part] = count_ngrams([("t", TEXT)], num_buckets=5, dropped=Counter(), seen=Counter())
        buckets = part["bucket"].to_pylist()
        assert buckets == sorted(buckets)
        assert set(buckets) == set(range(5))

    def test_languages_are_counted_apart(self) -> None:
        parts = [
            batch
            for language in ("de", "en")
            for batch in count_ngrams([("t", "Gift")], language=language, dropped=Counter(), seen=Counter())
        ]
        summed = pa.Table.from_batches(sum_counts(parts), NAME_COUNTS)
        assert summed.select(["language", "num_occurrences"]).to_pylist() == [
            {"language": "de", "num_occurrences": 1},
            {"language": "en", "num_occurrences": 1},
        ]

    def test_the_best_come_first_and_equals_by_their_letters(self) -> None:
        counted = unigrams([("t", "b a c C c é z")], min_count=1)
        assert counted["entry"].to_pylist() == ["c", "C", "a", "b", "z", "é"]

    def test_thresholds_take_what_reaches_them(self) -> None:
        assert scores(unigrams([("t", "dog " * 100 + "cat " * 99)])) == {"dog": 100.0}
        assert scores(titles([("Dog", 40), ("Cat", 69), ("Dog", 30)], min_views=70)) == {"Dog": 70.0}
        pmi = math.log2(2 * 4 / (2 * 2))
        page = [("t", "New York. New York")]
        assert scores(bigrams(page, min_pmi=pmi, min_count=2)) == {"New York": pmi}
        assert scores(bigrams(page, min_pmi=-99.0, min_count=3)) == {}

    def test_top_takes_the_first_n_of_what_reaches_the_threshold(self) -> None:
        pages = [("t", "b b b. a a. c c. d")]
        assert list(scores(unigrams(pages, min_count=2, top=2))) == ["b", "a"]
        assert list(scores(unigrams(pages, min_count=3, top=2))) == ["b"]
        assert len(bigrams(pages, min_pmi=-99.0, min_count=1, top=1)) == 1
        assert list(scores(titles([("A", 2), ("B", 3), ("C", 1)], top=2))) == ["B", "A"]

    def test_a_bigram_never_spans_a_mark_a_note_of_absence_or_a_page(self) -> None:
        pages = [("t", "old. York (new) {{x}} town\n\nhall"), ("u", "gate")]
        assert scores(bigrams(pages, min_pmi=-99.0, min_count=1)) == {}

    def test_a_bigram_is_written_as_its_language_writes_neighbours(self) -> None:
        parts = count_ngrams([("t", "แมวกินปลา")], language="th", dropped=Counter(), seen=Counter())
        ranked = collect(rank_bigrams, sum_counts(parts), language="th", min_pmi=-99.0, min_count=1)
        assert ranked["entry"].to_pylist() == ["กินปลา", "แมวกิน"]
        assert ranked["language"].to_pylist() == ["th", "th"]

    def test_a_pmi_out_of_reach_is_an_error_not_an_empty_list(self) -> None:
        with pytest.raises(ValueError, match=r"min_pmi=30: of 4 words in 'en', a pair seen min_count=3 times"):
            bigrams([("t", "New York New York")])

    @pytest.mark.parametrize("rank", [rank_unigrams, rank_bigrams])
    def test_a_dump_without_words_gives_an_empty_list_but_in_english(self, rank: Callable[..., Any]) -> None:
        assert [*rank([], language="th", share=0.1)] == []

    @pytest.mark.parametrize("rank", [unigrams, bigrams])
    def test_an_english_dump_without_words_is_an_error(self, rank: Callable[..., pa.Table]) -> None:
        for pages in ([], [("t", "{{x}} --")]):
            with pytest.raises(ValueError, match="no page has a word of running text in 'en'"):
                rank(pages)

    def test_a_page_that_is_too_large_is_dropped_and_counted(self) -> None:
        dropped, seen = Counter[str](), Counter[str]()
        assert ngrams([("A", None), ("B", "b")], dropped=dropped, seen=seen)
        assert (dropped, seen) == ({"oversized_page": 1}, {"pages": 1, "words": 1})

    def test_the_readers_own_error_comes_through(self) -> None:
        def broken() -> Iterator[tuple[str, str]]:
            yield "A", "a"
            raise EOFError("the compressed file ends early")

        with pytest.raises(EOFError, match="ends early"):
            list(count_ngrams(broken(), dropped=Counter(), seen=Counter()))

    def test_synsets_are_ranked_by_how_many_bear_the_name(self) -> None:
        dropped = Counter[str]()
        names = collect(rank_synsets, ["dog", "run", "run", "dog", "run", ""], dropped=dropped)
        assert scores(names) == {"run": 3.0, "dog": 2.0}
        assert dropped == {"empty_name": 1}

    def test_a_name_with_a_point_is_also_cut_at_it_as_the_release_does(self) -> None:
        names = collect(rank_synsets, ["et al.", "st. john's", "st. denis", "st", ".22 caliber"], dropped=Counter())
        whole = {"et al.": 1.0, "st. john's": 1.0, "st. denis": 1.0, ".22 caliber": 1.0}
        assert scores(names) == {"et al": 1.0, "st": 3.0, **whole}


class TestTitles:
    def test_redirects_are_followed_to_their_end_and_in_a_circle_dropped(self) -> None:
        chain: dict[str, str | None] = {f"T{number}": f"T{number + 1}" for number in range(16)}
        dropped = Counter[str]()
        pages = {**chain, "T16": None, "A": "B", "B": "A", "C": "A", "D": "D"}
        views = [(name, 1) for name in [*pages, "E"]]
        assert scores(titles(views, pages, dropped=dropped)) == {"T16": 17.0}
        assert dropped == {"circular_redirect": 4, "not_in_dump": 1}

    def test_a_title_that_the_dump_lacks_is_dropped_only_if_the_dump_is_whole(self) -> None:
        views, pages, dropped = [("Cat", 2), ("Dgo", 5), ("Kitty", 1)], {"Cat": None, "Kitty": "Cat"}, Counter[str]()
        assert scores(titles(views, pages, dropped=dropped)) == {"Cat": 3.0}
        assert dropped == {"not_in_dump": 1}
        assert scores(titles(views, pages, in_dump_only=False)) == {"Dgo": 5.0, "Cat": 3.0}

    def test_a_title_begins_with_a_capital_however_it_was_asked_for(self) -> None:
        pages = {"IPhone": None, "Éclair": None, "Usa": "IPhone"}
        views = [("iPhone", 1), ("IPhone", 2), ("éclair", 4), ("usa", 8), ("iphone", 16)]
        assert scores(titles(views, pages)) == {"IPhone": 11.0, "Éclair": 4.0}

    def test_a_title_that_begins_with_no_capital_stays_as_the_dump_has_it(self) -> None:
        # Georgian has capitals, and no title begins with one; Lojban's Wikipedia minds the case of the first letter.
        pages = {"ძაღლი": None, "შინაური ძაღლი": "ძაღლი", "gerku": None, "Gerku": None}
        views = [("ძაღლი", 1), ("შინაური ძაღლი", 2), ("gerku", 4), ("Gerku", 8)]
        assert scores(titles(views, pages)) == {"ძაღლი": 3.0, "gerku": 4.0, "Gerku": 8.0}

    def test_an_unreadable_line_is_counted(self) -> None:
        dropped = Counter[str]()
        titles([("Cat", 1), None, None], dropped=dropped)
        assert dropped == {"unreadable_line": 2}

    def test_views_that_outgrow_memory_are_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        views = [(f"T{number % 7}", number) for number in range(50)]
        whole = titles(views)
        monkeypatch.setattr("metaclip_dagster.metadata.ngrams._MAX_COUNTED", 3)
        assert titles(views).equals(whole)

    def test_memory_holds_so_many_lines_however_many_languages_they_are_of(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("metaclip_dagster.metadata.ngrams._MAX_COUNTED", 3)
        views = iter([(language, "A", 1) for language in ("bg", "cs", "da", "el", "fi", "hu")])
        parts = count_views(views, dropped=Counter(), seen=Counter())
        assert next(parts)["language"].to_pylist() == ["bg", "cs", "da"]
        assert next(views)[0] == "el"

    def test_rows_of_a_bucket_lie_side_by_side_over_all_languages(self) -> None:
        views = [(language, f"T{number}", 1) for language in ("bg", "cs", "da") for number in range(40)]
        [part] = count_views(views, num_buckets=4, dropped=Counter(), seen=Counter())
        assert part["bucket"].to_pylist() == sorted(part["bucket"].to_pylist())
        assert Counter(part["language"].to_pylist()) == {"bg": 40, "cs": 40, "da": 40}


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
            ("[[Datei:A.jpg|mini|Ein Hund]][[ Kategorie:Hunde]] Hund", "Hund"),
            ("== [[dog|Dogs]] ==\n[[AT&amp;T|[http://a.example one]]] mailto:a@b.example", "Dogs\none"),
            ("a [[b|c\nd]] [[e|f|g]] [[|h]]", "a c\nd f|g h"),
            ("{{x|-{zh-cn:a;zh-tw:b}-}}-{T|zh-hans:c;zh-hant:d}--{H|zh:e}-用-{zh-cn:鼠标; zh-tw:滑鼠;}-", "…用鼠标"),
            ("-{[[電腦|计算机]]}-和-{A|zh-hans:软件;zh-hant:軟體}-, -{R|原文}- x-{{y}}-z", "计算机和软件, 原文 x-…-z"),
        ],
    )
    def test_running_text_is_what_a_reader_sees(self, wikitext: str, text: str) -> None:
        assert strip_markup(wikitext, {"file", "image", "category", "datei", "kategorie"}) == text

    @pytest.mark.parametrize(
        ("wikitext", "words"),
        [
            ('a\n\n<syntaxhighlight lang="python">\nimport b\n\nb.c()\n</syntaxhighlight>\n\nd', "a d"),
            ("<gallery>\nFile:A.jpg|One\n\nFile:B.jpg|Two\n</gallery>\na", "a"),
            ("A note.<ref>First.\n\nSecond.</REF > More.", "A note. More."),
            ("a <ref>b\n\nc", "a b c"),
            ("<!-- <nowiki> -->a <!-- b", "a"),
            ('<mapframe zoom=3>{"title":"kennel"}</mapframe> a', "a"),
            ("so <math>x^2</math> is<ref name=a /> big", "so … is big"),
            ("A set {{math|{1, 2}}} or {{a|{b}} or {{c|d}e}}.", "A set … or … or …."),
            ('{| class="wikitable"\n! Name\n|-\n|\nA cell\n{|\n|\nb\n|}\nc\n|}\nd', "d"),
            ("{|\n| a\nb\n\nc", "b c"),
            ("[[Bild:Hund.jpg|mini|200px|Ein [[Hund]]\n\nrennt [http://a.example los]]] a", "a"),
            ("[[Dosya:Köpek|b]][[Категория:Псы]][[حيوان:كلب.svg|c]] a", "a"),
            ("__KEIN_INHALTSVERZEICHNIS__ __БЕЗ_ОГЛАВЛЕНИЯ__ __لافهرس__ a <code>__init__</code>", "a __init__"),
            ("Write <nowiki><ref>, ''x'', [[y]] &amp; {{z}}</nowiki>.", "Write <ref>, ''x'', [[y]] & {{z}}."),
            ("[[zh-min-nan:Káu]] [[simple:Dog]] [[be-x-old:Сабака]] a", "a"),
            ("See [[doi:10.1/2|the paper]] in [[:de:Hund|German]].", "See the paper in German."),
        ],
    )
    def test_what_is_no_running_text_goes_as_a_whole(self, wikitext: str, words: str) -> None:
        assert strip_markup(wikitext).split() == words.split()

    @settings(max_examples=200)
    @given(st.lists(st.sampled_from(WIKITEXT), max_size=60).map("".join))
    def test_any_wikitext_has_a_text_and_words_without_marks(self, wikitext: str) -> None:
        for run in split_runs(strip_markup(wikitext)):
            assert run
            assert not any(MARKS & set(word) or word != "".join(word.split()) for word in run)

    def test_words_are_found_again_where_matching_parts_texts(self) -> None:
        assert list(split_runs("Mr. O'Neil's rock-'n'-roll, 3.5% -- 'quoted' AC/DC")) == [
            ["Mr"],
            ["O'Neil's", "rock-'n'-roll"],
            ["3"],
            ["5%"],
            ["quoted", "AC/DC"],
        ]

    def test_a_page_of_five_megabytes_takes_seconds(self) -> None:
        page = ("The '''quick''' [[fox|foxes]] {{jump|over}} the dog.<ref>x</ref>\n\n" * 80_000)[:5_000_000]
        begun = time.process_time()
        counted = unigrams([("t", page)])
        assert counted["num_occurrences"].to_pylist()[0] > 70_000
        assert time.process_time() - begun < 60

    @pytest.mark.parametrize(
        "piece",
        [
            *("{{", "-{", "-{H|", "[[", "[[a|", "<b>", '<b x="', "<ref>", "<!--", "<math>", "{|\n"),
            *("{{a {b} ", "[[a|[b] ", "{{{a|", "\n*:;#", "[http://a [[b|]] "),
        ],
    )
    def test_what_is_never_closed_costs_no_more_than_its_length(self, piece: str) -> None:
        begun = time.process_time()
        strip_markup(piece * (200_000 // len(piece)))
        assert time.process_time() - begun < 20
