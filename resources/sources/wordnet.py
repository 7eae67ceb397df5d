"""Read the names of WordNet's synsets, in English and other languages, through nltk from a private copy of its data."""

import shutil
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTS_OF_SPEECH = "nvar"
PACKAGE = "corpora/wordnet.zip"
MULTILINGUAL = "corpora/omw-1.4.zip"
"""The Open Multilingual Wordnet: names in other languages of the synsets in PACKAGE."""
NLTK_DATA = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages"
"""Where nltk.download asks, too; the packages lie under `packages`."""


def synset_names(nltk_data: str, parts_of_speech: str = PARTS_OF_SPEECH) -> Iterator[str]:
    """One name a synset, in nltk's order: what stands before `.pos.nn`, with blanks for underscores.

    A name that holds a point stays whole (`st. louis`). `nltk_data` is the folder that nltk.download("wordnet") fills.
    Raises FileNotFoundError where it has no corpora/wordnet.zip, ValueError for one that is damaged and for a part of
    speech that is none of n, v, a (satellites included), r.
    """
    with _open_wordnet(nltk_data, [PACKAGE], parts_of_speech) as reader:
        for part_of_speech in parts_of_speech:
            for synset in reader.all_synsets(part_of_speech):
                yield synset.name().rsplit(".", 2)[0].replace("_", " ")


def lemma_names(nltk_data: str, language: str, parts_of_speech: str = PARTS_OF_SPEECH) -> Iterator[str]:
    """Every name of every synset in a language of the Open Multilingual Wordnet, by its ISO 639-3 code.

    Where several wordnets are of the language (`ita`), those of all. Underscores are blanks, a `+` goes, as in Meta
    CLIP 2. Raises as `synset_names` does, FileNotFoundError also without corpora/omw-1.4.zip, ValueError also where
    that has not got the language.
    """
    with _open_wordnet(nltk_data, [PACKAGE, MULTILINGUAL], parts_of_speech) as reader:
        reader.add_omw()
        wordnets = [name for name in sorted(reader.langs()) if name.partition("_")[0] == language]
        if not wordnets:
            raise ValueError(f"{Path(nltk_data, MULTILINGUAL)} has no wordnet {language!r}; is it nltk's, and whole?")
        # nltk calls the adjectives of a cluster s here, and a where the names are English.
        for part_of_speech in parts_of_speech.replace("a", "as"):
            for wordnet in wordnets:
                for synset in reader.all_synsets(part_of_speech, wordnet):
                    for name in synset.lemma_names(wordnet):
                        yield name.replace("_", " ").replace("+", "").strip()


def check_package(nltk_data: str, package: str = PACKAGE) -> None:
    """Delete a package if it is none that can be read, and raise as `lemma_names` does."""
    try:
        next(synset_names(nltk_data) if package == PACKAGE else lemma_names(nltk_data, "fra"))
    except ValueError:
        Path(nltk_data, package).unlink()
        raise


@contextmanager
def _open_wordnet(nltk_data: str, packages: Sequence[str], parts_of_speech: str) -> Iterator[Any]:
    """Nltk's reader of these packages, which is not typed."""
    import nltk.data  # noqa: PLC0415  # 2 s that only this stage needs
    from nltk.corpus.reader import CorpusReader, WordNetCorpusReader  # noqa: PLC0415

    if unknown := set(parts_of_speech) - set(PARTS_OF_SPEECH):
        raise ValueError(f"parts of speech {sorted(unknown)} are unknown to WordNet; choose among {PARTS_OF_SPEECH}")
    for package in packages:
        if not Path(nltk_data, package).is_file():
            without = ", or do without it (multilingual: false)" if package == MULTILINGUAL else ""
            missing = f"{Path(nltk_data, package)} is missing"
            raise FileNotFoundError(f"{missing}; `metaclip download wordnet` puts it there{without}")
    # nltk refuses data that others may write to, as every checkout under umask 002 is: read a private copy.
    with tempfile.TemporaryDirectory() as private:
        for package in packages:
            copy = Path(private, package)
            copy.parent.mkdir(exist_ok=True)
            shutil.copyfile(Path(nltk_data, package), copy)
            copy.chmod(0o600)
        nltk.data.path.insert(0, private)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The multilingual functions")  # they are another package
                root, *others = (nltk.data.find(f"{package}/{Path(package).stem}/") for package in packages)
                omw = CorpusReader(others[0], r".*/wn-data-.*\.tab", encoding="utf8") if others else None
                yield WordNetCorpusReader(root, omw)
        except (zipfile.BadZipFile, zlib.error, LookupError, UnicodeDecodeError) as error:
            names = " or ".join(str(Path(nltk_data, package)) for package in packages)
            raise ValueError(f"{names}: {error}; is it nltk's wordnet package, and whole? Fetch it again") from error
        finally:
            nltk.data.path.remove(private)
