"""Read Wikipedia's dumps and pageview files as streams of titles, texts and views."""

import bz2
import gzip
import io
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, cast
from urllib.parse import unquote_to_bytes
from xml.parsers import expat

import fsspec

_PIECE = 1 << 18  # bytes of XML at a time
_FIELDS = {"title", "ns", "text"}
# What stands before a title's first colon where the page is no article, on the English Wikipedia.
_SUBJECTS = (
    *("user", "wikipedia", "wp", "project", "file", "image", "mediawiki", "template", "help", "category", "portal"),
    *("draft", "mos", "book", "education program", "timedtext", "module", "gadget", "gadget definition", "event"),
)
_NO_ARTICLE = {*_SUBJECTS, *(f"{subject} talk" for subject in _SUBJECTS), "talk", "wt", "media", "special", "topic", ""}
_NEVER_IN_A_TITLE = re.compile(r"[\x00-\x1f\x7f#<>\[\]|{}]")


def open_dump(url: str) -> Iterator[tuple[str, str]]:
    """Read the articles of the dump at a path or fsspec URL; see `read_pages`."""
    with _opened(url) as dump:
        yield from read_pages(dump)


def open_redirects(url: str) -> Iterator[tuple[str, str]]:
    """Read the redirects of the dump at a path or fsspec URL; see `read_redirects`."""
    with _opened(url) as dump:
        yield from read_redirects(dump)


def open_pageviews(urls: Iterable[str]) -> Iterator[tuple[str, int] | None]:
    """Read the pageview files at these paths or fsspec URLs, one after the other; see `read_pageviews`."""
    for url in urls:
        with _opened(url) as file:
            yield from read_pageviews(file)


def read_pages(dump: BinaryIO) -> Iterator[tuple[str, str]]:
    """Title and wikitext of every article of a MediaWiki XML export, plain, gz or bz2 (several streams too).

    Articles are the pages of namespace 0 that redirect nowhere. Memory holds one piece of XML and the pages in it.
    Raises EOFError for a compressed file that ends early, ValueError for one that is damaged, for broken or foreign
    XML, and for any that declares a document type: exports do not, and entities declared there expand without bound.
    """
    for page in _read_export(dump):
        if "redirect" not in page:
            yield page["title"], page.get("text", "")


def read_redirects(dump: BinaryIO) -> Iterator[tuple[str, str]]:
    """Title and target of every redirect among a dump's articles; raises as `read_pages` does."""
    for page in _read_export(dump):
        if page.get("redirect"):
            yield page["title"], page["redirect"]


def read_pageviews(file: BinaryIO, projects: Collection[str] = ("en", "en.m")) -> Iterator[tuple[str, int] | None]:
    """Title and views of every line of these projects in an hourly file (`en Main_Page 42 0`), plain, gz or bz2.

    Sister projects (`en.b`, `en.d`, `en.v` ...), the main page, `-` (title unknown) and pages outside the articles are
    passed over; "2001: A Space Odyssey" is an article. A line that cannot be read gives None, for the stage to count.
    Raises EOFError for a compressed file that ends early, ValueError for one that is damaged.
    """
    wanted = {project.encode() for project in projects}
    num_lines = 0
    with _unpacked(file, lambda: f"line {num_lines}") as lines:
        for line in lines:
            num_lines += 1
            match line.rstrip(b"\r\n").split(b" "):
                case [domain, title, views, _] if title and views.isdigit():
                    article = _article(title) if domain in wanted else ""
                case _:
                    article = None
            if article is None:
                yield None
            elif article:
                yield article, int(views)


@contextmanager
def _opened(url: str) -> Iterator[BinaryIO]:
    try:
        opened = fsspec.open(url, "rb").open()
    except FileNotFoundError:
        raise FileNotFoundError(f"{url}: no such file; name a dump or pageviews file that is there") from None
    with opened as file:
        yield cast(BinaryIO, file)


