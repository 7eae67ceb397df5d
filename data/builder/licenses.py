"""The licence texts that go with the sample's parts."""

from pathlib import Path

from data.builder.packages import read_members

_TEXTS = Path(__file__).parent / "license_texts"


def write_licenses(folder: Path, packages: dict[str, Path], wordnet: bytes) -> None:
    """One text a licence: those that the packages carry, and those that they only name."""
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(_TEXTS.glob("*.txt")):
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "CC-BY-SA-4.0.txt").write_bytes(read_members(packages["openmoji"], "package/LICENSE.txt")[""])
    (folder / "MIT-emojibase.txt").write_bytes(read_members(packages["emojibase"], "package/LICENSE")[""])
    (folder / "WordNet-3.0.txt").write_bytes(wordnet)
