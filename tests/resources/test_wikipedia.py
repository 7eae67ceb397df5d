"""Dumps and pageview files stream, in bounded memory, and what is broken or hostile is said so."""

import bz2
import gzip
import io
import tracemalloc
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.wikipedia import open_dump, open_pageviews, open_redirects, read_pages, read_pageviews, read_redirects

REAL = Path(__file__).parents[3] / "shared" / "data" / "wiki"
SAMPLE = Path(__file__).parents[2] / "data" / "sample" / "wikipedia"
xml_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"), max_size=60)


def page(title: str, text: str = "", *, ns: int = 0, redirect: str | None = None) -> str:
    moved = "" if redirect is None else f'<redirect title="{escape(redirect)}" />'
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>1</id>{moved}<revision><id>2</id><contributor>"
        f'<username>A</username></contributor><comment>c</comment><text xml:space="preserve">{escape(text)}</text>'
        "</revision></page>\n"
    )


def export(*pages: str, version: str = "0.11") -> bytes:
    root = f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" xml:lang="en">'
    return f"{root}\n<siteinfo><sitename>W</sitename></siteinfo>\n{''.join(pages)}</mediawiki>\n".encode()


def pages_of(dump: bytes) -> list[tuple[str, str]]:
    return list(read_pages(io.BytesIO(dump)))


def views_of(lines: str) -> list[tuple[str, int] | None]:
    return list(read_pageviews(io.BytesIO(lines.encode())))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(xml_texts.filter(bool), xml_texts), max_size=5), st.sampled_from(["0.10", "0.11"]))
def test_every_article_comes_back_as_it_was_written(articles: list[tuple[str, str]], version: str) -> None:
    assert pages_of(export(*(page(*article) for article in articles), version=version)) == articles


def test_only_articles_are_read() -> None:
    dump = export(page("A", "a"), page("Talk:A", "b", ns=1), page("B", "#REDIRECT [[A]]", redirect="A"), page("C"))
    assert pages_of(dump) == [("A", "a"), ("C", "")]


def test_redirects_are_read_apart_with_their_targets() -> None:
    dump = export(page("A", "a"), page("USA", redirect="United States"), page("WP:X", ns=4, redirect="Y"))
    assert list(read_redirects(io.BytesIO(dump))) == [("USA", "United States")]


def test_names_with_a_namespace_prefix_are_read() -> None:
    dump = (
        export(page("A", "a"))
        .replace(b"</", b"</mw:")
        .replace(b"<page", b"<mw:page")
        .replace(b"<mediawiki", b"<mw:mediawiki")
    )
    dump = dump.replace(b"xmlns=", b"xmlns:mw=")
    for tag in (b"title", b"ns", b"id", b"revision", b"contributor", b"username", b"comment", b"text", b"site"):
        dump = dump.replace(b"<" + tag, b"<mw:" + tag)
    assert pages_of(dump) == [("A", "a")]


@pytest.mark.parametrize("packing", [bytes, bz2.compress, gzip.compress])
def test_packing_changes_nothing(packing: Callable[[bytes], bytes]) -> None:
    assert pages_of(packing(export(page("A", "é" * 300_000)))) == [("A", "é" * 300_000)]


def test_a_multistream_dump_is_read_to_its_end() -> None:
    whole = export(page("A", "a"), page("B", "b"))
    assert pages_of(bz2.compress(whole[:200]) + bz2.compress(whole[200:])) == [("A", "a"), ("B", "b")]


def test_the_file_stays_its_openers_to_close() -> None:
    dump = io.BytesIO(export(page("A", "a")))
    list(read_pages(dump))
    assert not dump.closed


def test_a_page_of_five_megabytes_is_a_page() -> None:
    text = "word & word\n" * 440_000
    assert pages_of(export(page("A", text))) == [("A", text)]


