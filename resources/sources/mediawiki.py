"""Read a Wikipedia's dump (a MediaWiki XML export) in pieces: the whole pages that begin in each."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import unquote
from xml.parsers import expat

from resources.sources.bzip2 import read_streams
from resources.sources.packing import GZIP, explain_errors, name_file

MAX_PAGE = 8_000_000  # characters; MediaWiki itself lets a page have 2,097,152 bytes
_STEP = 1 << 18  # bytes of XML at a time
_FIELDS = {"title", "ns", "text", "dbname", "base", "namespace"}
_ROOT, _PAGE = b"<mediawiki>", b"<page>"

Page = dict[str, str | None]


@dataclass(frozen=True)
class Site:
    """What the head of an export tells of its site."""

    wiki: str
    """The name of its database: enwiki."""
    main_page: str
    namespaces: tuple[tuple[int, str], ...]
    """Number and name in the site's language; articles are in 0, whose name is empty."""


def read_site(export: BinaryIO) -> Site:
    """What the head tells; raises ValueError for an export without it, and as `read_pages` does."""
    parsed = _Export(name_file(export))
    with explain_errors(export, parsed.position):
        for text, _ in _texts(export, 0, None):
            if parsed.feed(text) or "siteinfo" in parsed.site:
                break
    if not {"dbname", "base"} <= parsed.site.keys():
        raise ValueError(f"{name_file(export)}: no <siteinfo> before its first page; name a pages-articles XML dump")
    main_page = unquote(parsed.site["base"].rsplit("/", 1)[-1]).replace("_", " ")
    return Site(parsed.site["dbname"], main_page, tuple(parsed.namespaces))


def read_pages(export: BinaryIO, start: int = 0, end: int | None = None) -> Iterator[Page]:
    """The fields (title, text and, where it is one, redirect) of every page of namespace 0 that begins in a piece.

    The piece is the bytes from `start` to `end` of the file: plain XML, bz2, where a page belongs to the byte at which
    the stream of its own first byte begins, or gz, which the first piece reads whole, as it reads bz2 of one stream.
    Pieces that cover a file give every page once. A text of more than MAX_PAGE characters is None.
    Raises EOFError for a compressed file that ends early, ValueError for one that is damaged, for broken or foreign
    XML, and for any that declares a document type: exports do not, and entities declared there expand without bound.
    """
    parsed = _Export(name_file(export))
    with explain_errors(export, parsed.position):
        texts = _texts(export, start, end)
        for text, is_ours in _from_first_page(texts) if start else texts:
            yield from parsed.feed(text, is_ours)
            if parsed.is_done:
                return
    if parsed.is_open or not start:
        yield from parsed.feed(b"", last=True)


def _texts(export: BinaryIO, start: int, end: int | None) -> Iterator[tuple[bytes, bool]]:
    """The XML from `start` to the end of the file, and whether it belongs to the piece or follows it."""
    export.seek(0)
    magic = export.read(3)
    if magic == b"BZh":
        yield from ((text, end is None or at < end) for at, text in read_streams(export, start, end))
    elif magic.startswith(GZIP):
        export.seek(0)
        with gzip.GzipFile(fileobj=export) as unpacked:
            while not start and (text := unpacked.read(_STEP)):
                yield text, True
    else:
        at = export.seek(start)
        while text := export.read(_STEP):
            num_ours = len(text) if end is None else max(0, end - at)
            yield text[:num_ours], True
            yield text[num_ours:], False
            at += len(text)


def _from_first_page(texts: Iterator[tuple[bytes, bool]]) -> Iterator[tuple[bytes, bool]]:
    """The XML from the first page on that begins in the piece, as an export of its own; nothing if none does."""
    xml, num_ours = b"", 0
    for text, is_ours in texts:
        xml += text
        num_ours = len(xml) if is_ours else num_ours
        at = xml.find(_PAGE)
        if 0 <= at < num_ours:
            yield _ROOT + xml[at:num_ours], True
            yield xml[num_ours:], False
            yield from texts
        if at >= 0 or len(xml) - num_ours >= len(_PAGE) - 1:
            return
        xml = xml[1 - len(_PAGE) :] if is_ours else xml  # the tag may go on in the next text
        num_ours = len(xml) if is_ours else num_ours


class _BeyondError(Exception):
    """A page begins that is another piece's."""


class _Export:
    """An export that is being parsed: what its head told, which page is open, and the pages since the last feed."""

    def __init__(self, name: str) -> None:
        self.is_open, self.is_done = False, False
        self.site: dict[str, str] = {}
        self.namespaces: list[tuple[int, str]] = []
        self._name = name
        self._pages: list[Page] = []
        self._page: Page = {}
        self._title: str | None = None
        self._text: list[str] | None = None
        self._size = 0
        self._num_ours = 0
        # Expat with no handler for external entities fetches none; buffered, a text comes in few pieces.
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = _STEP
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._collect

    def feed(self, text: bytes, is_ours: bool = True, *, last: bool = False) -> list[Page]:
        """Parse on; give the articles, redirects among them, that this text completed."""
        self._pages = []
        self._num_ours += len(text) if is_ours else 0
        try:
            self._parser.Parse(text, last)
        except _BeyondError:
            self.is_done = True
        except expat.ExpatError as error:
            raise ValueError(
                f"{self._name}: no well-formed XML, {self.position()} ({error}); is the dump whole? Download it again"
            ) from error
        return self._pages

    def position(self) -> str:
        """Where in the export this is, for people."""
        return "before the first page" if self._title is None else f"after the start of page {self._title!r}"

    def _refuse(self, *_: object) -> None:
        raise ValueError(
            f"{self._name}: declares a document type in line {self._parser.CurrentLineNumber}, as no MediaWiki export "
            "does, and entities declared there could expand without bound; download the dump from a source you trust"
        )

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self.is_open and tag != "mediawiki":
            raise ValueError(f"{self._name}: its root is <{tag}>, not <mediawiki>; name a pages-articles XML dump")
        self.is_open = True
        if tag == "page":
            if self._parser.CurrentByteIndex >= self._num_ours:
                raise _BeyondError
            self._page = {}
        elif tag == "redirect":
            self._page["redirect"] = attributes.get("title", "")
        elif tag in _FIELDS:
            self._text, self._size = [], 0
            if tag == "namespace":
                self.namespaces.append((int(attributes.get("key", "0")), ""))

    def _collect(self, text: str) -> None:
        if self._text is not None:
            self._size += len(text)
            self._text.append(text)
            if self._size > MAX_PAGE:
                self._text.clear()

    def _end(self, tag: str) -> None:
        if tag in _FIELDS and self._text is not None:
            text, self._text = None if self._size > MAX_PAGE else "".join(self._text), None
            if tag == "namespace":
                self.namespaces[-1] = (self.namespaces[-1][0], text or "")
            elif tag in {"dbname", "base"}:
                self.site[tag] = text or ""
            else:
                self._page[tag] = text
                self._title = self._page.get("title", self._title)
        elif tag == "page" and self._page.get("ns") == "0" and self._page.get("title"):
            self._pages.append(self._page)
        elif tag == "siteinfo":
            self.site["siteinfo"] = ""
        elif tag == "mediawiki":
            self.is_done = True
