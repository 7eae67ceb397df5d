"""WordNet's names are whole, from the package that nltk ships."""

import shutil
from pathlib import Path

import pytest

from resources.sources.wordnet import synset_names

SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "nltk_data"


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLE, tmp_path / "nltk_data")
    return tmp_path / "nltk_data"


def test_names_are_those_of_the_synsets_with_inner_points_whole() -> None:
    names = list(synset_names(str(SAMPLE), "r"))
    assert len(names) == 3_621
    assert {"et al.", "i.e.", "a cappella"} <= set(names)
    assert not [name for name in names if "_" in name or not name]


def test_a_package_that_its_group_may_write_to_is_read(copied: Path) -> None:
    for path in (copied, copied / "corpora", copied / "corpora" / "wordnet.zip"):
        path.chmod(0o777)
    assert next(synset_names(str(copied), "r"))


def test_a_missing_wordnet_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="metaclip download wordnet"):
        next(synset_names(str(tmp_path)))


def test_a_damaged_package_is_named(copied: Path) -> None:
    path = copied / "corpora" / "wordnet.zip"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"wordnet\.zip.*Fetch it again"):
        next(synset_names(str(copied), "r"))


def test_a_part_of_speech_that_wordnet_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\['x'\] are unknown"):
        next(synset_names(str(SAMPLE), "nx"))
