"""Dumps and pageview files are found by their names, checked, and read as streams of titles, texts and views."""

import bz2
import gzip
import io
from datetime import date
from pathlib import Path

import pytest

from resources.sources.mediawiki import Site
from resources.sources.wikipedia import (
    cut_pieces,
    find_dump,
    find_pageviews,
    list_unshown,
    open_pages,
    open_pageviews,
    open_site,
    open_titles,
    pageview_days,
    read_pageviews,
)
from tests.resources.exports import export, page

SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "wikipedia"
ENGLISH = Site("enwiki", "Main Page", ((0, ""), (1, "Talk"), (6, "File"), (100, "Portal")))
GERMAN = Site("dewiki", "Wikipedia:Hauptseite", ((0, ""), (6, "Datei"), (14, "Kategorie")))


def views_of(lines: str, **sites: Site) -> list[tuple[str, str, int] | None]:
    return list(read_pageviews(io.BytesIO(lines.encode()), sites or {"en": ENGLISH}))


def titles_of(lines: str) -> list[tuple[str, int] | None]:
    return [viewed and viewed[1:] for viewed in views_of(lines)]


def names_in(folder: Path, *names: str, language: str = "en") -> list[str]:
    for name in names:
        (folder / name).touch()
    return [Path(url).name for url in find_dump(str(folder), language)]


def test_all_parts_of_a_dump_are_found_and_its_index_is_not(tmp_path: Path) -> None:
    parts = ["enwiki-20260101-pages-articles1.xml-p1p41242.bz2", "enwiki-20260101-pages-articles2.xml-p41243p9.bz2"]
    others = ["dewiki-20260101-pages-articles.xml.bz2", "enwiki-20260101-pages-articles-multistream-index.txt.bz2"]
    others += ["enwiki-20260101-stub-articles.xml.gz", "simpleenwiki-20260101-pages-articles.xml.bz2", "README.md"]
    assert names_in(tmp_path, *parts, *others) == parts


@pytest.mark.parametrize(
    ("language", "name"),
    [
        ("de", "dewiki-latest-pages-articles.xml"),
        ("no", "nowiki-20260101-pages-articles-multistream.xml.bz2"),
        ("yue", "zh_yuewiki-20260101-pages-articles.xml.gz"),
        ("cbk", "cbk_zamwiki-20260101-pages-articles.xml.bz2"),
        ("be-tarask", "be_x_oldwiki-20260101-pages-articles.xml.bz2"),
        ("zh_classical", "zh_classicalwiki-20260101-pages-articles.xml.bz2"),
    ],
)
def test_another_language_is_another_code_and_nothing_else(tmp_path: Path, language: str, name: str) -> None:
    assert names_in(tmp_path, name, language=language) == [name]


@pytest.mark.parametrize(
    "second",
    ["enwiki-20260101-pages-articles-multistream.xml.bz2", "enwiki-20260201-pages-articles.xml.bz2",
     "enwiki-20260101-pages-articles1.xml-p1p2.bz2"],
)  # fmt: skip
def test_several_dumps_of_one_wiki_are_refused_by_name(tmp_path: Path, second: str) -> None:
    first = "enwiki-20260101-pages-articles.xml.bz2"
    with pytest.raises(ValueError, match=rf"several dumps of enwiki \(.*{second}.*keep one"):
        names_in(tmp_path, first, second)


