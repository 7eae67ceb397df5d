"""Find a Wikipedia's dump and pageview files, and read titles, texts and views out of them."""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from types import MappingProxyType
from typing import BinaryIO
from urllib.parse import unquote_to_bytes

import fsspec

from resources.deferred import named
from resources.sources.mediawiki import Site, read_pages, read_site
from resources.sources.packing import open_file, unzip

_DUMP = r"-(?P<date>[^-]+)-pages-articles(?P<kind>-multistream)?(?P<part>\d*)\.xml(-p\d+p\d+)?[-\w]*(\.bz2|\.gz)?"
_WIKIS = {  # where it is not the language's code
    **{"be_tarask": "be_x_old", "cbk": "cbk_zam", "lzh": "zh_classical", "nan": "zh_min_nan", "nb": "no"},
    **{"rup": "roa_rup", "sgs": "bat_smg", "vro": "fiu_vro", "yue": "zh_yue"},
}
# Every site knows these beside its own names.
_SUBJECTS = (
    *("user", "wikipedia", "wp", "project", "file", "image", "mediawiki", "template", "help", "category", "portal"),
    *("draft", "mos", "book", "education program", "timedtext", "module", "gadget", "gadget definition", "event"),
)
_NO_ARTICLE = {*_SUBJECTS, *(f"{subject} talk" for subject in _SUBJECTS), "talk", "wt", "media", "special", "topic", ""}
_NEVER_IN_A_TITLE = re.compile(r"[\x00-\x1f\x7f#<>\[\]|{}]")
_FILE, _CATEGORY = 6, 14

Views = tuple[str, str, int]  # language, title, how often it was viewed


def name_wiki(language: str) -> str:
    """What Wikimedia calls the Wikipedia of a language, by its code or the Wikipedia's own: `enwiki`, `zh_yuewiki`."""
    code = language.replace("-", "_")
    return f"{_WIKIS.get(code, code)}wiki"


def list_files(folder: str) -> tuple[str, ...]:
    """All files of a folder, or under an fsspec URL, by name; none where it is not there."""
    filesystem, root = fsspec.core.url_to_fs(folder)
    paths = filesystem.ls(root, detail=False) if filesystem.isdir(root) else []
    is_local = "file" in filesystem.protocol
    return tuple(path if is_local else str(filesystem.unstrip_protocol(path)) for path in sorted(paths))


def find_wikis(files: Iterable[str]) -> list[str]:
    """The codes of all wikis that a folder's files have a dump of, as Wikimedia has them: `en`, `zh_yue`."""
    names = (url.rsplit("/", 1)[-1] for url in files)
    return sorted(
        {match["wiki"] for name in names if (match := re.fullmatch(r"(?P<wiki>[a-z0-9_]+)wiki" + _DUMP, name))}
    )


def find_dump(folder: str, language: str, files: Sequence[str] | None = None) -> list[str]:
    """The files of one Wikipedia's dump in a folder or under an fsspec URL: whole, or the parts that are there.

    `files` are those of the folder, for whoever asks for many Wikipedias and has listed them.
    Raises FileNotFoundError where there is none, ValueError where there are several: words would count twice.
    """
    wiki, dumps = name_wiki(language), defaultdict(list)
    for url in list_files(folder) if files is None else files:
        if match := re.fullmatch(wiki + _DUMP, url.rsplit("/", 1)[-1]):
            dumps[match["date"], match["kind"], bool(match["part"])].append(url)
    if not dumps:
        raise FileNotFoundError(
            f"{folder}: no {wiki}-*-pages-articles-multistream*.xml.bz2; put the dump for {language!r} there"
        )
    if len(dumps) > 1:
        names = ", ".join(urls[0].rsplit("/", 1)[-1] for urls in dumps.values())
        raise ValueError(f"{folder}: several dumps of {wiki} ({names}); keep one, whole or in parts")
    return dumps.popitem()[1]


def find_pageviews(folder: str) -> list[str]:
    """The hourly pageview files in a folder or under an fsspec URL; raises FileNotFoundError where there is none."""
    files = [url for url in list_files(folder) if re.fullmatch(r"pageviews-\d{8}-\d{6}(\.gz)?", url.rsplit("/", 1)[-1])]
    if not files:
        raise FileNotFoundError(f"{folder}: no pageviews-YYYYMMDD-HHMMSS.gz; put hourly pageview files there")
    return files


def pageview_days(num_days: int = 25, *, first: date, last: date, seed: int = 0) -> list[date]:
    """Days drawn from `first` to `last`, both included, ascending; with more days, those of fewer stay.

    The paper's titles are of 25 random days in five years (Xu et al. 2023). Raises ValueError for more than there are.
    """
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    if not 0 < num_days <= len(days):
        raise ValueError(f"num_days={num_days}: there are {len(days)} days from {first} to {last}")
    shuffled = sorted(days, key=lambda day: hashlib.sha256(f"{seed} {day}".encode()).digest())
    return sorted(shuffled[:num_days])


