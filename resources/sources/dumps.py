"""Read the dumps of a folder's Wikipedias, which is listed once however many there are."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from resources.deferred import Deferred
from resources.sources.mediawiki import Site
from resources.sources.wikipedia import cut_pieces, find_dump, find_wikis, open_pages, open_site, open_titles
from resources.web.archives import archive_version


@dataclass(frozen=True)
class Dumps:
    """The files of a folder, by path or fsspec URL; what is read of them is versioned by their sizes and times."""

    folder: str
    files: tuple[str, ...]
    piece_bytes: int

    def wikis(self) -> list[str]:
        """The codes of all Wikipedias that there is a dump of."""
        return find_wikis(self.files)

    def site(self, wiki: str) -> Site:
        """What a Wikipedia's dump tells of its site; raises ValueError if a file is of another."""
        return open_site(find_dump(self.folder, wiki, self.files), wiki)

    def name(self, wiki: str) -> str:
        """The name of a Wikipedia's dump, with its date: `enwiki-20261101`."""
        return PurePath(find_dump(self.folder, wiki, self.files)[0]).name.partition("-pages-articles")[0]

    def pages(self, wiki: str) -> dict[str, Deferred]:
        """Titles and wikitexts of the articles of each piece of a Wikipedia's dump."""
        return self._defer_pieces(open_pages, "open_pages", wiki)

    def titles(self, wiki: str) -> dict[str, Deferred]:
        """Titles of each piece's articles, and of redirects to them."""
        return self._defer_pieces(open_titles, "open_titles", wiki)

    def _defer_pieces(self, read: Callable[..., Iterator[Any]], what: str, wiki: str) -> dict[str, Deferred]:
        """The reading of each piece of a Wikipedia's dump; `what` stands in fingerprints, and never changes."""
        deferred = {}
        for number, url in enumerate(find_dump(self.folder, wiki, self.files)):
            borders = cut_pieces(url, self.piece_bytes)
            # A piece of bz2 used to be the blocks that begin in it; all of them, where there is one piece.
            of = "streams " if url.endswith(".bz2") and len(borders) > 1 else ""
            for piece, (start, end) in enumerate(borders):
                declared = f"{what} {version_of_file(url)} {of}{start} {end}"
                deferred[f"{wiki}/{number:03d}-{piece:05d}"] = Deferred(read, (url, start, end), declared=declared)
        return deferred


def version_of_file(url: str) -> str:
    """A file's name, size and time, for fingerprints."""
    return f"{PurePath(url).name} {archive_version(url)}"