def test_memory_holds_a_page_not_the_dump() -> None:
    packed = gzip.compress(export(*(page(str(number), "word " * 20_000) for number in range(100))), 1)
    tracemalloc.start()
    size = sum(len(text) for _, text in read_pages(io.BytesIO(packed)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 10_000_000
    assert peak < 4_000_000


def test_a_truncated_bz2_says_after_which_page(tmp_path: Path) -> None:
    packed = bz2.compress(export(*(page(f"Page {number}", str(number) * 3_000) for number in range(100))), 1)
    (tmp_path / "dump.xml.bz2").write_bytes(packed[:-20])
    read = open_dump(str(tmp_path / "dump.xml.bz2"))
    with pytest.raises(
        EOFError, match=r"dump\.xml\.bz2: the compressed file ends early, after the start of page 'Page "
    ):
        list(read)


def test_a_damaged_bz2_is_said_so() -> None:
    packed = bytearray(bz2.compress(export(page("A", "a" * 9_000))))
    packed[20:40] = b"x" * 20
    with pytest.raises(ValueError, match="damaged, before the first page"):
        pages_of(bytes(packed))


@pytest.mark.parametrize("broken", ["<page><id>A</page>", "<page>&nbsp;</page>", "<page>\x01</page>", "<page>"])
def test_malformed_xml_says_line_and_column(broken: str) -> None:
    with pytest.raises(ValueError, match=r"no well-formed XML at line 3, column \d+ .*after the start of page 'Whole'"):
        pages_of(export(page("Whole").strip() + broken))


def test_a_dump_cut_at_the_end_of_a_stream_is_no_whole_dump() -> None:
    with pytest.raises(ValueError, match="is the dump whole"):
        pages_of(bz2.compress(export(page("A", "a"))[:-20]))


@pytest.mark.parametrize("other", [b"<html></html>", b"<rss version='2.0'/>"])
def test_xml_that_is_no_export_is_refused(other: bytes) -> None:
    with pytest.raises(ValueError, match="not <mediawiki>"):
        pages_of(other)


def test_a_billion_laughs_are_refused_before_they_are_told() -> None:
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
    hostile = f'<!DOCTYPE mediawiki [<!ENTITY l0 "lol">{laughs}]><mediawiki>&l9;</mediawiki>'
    with pytest.raises(ValueError, match="declares a document type in line 1"):
        pages_of(hostile.encode())


def test_external_entities_are_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret", encoding="utf-8")
    hostile = f'<!DOCTYPE m [<!ENTITY x SYSTEM "{(tmp_path / "secret").as_uri()}">]><mediawiki>&x;</mediawiki>'
    with pytest.raises(ValueError, match="document type"):
        pages_of(hostile.encode())


def test_a_missing_dump_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="/no/dump"):
        next(open_dump("/no/dump"))


def test_views_are_of_the_english_wikipedia_alone() -> None:
    sisters = "".join(f"en.{project} Dog 9 0\n" for project in ("b", "d", "m.b", "n", "q", "s", "v", "voy", "zero"))
    assert views_of(f"de Dog 3 0\nen Dog 1 0\nen.m Dog 2 0\n{sisters}") == [("Dog", 1), ("Dog", 2)]


def test_titles_with_a_colon_are_articles_unless_a_namespace_stands_before_it() -> None:
    lines = [
        "2001:_A_Space_Odyssey",
        "Special:Search",
        "user_talk:Jimbo",
        "File:Dog.jpg",
        "Star_Trek:_Picard",
        "Talk:Dog",
    ]
    lines += [
        "WP:NPOV",
        "Wikipedia:About",
        "Template_talk:X",
        "Help:Contents",
        "Category:Dogs",
        "Terminator_2:_Judgment_Day",
    ]
    titles = [viewed[0] for viewed in views_of("".join(f"en {line} 1 0\n" for line in lines)) if viewed]
    assert titles == ["2001: A Space Odyssey", "Star Trek: Picard", "Terminator 2: Judgment Day"]


def test_titles_are_decoded() -> None:
    assert views_of("en AC%2FDC 1 0\nen %C3%89dith_Piaf 2 0\nen 100%_Pure 3 0\n") == [
        ("AC/DC", 1),
        ("Édith Piaf", 2),
        ("100% Pure", 3),
    ]


def test_the_main_page_and_the_unknown_title_are_no_candidates() -> None:
    assert views_of("en Main_Page 42 0\nen.m Main_Page 30 0\nen - 7 0\n") == []


@pytest.mark.parametrize(
    "line", ["en Dog", "en Dog x 0", "en Dog -1 0", "en  1 0", "", "en A B 1 0", "en %FF 1 0", "en A|B 1 0"]
)
def test_a_line_that_cannot_be_read_is_none(line: str) -> None:
    assert views_of(f"en Cat 1 0\n{line}\nen Dog 1 0\n") == [("Cat", 1), None, ("Dog", 1)]


def test_pageview_files_follow_each_other_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"en Dog 1 0\n"))
    (tmp_path / "b").write_bytes(b"en Cat 2 0\n")
    assert list(open_pageviews([str(tmp_path / "a.gz"), str(tmp_path / "b")])) == [("Dog", 1), ("Cat", 2)]


def test_a_truncated_pageview_file_says_where(tmp_path: Path) -> None:
    (tmp_path / "views.gz").write_bytes(gzip.compress(b"".join(b"en T%d 1 0\n" % n for n in range(50_000)))[:-4000])
    with pytest.raises(EOFError, match=r"views\.gz: the compressed file ends early, line \d\d+"):
        list(open_pageviews([str(tmp_path / "views.gz")]))


def test_real_dumps_are_read() -> None:
    if not REAL.is_dir():
        pytest.skip("the real dump extracts are not beside this checkout")
    dump = str(next(REAL.glob("enwiki-latest-pages-articles1*.bz2")))
    titles = [title for title, _ in open_dump(dump)]
    assert (len(titles), titles[0]) == (106, "Anarchism")
    # 100 of its 206 pages redirect, one of them outside the articles
    assert dict(open_redirects(dump))["AccessibleComputing"] == "Computer accessibility"
    assert len(list(open_dump(str(REAL / "enwiki-table-markup.xml.bz2")))) == 5


def test_the_samples_pageviews_are_read_whole() -> None:
    files = sorted(map(str, SAMPLE.glob("pageviews-*.gz")))
    if not files:
        pytest.skip("data/sample/wikipedia is not there: build the sample")
    views = list(open_pageviews(files))
    assert len(views) > 1_000
    assert {"Main Page", "-"}.isdisjoint(viewed[0] for viewed in views if viewed)
