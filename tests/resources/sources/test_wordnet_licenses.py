"""A wordnet's name and licence are those of its own file; nothing outside a package is read for it."""

import shutil
from pathlib import Path

import pytest

from resources.sources.wordnet import MULTILINGUAL, PACKAGE
from resources.sources.wordnet_licenses import list_wordnets, read_license
from tests.resources.exports import write_wordnets

SAMPLE = Path(__file__).parents[3] / "data" / "sample" / "nltk_data"


@pytest.fixture
def nltk_data(tmp_path: Path) -> str:
    shutil.copytree(SAMPLE, tmp_path / "nltk_data")
    return str(write_wordnets(tmp_path / "nltk_data"))


def test_every_wordnet_of_a_language_is_named_and_what_it_does_not_say_is_empty(nltk_data: str) -> None:
    [english] = list_wordnets(nltk_data)
    assert (english["name"], english["license_file"]) == ("WordNet Release 3.0", "wordnet/LICENSE")
    assert b"THE LICENSEE" in read_license(nltk_data, "wordnet/LICENSE").upper()
    licensed, other = list_wordnets(nltk_data, "ita")
    assert licensed == {
        "name": "Wordnet iwn",
        "url": "http://iwn.example/",
        "license": "CC BY 3.0",
        "license_file": "omw-1.4/iwn/LICENSE",
    }
    assert other == {"name": "msi/wn-data-ita.tab", "url": "", "license": "", "license_file": ""}
    assert list_wordnets(nltk_data, "tlh") == []


def test_of_a_package_that_cannot_be_read_no_wordnet_is_named_and_no_licence_read(nltk_data: str) -> None:
    for name in ("../wordnet/LICENSE", "/etc/LICENSE", "wordnet/README"):
        with pytest.raises(ValueError, match="is no licence of a wordnet's package"):
            read_license(nltk_data, name)
    with pytest.raises(ValueError, match=r"omw-1\.4\.zip: .*no item named"):
        read_license(nltk_data, "omw-1.4/msi/LICENSE")
    path = Path(nltk_data, MULTILINGUAL)
    path.write_bytes(path.read_bytes()[:100])
    assert list_wordnets(nltk_data, "ita") == []
    with pytest.raises(ValueError, match=r"omw-1\.4\.zip: .*Fetch it again"):
        read_license(nltk_data, "omw-1.4/iwn/LICENSE")
    Path(nltk_data, PACKAGE).unlink()
    with pytest.raises(FileNotFoundError, match=r"wordnet\.zip is missing, .*`metaclip download wordnet`"):
        read_license(nltk_data, "wordnet/LICENSE")
