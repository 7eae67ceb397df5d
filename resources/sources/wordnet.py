"""Read the names of WordNet's synsets through nltk, from a private copy of its data."""

import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

PARTS_OF_SPEECH = "nvar"
PACKAGE = "corpora/wordnet.zip"
NLTK_DATA = "https://raw.githubusercontent.com/nltk/nltk_data/gh-pages"
"""Where nltk.download asks, too; the package lies under `packages`."""


def synset_names(nltk_data: str, parts_of_speech: str = PARTS_OF_SPEECH) -> Iterator[str]:
    """One name a synset, in nltk's order: what stands before `.pos.nn`, with blanks for underscores.

    A name that holds a point stays whole (`st. louis`). `nltk_data` is the folder that nltk.download("wordnet") fills.
    Raises FileNotFoundError where it has no corpora/wordnet.zip, ValueError for one that is damaged and for a part of
    speech that is none of n, v, a (satellites included), r.
    """
    import nltk.data  # noqa: PLC0415  # 2 s that only this stage needs
    from nltk.corpus.reader import WordNetCorpusReader  # noqa: PLC0415

    if unknown := set(parts_of_speech) - set(PARTS_OF_SPEECH):
        raise ValueError(f"parts of speech {sorted(unknown)} are unknown to WordNet; choose among {PARTS_OF_SPEECH}")
    packed = Path(nltk_data, PACKAGE)
    if not packed.is_file():
        raise FileNotFoundError(f"{packed} is missing; `metaclip download wordnet` puts it there")
    # nltk refuses data that others may write to, as every checkout under umask 002 is: read a private copy.
    with tempfile.TemporaryDirectory() as private:
        copy = Path(private, PACKAGE)
        copy.parent.mkdir()
        shutil.copyfile(packed, copy)
        copy.chmod(0o600)
        nltk.data.path.insert(0, private)
        try:
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "The multilingual functions")  # they are another package
                reader = WordNetCorpusReader(nltk.data.find("corpora/wordnet.zip/wordnet/"), None)
            for part_of_speech in parts_of_speech:
                for synset in reader.all_synsets(part_of_speech):
                    yield synset.name().rsplit(".", 2)[0].replace("_", " ")
        except (zipfile.BadZipFile, LookupError) as error:
            raise ValueError(f"{packed}: {error}; is it nltk's wordnet package, and whole? Fetch it again") from error
        finally:
            nltk.data.path.remove(private)


def check_package(nltk_data: str) -> None:
    """Delete the package if it is none that can be read, and raise as `synset_names` does."""
    try:
        next(synset_names(nltk_data))
    except ValueError:
        Path(nltk_data, PACKAGE).unlink()
        raise
