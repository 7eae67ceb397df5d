"""Say of which wordnets nltk's packages are made, each with its address and licence, and read the licences' texts."""

import contextlib
import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from resources.sources.wordnet import MULTILINGUAL, PACKAGE

Wordnet = dict[str, str]
"""`name`, `url` and `license` as the wordnet's own files have them, and `license_file`; what is not there is empty."""

_MOST = 1 << 20  # bytes of a licence, or of a line
_UNREADABLE = (OSError, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError)
_LICENSE = r"\w[\w.-]*(/\w[\w.-]*)?/LICENSE"


def list_wordnets(nltk_data: str, language: str = "") -> list[Wordnet]:
    """WordNet itself, or those of a language of the Open Multilingual Wordnet, by its ISO 639-3 code.

    A language may have several (`ita`). A wordnet's file begins with a line of its name, language, address and licence.
    None of a package that cannot be read: whoever reads its names says what is wrong with it.
    """
    with (
        contextlib.suppress(*_UNREADABLE),
        zipfile.ZipFile(Path(nltk_data, MULTILINGUAL if language else PACKAGE)) as it,
    ):
        return [*(_read_heads(it, language) if language else _read_release(it))]
    return []


def read_license(nltk_data: str, name: str) -> bytes:
    """A licence's text by its `license_file`; raises FileNotFoundError, saying whence, where the package is gone.

    Raises ValueError for a package that is damaged or has no such file.
    """
    if not re.fullmatch(_LICENSE, name, re.ASCII):
        raise ValueError(f"{name!r} is no licence of a wordnet's package")
    path = Path(nltk_data, f"corpora/{name.partition('/')[0]}.zip")
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing, whose licence goes along; `metaclip download wordnet` puts it there"
        )
    try:
        with zipfile.ZipFile(path) as package, package.open(name) as file:
            return file.read(_MOST)
    except (*_UNREADABLE, KeyError) as error:
        raise ValueError(f"{path}: {error}; is it nltk's package, and whole? Fetch it again") from error


def _read_release(package: zipfile.ZipFile) -> Iterator[Wordnet]:
    name = "wordnet/LICENSE"
    with package.open(name) as file:
        release = file.readline(_MOST).decode("utf-8", "replace").strip()
    yield {"name": release, "url": "https://wordnet.princeton.edu", "license": "WordNet License", "license_file": name}


def _read_heads(package: zipfile.ZipFile, language: str) -> Iterator[Wordnet]:
    names = set(package.namelist())
    for name in sorted(names):
        if not re.fullmatch(rf"\w[\w.-]*/\w[\w.-]*/wn-data-{re.escape(language)}\.tab", name, re.ASCII):
            continue
        with package.open(name) as file:
            head = file.readline(_MOST).decode("utf-8", "replace").removeprefix("#")
        title, _, url, license_, *_ = [*map(str.strip, head.split("\t")), "", "", "", ""]
        text = f"{name.rpartition('/')[0]}/LICENSE"
        yield {"name": title, "url": url, "license": license_, "license_file": text if text in names else ""}
