"""The sources of metadata as a resource: WordNet, Wikipedia's dumps, pageviews, users' own lists, published counts."""

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import dagster as dg
from pydantic import Field

from resources.deferred import Deferred
from resources.sources.mediawiki import Site
from resources.sources.published_counts import find_counts
from resources.sources.wikipedia import (
    cut_pieces,
    find_dump,
    find_pageviews,
    open_pages,
    open_pageviews,
    open_site,
    open_titles,
)
from resources.sources.wordnet import PACKAGE, PARTS_OF_SPEECH, synset_names
from resources.web.archives import ABSENT, archive_version, is_web, open_archive


class Sources(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Files and folders by path or fsspec URL; what is read of them is versioned by their sizes and times."""

    nltk_data: str
    """Where nltk's data lies, with corpora/wordnet.zip."""
    parts_of_speech: str = PARTS_OF_SPEECH
    """Of WordNet's synsets: n(oun), v(erb), a(djective), r (adverb)."""
    wikipedia: str
    """Where dumps and pageview files lie."""
    languages: list[str] = ["en"]
    """Languages whose Wikipedias are read."""
    piece_bytes: int = Field(default=16 << 20, ge=1)
    """Of a dump, read by one worker at a time."""

    def synsets(self) -> Deferred:
        """Names of WordNet's synsets."""
        version = f"wordnet {self.parts_of_speech} {_version(f'{self.nltk_data}/{PACKAGE}')}"
        return Deferred(synset_names, (self.nltk_data, self.parts_of_speech), declared=version)

    def sites(self) -> dict[str, Site]:
        """What each language's dump tells of its site; raises ValueError if a file is of another."""
        return {language: open_site(find_dump(self.wikipedia, language), language) for language in self.languages}

    def pages(self, language: str) -> dict[str, Deferred]:
        """Titles and wikitexts of the articles of each piece of the language's dump."""
        return self._defer_pieces(open_pages, "open_pages", language)

    def titles(self, language: str) -> dict[str, Deferred]:
        """Titles of each piece's articles, and of redirects to them."""
        return self._defer_pieces(open_titles, "open_titles", language)

    def views(self) -> dict[str, Deferred]:
        """Languages, titles and views of each pageview file."""
        sites = self.sites()
        return {
            PurePath(url).name: Deferred(open_pageviews, (url, sites), declared=f"pageviews {_version(url)} {sites}")
            for url in find_pageviews(self.wikipedia)
        }

    def own_list(self, url: str) -> Deferred:
        """A file of one's own entries; raises FileNotFoundError if it is not there, ValueError if it is on the web."""
        if is_web(url):
            raise ValueError(
                f"{url}: lists of entries change, and the web does not tell when; download it, name the file"
            )
        if archive_version(url) == ABSENT:
            raise FileNotFoundError(f"{url}: no such list of entries; name a path or URL that can be read here")
        return Deferred(open_archive, (url,), declared=f"own {_version(url)}")

    def published_counts(self, url: str) -> dict[str, Deferred]:
        """Files of counts that somebody published, as `find_counts` has them."""
        return find_counts(url)

    def _defer_pieces(self, read: Callable[..., Iterator[Any]], what: str, language: str) -> dict[str, Deferred]:
        """The reading of each piece of the language's dump; `what` stands in fingerprints, and never changes."""
        deferred = {}
        for number, url in enumerate(find_dump(self.wikipedia, language)):
            borders = cut_pieces(url, self.piece_bytes)
            # A piece of bz2 used to be the blocks that begin in it; all of them, where there is one piece.
            of = "streams " if url.endswith(".bz2") and len(borders) > 1 else ""
            for piece, (start, end) in enumerate(borders):
                declared = f"{what} {_version(url)} {of}{start} {end}"
                deferred[f"{language}/{number:03d}-{piece:05d}"] = Deferred(read, (url, start, end), declared=declared)
        return deferred


def _version(url: str) -> str:
    return f"{PurePath(url).name} {archive_version(url)}"
