"""The sources of metadata as a resource: WordNet, Wikipedia's dumps, pageviews, users' own lists, published counts."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import PurePath

import dagster as dg
from pydantic import Field

from resources.deferred import Deferred
from resources.files.digests import combine
from resources.sources.dumps import Dumps, version_of_file
from resources.sources.published_counts import find_counts
from resources.sources.wikipedia import chain_pageviews, find_pageviews, list_files
from resources.sources.wordnet import MULTILINGUAL, PACKAGE, PARTS_OF_SPEECH, lemma_names, synset_names
from resources.sources.wordnet_licenses import Wordnet, list_wordnets, read_license
from resources.web.archives import ABSENT, archive_version, is_web, open_archive

_DAY = len("pageviews-YYYYMMDD")


class Sources(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Files and folders by path or fsspec URL; what is read of them is versioned by their sizes and times."""

    nltk_data: str
    """Where nltk's data lies, with corpora/wordnet.zip and, for other languages, corpora/omw-1.4.zip."""
    parts_of_speech: str = PARTS_OF_SPEECH
    """Of WordNet's synsets: n(oun), v(erb), a(djective), r (adverb)."""
    wikipedia: str
    """Where dumps and pageview files lie."""
    languages: list[str] = ["en"]
    """Languages that have entries, by their codes, or `all`."""
    listed: list[str] = []
    """Languages that have a list of your own, and need no Wikipedia, by their codes."""
    piece_bytes: int = Field(default=16 << 20, ge=1)
    """Of a dump, read by one worker at a time."""

    def synsets(self) -> Deferred:
        """Names of WordNet's synsets."""
        version = f"wordnet {self.parts_of_speech} {version_of_file(f'{self.nltk_data}/{PACKAGE}')}"
        return Deferred(synset_names, (self.nltk_data, self.parts_of_speech), declared=version)

    def lemmas(self, language: str) -> Deferred:
        """Names of WordNet's synsets in a language of the Open Multilingual Wordnet, by its ISO 639-3 code."""
        versions = " ".join(version_of_file(f"{self.nltk_data}/{package}") for package in (PACKAGE, MULTILINGUAL))
        version = f"omw {language} {self.parts_of_speech} {versions}"
        return Deferred(lemma_names, (self.nltk_data, language, self.parts_of_speech), declared=version)

    def dumps(self) -> Dumps:
        """The dumps of Wikipedias that are there now."""
        return Dumps(self.wikipedia, list_files(self.wikipedia), self.piece_bytes)

    def wordnets(self, language: str = "") -> list[Wordnet]:
        """Of which wordnets these names are, of WordNet itself or in a language of the Open Multilingual Wordnet."""
        return list_wordnets(self.nltk_data, language)

    def read_license(self, name: str) -> bytes:
        """The text of a wordnet's licence, by its `license_file`; raises as `read_license` of a path does."""
        return read_license(self.nltk_data, name)

    def views(self, languages: Mapping[str, str]) -> dict[str, Deferred]:
        """Languages, titles and views of each day's pageview files, of these Wikipedias with their languages."""
        dumps = self.dumps()
        sites = {wiki: dumps.site(wiki) for wiki in languages}
        of = combine([f"{sites} {dict(languages)}"])  # once, for it is long
        days = defaultdict(list)
        for url in find_pageviews(self.wikipedia):
            days[PurePath(url).name[:_DAY]].append(url)
        return {
            day: Deferred(
                chain_pageviews,
                (urls, sites, dict(languages)),
                declared=f"pageviews {combine(map(version_of_file, urls))} {of}",
            )
            for day, urls in days.items()
        }

    def own_list(self, url: str) -> Deferred:
        """A file of one's own entries; raises FileNotFoundError if it is not there, ValueError if it is on the web."""
        if is_web(url):
            raise ValueError(
                f"{url}: lists of entries change, and the web does not tell when; download it, name the file"
            )
        if archive_version(url) == ABSENT:
            raise FileNotFoundError(f"{url}: no such list of entries; name a path or URL that can be read here")
        return Deferred(open_archive, (url,), declared=f"own {version_of_file(url)}")

    def published_counts(self, url: str) -> dict[str, Deferred]:
        """Files of counts that somebody published, as `find_counts` has them."""
        return find_counts(url)
