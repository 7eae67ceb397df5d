"""Exports stream, in pieces and in bounded memory, and what is broken or hostile is said so."""

import bz2
import gzip
import io
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resources.sources.mediawiki import MAX_PAGE, read_pages, read_site
from tests.resources.exports import export, page

xml_texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿"), max_size=60)
Pages = list[tuple[str | None, str | None]]


def pages_of(dump: bytes, start: int = 0, end: int | None = None) -> Pages:
    return [(page["title"], page.get("text")) for page in read_pages(io.BytesIO(dump), start, end)]


def in_pieces(dump: bytes, size: int) -> Pages:
    return [page for start in range(0, len(dump), size) for page in pages_of(dump, start, start + size)]


def streams_of(dump: bytes, size: int) -> bytes:
    """As multistream dumps are: many streams, the next one beginning anywhere."""
    return b"".join(bz2.compress(dump[at : at + size], 1) for at in range(0, len(dump), size))


@settings(max_examples=50)
@given(st.lists(st.tuples(xml_texts.filter(bool), xml_texts), max_size=5), st.sampled_from(["0.10", "0.11"]))
def test_every_article_comes_back_as_it_was_written(articles: list[tuple[str, str]], version: str) -> None:
    assert pages_of(export(*(page(*article) for article in articles), version=version)) == articles


@settings(max_examples=100)
@given(
    st.lists(st.tuples(st.sampled_from("ABC"), xml_texts, st.sampled_from([0, 0, 1])), max_size=6),
    st.integers(1, 400),
    st.one_of(st.none(), st.integers(7, 300)),
)
def test_pieces_of_any_size_give_every_page_once_and_in_order(
    pages: list[tuple[str, str, int]], size: int, stream: int | None
) -> None:
    plain = export(*(page(title, text, ns=ns) for title, text, ns in pages))
    dump = plain if stream is None else streams_of(plain, stream)
    assert in_pieces(dump, size) == pages_of(plain) == [(title, text) for title, text, ns in pages if not ns]


def test_one_stream_in_pieces_and_a_page_over_several_blocks_are_read_alike() -> None:
    articles = [(f"Page {number}", f"{number} word " * number**3) for number in range(24)]
    plain = export(*(page(*article) for article in articles))
    for packed in (bz2.compress(plain, 1), bz2.compress(plain, 9), streams_of(plain, 90_000)):
        for size in (3_000, 20_000, len(packed)):
            assert in_pieces(packed, size) == articles


def test_only_pages_among_the_articles_are_read_redirects_with_their_targets() -> None:
    dump = export(page("A", "a"), page("Talk:A", "b", ns=1), page("B", "#REDIRECT [[A]]", redirect="A"), page("C"))
    read = [(page["title"], page.get("redirect")) for page in read_pages(io.BytesIO(dump))]
    assert read == [("A", None), ("B", "A"), ("C", None)]


def test_the_head_tells_the_wiki_its_main_page_and_its_namespaces() -> None:
    dump = export(page("A"), wiki="dewiki", base="https://de.wikipedia.org/wiki/Wikipedia:Hauptseite_%C3%9C")
    site = read_site(io.BytesIO(bz2.compress(dump)))
    assert (site.wiki, site.main_page) == ("dewiki", "Wikipedia:Hauptseite Ü")
    assert dict(site.namespaces) == {0: "", 1: "Diskussion", 6: "Datei", 14: "Kategorie"}


def test_an_export_without_a_head_tells_so() -> None:
    with pytest.raises(ValueError, match="no <siteinfo> before its first page"):
        read_site(io.BytesIO(b"<mediawiki>" + page("A").encode() + b"</mediawiki>"))


@pytest.mark.parametrize("packing", [bytes, bz2.compress, gzip.compress])
def test_packing_changes_nothing(packing: Callable[[bytes], bytes]) -> None:
    assert pages_of(packing(export(page("A", "é" * 300_000)))) == [("A", "é" * 300_000)]


def test_a_gz_file_is_one_piece_the_first() -> None:
    packed = gzip.compress(export(*(page(title, title * 500) for title in "ABC")))
    assert in_pieces(packed, 50) == [(title, title * 500) for title in "ABC"]


def test_the_file_stays_its_openers_to_close() -> None:
    dump = io.BytesIO(export(page("A", "a")))
    list(read_pages(dump))
    assert not dump.closed


def test_a_page_of_five_megabytes_is_a_page() -> None:
    text = "word & word\n" * 440_000
    assert pages_of(export(page("A", text))) == [("A", text)]


def test_of_a_page_of_fifty_megabytes_the_text_is_none_and_never_held() -> None:
    packed = gzip.compress(export(page("A", "word " * 10_000_000), page("B", "b")), 1)
    tracemalloc.start()
    read = pages_of(packed)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == [("A", None), ("B", "b")]
    assert peak < 4 * MAX_PAGE


def test_memory_holds_a_page_not_the_dump() -> None:
    packed = gzip.compress(export(*(page(str(number), "word " * 20_000) for number in range(100))), 1)
    tracemalloc.start()
    size = sum(len(page["text"] or "") for page in read_pages(io.BytesIO(packed)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size == 10_000_000
    assert peak < 4_000_000


def test_a_truncated_bz2_says_after_which_page() -> None:
    packed = bz2.compress(export(*(page(f"Page {number}", str(number) * 3_000) for number in range(100))), 1)
    early = r"the file: the compressed file ends early, after the start of page 'Page \d+' \(in the stream at byte "
    with pytest.raises(EOFError, match=early):
        pages_of(packed[:-20])
    with pytest.raises(EOFError, match="ends early"):
        in_pieces(packed[:-20], 1000)


@pytest.mark.parametrize("packing", [bz2.compress, gzip.compress])
def test_a_damaged_file_is_said_so(packing: Callable[[bytes], bytes]) -> None:
    packed = bytearray(packing(export(page("A", "a" * 9_000))))
    packed[40:60] = b"x" * 20
    with pytest.raises(ValueError, match="damaged, before the first page"):
        pages_of(bytes(packed))


@pytest.mark.parametrize("broken", ["<page><id>A</page>", "<page>&nbsp;</page>", "<page>\x01</page>", "<page>"])
def test_malformed_xml_says_after_which_page(broken: str) -> None:
    with pytest.raises(ValueError, match=r"no well-formed XML, after the start of page 'Whole' \(.*is the dump whole"):
        pages_of(export(page("Whole").strip() + broken))


@pytest.mark.parametrize("size", [50, 10_000])
def test_a_dump_cut_at_the_end_of_a_stream_is_no_whole_dump(size: int) -> None:
    packed = bz2.compress(export(page("A", "a"), page("B", "b"))[:-20])
    with pytest.raises(ValueError, match="is the dump whole"):
        in_pieces(packed, size)


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