def _article(encoded: bytes) -> str | None:
    """The article's title; empty if the page is none, None if this cannot be a title."""
    try:
        title = unquote_to_bytes(encoded).decode("utf-8").replace("_", " ").strip()
    except UnicodeDecodeError:
        return None
    if _NEVER_IN_A_TITLE.search(title):
        return None
    namespace, colon, _ = title.partition(":")
    outside = colon and namespace.strip().lower() in _NO_ARTICLE
    return "" if outside or title in {"Main Page", "-"} else title


def _read_export(dump: BinaryIO) -> Iterator[dict[str, str]]:
    export = _Export(_name(dump))
    with _unpacked(dump, export.position) as stream:
        while piece := stream.read(_PIECE):
            yield from export.feed(piece)
        yield from export.feed(b"", last=True)


class _Export:
    """An export that is being parsed: which page is open, and the pages since the last piece."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._pages: list[dict[str, str]] = []
        self._page: dict[str, str] = {}
        self._title: str | None = None
        self._text: list[str] | None = None
        self._is_open = False
        # Expat with no handler for external entities fetches none; buffered, a text comes in few pieces.
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = _PIECE
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._collect

    def feed(self, piece: bytes, *, last: bool = False) -> list[dict[str, str]]:
        """Parse on; give the articles, redirects among them, that this piece completed."""
        self._pages = []
        try:
            self._parser.Parse(piece, last)
        except expat.ExpatError as error:
            raise ValueError(
                f"{self._name}: no well-formed XML at line {error.lineno}, column {error.offset} "
                f"({expat.ErrorString(error.code)}), {self.position()}; is the dump whole? Download it again"
            ) from error
        return self._pages

    def position(self) -> str:
        """Where in the dump this is, for people."""
        return "before the first page" if self._title is None else f"after the start of page {self._title!r}"

    def _refuse(self, *_: object) -> None:
        raise ValueError(
            f"{self._name}: declares a document type in line {self._parser.CurrentLineNumber}, as no MediaWiki export "
            "does, and entities declared there could expand without bound; download the dump from a source you trust"
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        local = tag.rpartition(":")[2]
        if not self._is_open and local != "mediawiki":
            raise ValueError(f"{self._name}: its root is <{tag}>, not <mediawiki>; name a pages-articles XML dump")
        self._is_open = True
        if local == "page":
            self._page = {}
        elif local == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        elif local in _FIELDS:
            self._text = []

    def _collect(self, text: str) -> None:
        if self._text is not None:
            self._text.append(text)

    def _end(self, tag: str) -> None:
        local = tag.rpartition(":")[2]
        if local in _FIELDS and self._text is not None:
            self._page[local], self._text = "".join(self._text), None
            self._title = self._page.get("title", self._title)
        elif local == "page" and self._page.get("ns") == "0" and "title" in self._page:
            self._pages.append(self._page)


def _name(file: BinaryIO) -> str:
    return str(getattr(file, "name", None) or getattr(file, "path", "the file"))  # path: fsspec's remote files


@contextmanager
def _unpacked(file: BinaryIO, position: Callable[[], str]) -> Iterator[BinaryIO]:
    """The file's own bytes, whether they come plain, as gz or as bz2; the errors of both in the caller's words."""
    packed = io.BufferedReader(cast(io.RawIOBase, file))
    try:
        magic = packed.peek(3)[:3]
        if magic == b"BZh":
            yield cast(BinaryIO, bz2.BZ2File(packed))
        elif magic[:2] == b"\x1f\x8b":
            yield cast(BinaryIO, gzip.GzipFile(fileobj=packed))
        else:
            yield cast(BinaryIO, packed)
    except EOFError as error:
        raise EOFError(f"{_name(file)}: the compressed file ends early, {position()}; download it again") from error
    except (OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's or the network's own
        raise ValueError(
            f"{_name(file)}: the compressed file is damaged, {position()} ({error}); download it again"
        ) from error
    finally:
        packed.detach()  # the file stays its opener's to close
