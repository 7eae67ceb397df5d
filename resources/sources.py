"""Where the metadata comes from: WordNet, a Wikipedia dump, pageviews, and lists of one's own."""

from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

import dagster as dg

from resources.archives import archive_version, open_archive
from resources.engines import Deferred
from resources.wikipedia import open_dump, open_pageviews, open_redirects
from resources.wordnet import PARTS_OF_SPEECH, synset_names


class Sources(dg.ConfigurableResource):
    """Files and folders by path or fsspec URL; what is read of them is versioned by their sizes and times."""

    nltk_data: str
    parts_of_speech: str = PARTS_OF_SPEECH
    wikipedia_dump: str
    pageviews: list[str]

    def synsets(self) -> Deferred:
        """Names of WordNet's synsets."""
        version = f"wordnet {self.parts_of_speech} {_version(f'{self.nltk_data}/corpora/wordnet.zip')}"
        return Deferred(synset_names, (self.nltk_data, self.parts_of_speech), declared=version)

    def pages(self) -> Deferred:
        """Titles and wikitexts of the dump's articles."""
        return _versioned(open_dump, self.wikipedia_dump)

    def redirects(self) -> Deferred:
        """Titles and targets of the dump's redirects."""
        return _versioned(open_redirects, self.wikipedia_dump)

    def views(self) -> Deferred:
        """Titles and views of all pageview files."""
        versions = [_version(url) for url in self.pageviews]
        return Deferred(open_pageviews, (self.pageviews,), declared=" ".join(["pageviews", *versions]))

    def own_list(self, url: str) -> Deferred:
        """A file of one's own entries."""
        return Deferred(open_archive, (url, {}), declared=f"own {_version(url)}")


def _versioned(function: Callable[[str], Iterator[Any]], url: str) -> Deferred:
    return Deferred(function, (url,), declared=f"{function.__name__} {_version(url)}")


def _version(url: str) -> str:
    return f"{PurePath(url).name} {archive_version(url, {})}"