def test_a_folder_without_a_dump_or_pageviews_says_what_to_put_there(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(FileNotFoundError, match=r"no dewiki-\*-pages-articles-multistream\*\.xml\.bz2; put"):
            find_dump(str(folder), "de")
        with pytest.raises(FileNotFoundError, match=r"no pageviews-YYYYMMDD-HHMMSS\.gz"):
            find_pageviews(str(folder))


def test_a_dump_of_another_wiki_is_refused_by_both_names(tmp_path: Path) -> None:
    path = tmp_path / "dewiki-1-pages-articles.xml.bz2"
    path.write_bytes(bz2.compress(export(page("A"), wiki="frwiki")))
    with pytest.raises(ValueError, match=r"dewiki-1-.*: a dump of frwiki, not of dewiki"):
        open_site([str(path)], "de")


def test_pieces_cover_a_file_and_a_gz_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(b"x" * 25)
    (tmp_path / "a.xml.gz").write_bytes(b"x" * 25)
    assert cut_pieces(str(tmp_path / "a.xml"), 10) == [(0, 10), (10, 20), (20, 30)]
    assert cut_pieces(str(tmp_path / "a.xml.gz"), 10) == [(0, None)]


def test_articles_are_read_without_redirects_and_titles_with_them(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_bytes(export(page("A", "a"), page("B", "#R [[A]]", redirect="A"), page("C")))
    assert list(open_pages(str(tmp_path / "a.xml"), 0, None)) == [("A", "a"), ("C", "")]
    assert list(open_titles(str(tmp_path / "a.xml"), 0, None)) == [("A", None), ("B", "A"), ("C", None)]


def test_links_to_files_and_categories_have_the_sites_own_names_and_english_ones() -> None:
    assert list_unshown(GERMAN) == ("datei", "kategorie")


def test_a_missing_dump_is_named() -> None:
    with pytest.raises(FileNotFoundError, match="/no/dump"):
        next(open_pages("/no/dump", 0, None))


def test_views_are_of_the_wikipedias_asked_for_alone() -> None:
    sisters = "".join(f"en.{project} Dog 9 0\n" for project in ("b", "d", "m.b", "n", "q", "s", "v", "voy", "zero"))
    lines = f"de Hund 3 0\nde.m Hund 4 0\nen Dog 1 0\nen.m Dog 2 0\nfr Chien 8 0\n{sisters}"
    assert views_of(lines) == [("en", "Dog", 1), ("en", "Dog", 2)]
    both = views_of(lines, en=ENGLISH, de=GERMAN)
    assert both == [("de", "Hund", 3), ("de", "Hund", 4), ("en", "Dog", 1), ("en", "Dog", 2)]
    assert views_of("zh-yue 狗 2 0\nzh 狗 3 0\n", yue=ENGLISH) == [("yue", "狗", 2)]


def test_views_of_several_wikipedias_of_one_language_are_that_languages() -> None:
    lines = b"be-tarask A 2 0\nbe.m B 3 0\nbe-x-old C 9 0\n"
    sites = {"be": ENGLISH, "be_x_old": ENGLISH}
    views = read_pageviews(io.BytesIO(lines), sites, {"be": "be", "be_x_old": "be"})
    assert [*views] == [("be", "A", 2), ("be", "B", 3)]


def test_titles_with_a_colon_are_articles_unless_a_namespace_stands_before_it() -> None:
    lines = ["2001:_A_Space_Odyssey", "Special:Search", "user_talk:Jimbo", "File:Dog.jpg", "Star_Trek:_Picard"]
    lines += ["Talk:Dog", "WP:NPOV", "Wikipedia:About", "Template_talk:X", "Help:Contents", "Category:Dogs"]
    lines += ["Terminator_2:_Judgment_Day"]
    titles = [viewed[0] for viewed in titles_of("".join(f"en {line} 1 0\n" for line in lines)) if viewed]
    assert titles == ["2001: A Space Odyssey", "Star Trek: Picard", "Terminator 2: Judgment Day"]


def test_namespaces_have_the_sites_own_names_too() -> None:
    lines = "de Datei:A.jpg 1 0\nde Image:A.jpg 1 0\nde KATEGORIE:B 1 0\nde Spezial:X 1 0\nde Portal_2:_C 2 0\n"
    site = Site("dewiki", "Wikipedia:Hauptseite", (*GERMAN.namespaces, (-1, "Spezial")))
    assert views_of(lines, de=site) == [("de", "Portal 2: C", 2)]


def test_titles_are_decoded() -> None:
    titles = titles_of("en AC%2FDC 1 0\nen %C3%89dith_Piaf 2 0\nen 100%_Pure 3 0\n")
    assert titles == [("AC/DC", 1), ("Édith Piaf", 2), ("100% Pure", 3)]


def test_the_main_page_and_the_unknown_title_are_no_candidates() -> None:
    assert titles_of("en Main_Page 42 0\nen.m Main_Page 30 0\nen - 7 0\n") == []


@pytest.mark.parametrize(
    "line", ["en Dog", "en Dog x 0", "en Dog -1 0", "en  1 0", "", "en A B 1 0", "en %FF 1 0", "en A|B 1 0"]
)
def test_a_line_that_cannot_be_read_is_none(line: str) -> None:
    assert titles_of(f"en Cat 1 0\n{line}\nen Dog 1 0\n") == [("Cat", 1), None, ("Dog", 1)]


def test_the_main_page_is_the_one_that_the_dump_names() -> None:
    site = Site("frwiki", "Accueil principal", ((0, ""),))
    assert views_of("fr Accueil_principal 9 0\nfr Main_Page 1 0\n", fr=site) == [("fr", "Main Page", 1)]


def test_pageview_files_are_found_in_order_and_read_packed_or_not(tmp_path: Path) -> None:
    (tmp_path / "pageviews-20260102-000000.gz").write_bytes(gzip.compress(b"en Dog 1 0\n"))
    (tmp_path / "pageviews-20260101-230000").write_bytes(b"en Cat 2 0\n")
    (tmp_path / "projectviews-20260101-230000").write_bytes(b"en - 2 0\n")
    read = [list(open_pageviews(url, {"en": ENGLISH}, {})) for url in find_pageviews(str(tmp_path))]
    assert read == [[("en", "Cat", 2)], [("en", "Dog", 1)]]


def test_a_truncated_pageview_file_says_where(tmp_path: Path) -> None:
    (tmp_path / "views.gz").write_bytes(gzip.compress(b"".join(b"en T%d 1 0\n" % n for n in range(50_000)))[:-4000])
    with pytest.raises(EOFError, match=r"views\.gz: the compressed file ends early, line \d\d+"):
        list(open_pageviews(str(tmp_path / "views.gz"), {"en": ENGLISH}, {}))


def test_days_are_drawn_by_their_seed_and_more_of_them_keep_the_fewer() -> None:
    first, last = date(2021, 1, 1), date(2025, 12, 31)
    drawn = pageview_days(first=first, last=last)
    assert len(set(drawn)) == 25
    assert drawn == sorted(drawn)
    assert first <= drawn[0] < drawn[-1] <= last
    assert set(drawn) < set(pageview_days(40, first=first, last=last))
    assert drawn != pageview_days(first=first, last=last, seed=1)
    assert pageview_days(3, first=first, last=date(2021, 1, 3)) == [date(2021, 1, day) for day in (1, 2, 3)]
    with pytest.raises(ValueError, match="there are 3 days"):
        pageview_days(4, first=first, last=date(2021, 1, 3))


def test_the_samples_pageviews_are_read_whole() -> None:
    files = find_pageviews(str(SAMPLE))
    views = [viewed for file in files for viewed in open_pageviews(file, {"en": ENGLISH}, {})]
    assert len(views) > 1_000
    assert {"Main Page", "-"}.isdisjoint(viewed[1] for viewed in views if viewed)