def cut_pieces(url: str, size: int) -> list[tuple[int, int | None]]:
    """First byte and the one after the last of pieces of `size` bytes; a gz file is one, whole.

    Of a bz2 file a piece holds the streams that begin in it: if there is one stream, the first piece holds all of it.
    """
    filesystem, path = fsspec.core.url_to_fs(url)
    if path.endswith(".gz"):
        return [(0, None)]
    return [(start, start + size) for start in range(0, int(filesystem.size(path)), size)]


def open_site(urls: Sequence[str], language: str) -> Site:
    """What the heads of a dump's files tell; raises ValueError if one is of another wiki than the language's."""
    for url in urls:
        with open_file(url) as dump:
            site = read_site(dump)
        if site.wiki != name_wiki(language):
            raise ValueError(f"{url}: a dump of {site.wiki}, not of {name_wiki(language)}; give the file its own name")
    return site


def list_unshown(site: Site) -> tuple[str, ...]:
    """The site's own names, in lower case, for files and categories: a link to them shows nothing in its place."""
    return tuple(sorted(name.casefold() for number, name in site.namespaces if number in {_FILE, _CATEGORY}))


@named("resources.wikipedia:open_pages")
def open_pages(url: str, start: int, end: int | None) -> Iterator[tuple[str, str | None]]:
    """Title and wikitext of the articles that begin in a piece of a dump and redirect nowhere; see `read_pages`."""
    with open_file(url) as dump:
        for page in read_pages(dump, start, end):
            if "redirect" not in page:
                yield str(page["title"]), page.get("text", "")


@named("resources.wikipedia:open_titles")
def open_titles(url: str, start: int, end: int | None) -> Iterator[tuple[str, str | None]]:
    """Title of the articles that begin in a piece, and of redirects, with their target; see `read_pages`."""
    with open_file(url) as dump:
        for page in read_pages(dump, start, end):
            yield str(page["title"]), page.get("redirect")


def open_pageviews(url: str, sites: Mapping[str, Site], languages: Mapping[str, str]) -> Iterator[Views | None]:
    """Language, title and views of the lines of an hourly file; see `read_pageviews`."""
    with open_file(url) as file:
        yield from read_pageviews(file, sites, languages)


def chain_pageviews(
    urls: Sequence[str], sites: Mapping[str, Site], languages: Mapping[str, str]
) -> Iterator[Views | None]:
    """`open_pageviews` of one file after the other."""
    for url in urls:
        yield from open_pageviews(url, sites, languages)


def read_pageviews(
    file: BinaryIO, sites: Mapping[str, Site], languages: Mapping[str, str] = MappingProxyType({})
) -> Iterator[Views | None]:
    """Language, title and views of every line (`en.m Main_Page 42 0`) that is of these Wikipedias' articles.

    `sites` and `languages` are by the Wikipedia's code; a code that `languages` lacks is a language's own. Sister
    projects (`en.b`, `en.d`, `en.v` ...), main pages, `-` (title unknown) and pages outside the articles are passed
    over; "2001: A Space Odyssey" is an article. A line that cannot be read gives None, for the stage to count.
    Raises EOFError for a compressed file that ends early, ValueError for one that is damaged.
    """
    articles = {
        f"{_name_domain(wiki)}{mobile}".encode(): _Articles(languages.get(wiki, wiki), site)
        for wiki, site in sites.items()
        for mobile in ("", ".m")
    }
    num_lines = 0
    with unzip(file, lambda: f"line {num_lines}") as lines:
        for line in lines:
            num_lines += 1
            match line.rstrip(b"\r\n").split(b" "):
                case [domain, title, views, _] if title and views.isdigit():
                    if of := articles.get(domain):
                        yield from of.read(title, int(views))
                case _:
                    yield None


class _Articles:
    """What is an article of one language."""

    def __init__(self, language: str, site: Site) -> None:
        self._language = language
        self._not_articles = _NO_ARTICLE | {name.casefold() for number, name in site.namespaces if number}
        self._no_titles = {site.main_page, "-", ""}

    def read(self, encoded: bytes, views: int) -> Iterator[Views | None]:
        """The line's views; nothing if its page is no article, None if this cannot be a title."""
        try:
            title = unquote_to_bytes(encoded).decode("utf-8").replace("_", " ").strip()
        except UnicodeDecodeError:
            title = "#"
        if _NEVER_IN_A_TITLE.search(title):
            yield None
            return
        namespace, colon, _ = title.partition(":")
        if title not in self._no_titles and not (colon and namespace.strip().casefold() in self._not_articles):
            yield self._language, title, views


def _name_domain(wiki: str) -> str:
    name = name_wiki(wiki).removesuffix("wiki").replace("_", "-")
    return "be-tarask" if name == "be-x-old" else name  # the one whose address has been renamed, and its dumps not
