"""WordNet's names are whole, from the package that nltk ships."""

import re
import shutil
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from metaclip_dagster.words.languages import OPEN_MULTILINGUAL
from resources.sources.wordnet import MULTILINGUAL, check_package, lemma_names, synset_names
from tests.resources.exports import write_wordnets

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


def test_names_in_another_language_are_those_of_all_its_wordnets_with_blanks_and_without_plus(copied: Path) -> None:
    folder = str(write_wordnets(copied))
    assert [*lemma_names(folder, "fra", "nr")] == ["chien", "toujours"]
    assert sorted(lemma_names(folder, "cmn", "ra")) == ["决不", "始终地", "红的"]
    assert sorted(lemma_names(folder, "ita", "r")) == ["giam mai", "sempre", "sempre"]


def test_a_multilingual_wordnet_that_is_missing_damaged_or_without_the_language_is_named(copied: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"omw-1\.4\.zip is missing; `metaclip download wordnet` .*multilingual"
    ):
        next(lemma_names(str(copied), "fra", "r"))
    write_wordnets(copied)
    with pytest.raises(ValueError, match=r"omw-1\.4\.zip has no wordnet 'tlh'"):
        next(lemma_names(str(copied), "tlh", "r"))
    path = copied / MULTILINGUAL
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"omw-1\.4\.zip.*Fetch it again"):
        check_package(str(copied), MULTILINGUAL)
    assert not path.exists()


def test_a_damaged_list_of_a_language_is_named_with_its_package(copied: Path) -> None:
    path = write_wordnets(copied) / MULTILINGUAL
    with zipfile.ZipFile(path) as package:
        members = {name: package.read(name) for name in package.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
        [french] = [member for member in package.infolist() if member.filename.endswith("-fra.tab")]
    broken = bytearray(path.read_bytes())
    broken[french.header_offset + 30 + len(french.filename)] = 0xFF  # the first byte of what was deflated
    path.write_bytes(broken)
    with pytest.raises(ValueError, match=r"omw-1\.4\.zip.*Fetch it again"):
        next(lemma_names(str(copied), "fra", "r"))


def test_languages_of_the_multilingual_wordnet_are_those_of_nltks_package() -> None:
    manual = Path(str(distribution("nltk").locate_file("nltk/test/wordnet.doctest"))).read_text(encoding="utf-8")
    [langs] = re.findall(r">>> sorted\(wn\.langs\(\)\)\n(.*?\])", manual, re.DOTALL)
    assert {*OPEN_MULTILINGUAL} == {*re.findall(r"\w+", langs)} - {"eng", "ita_iwn"}
