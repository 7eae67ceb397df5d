"""Twemoji's drawings -> zero-shot task folders in CLIP_benchmark's layout."""

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path

from data.builder.names import LANGUAGES, Emoji, Names, words
from data.builder.plan import Snapshot

_SEEN = """# twemoji
Twemoji's base drawings, one image a class, classified by name among {count} names.
Caution, to be printed beside every score: the names occur in the training data with other designers' drawings; the
drawings do not. This measures recognition across drawing styles, not unseen concepts (for those: `../twemoji-unseen`).
`groups.tsv` says for each class its emojibase group and its part: head (people and body, whose skin-tone variants fill
most of the pool) or tail (all others).
"""
_UNSEEN = """# twemoji-unseen
Twemoji's drawings of {count} names that were held out: neither the names nor any drawing of them, skin-tone variants
included, occur in any snapshot. Words of the names do occur (`flag`, `man`, `face`). Where a name in another language
does occur, as a word for something else, its line in `languages/` is empty.
"""


def write_tasks(
    root: Path, names: Names, drawings: dict[str, bytes], snapshots: list[Snapshot]
) -> dict[str, list[str]]:
    """Both tasks; gives the names that each leaves out because a class of a shorter name has the same drawing."""
    named = _find_named(names, snapshots)
    base = [emoji for emoji in names.emoji.values() if not emoji.toned and emoji.hexcode in drawings]
    seen = [emoji for emoji in base if emoji.hexcode in named]
    unseen = [emoji for emoji in base if emoji.base in names.held_out]
    left_out, texts = {}, _list_texts(snapshots)
    for task, readme, emoji, written in (("twemoji", _SEEN, seen, ""), ("twemoji-unseen", _UNSEEN, unseen, texts)):
        by_length = sorted(emoji, key=lambda one: len(one.labels["en"]), reverse=True)
        shortest = {drawings[one.hexcode]: one.hexcode for one in by_length}
        classes = [one for one in emoji if shortest[drawings[one.hexcode]] == one.hexcode]
        _write_task(root / task, readme.format(count=len(classes)), classes, drawings, written)
        left_out[task] = [one.labels["en"] for one in emoji if one not in classes]
    return left_out


def _find_named(names: Names, snapshots: list[Snapshot]) -> set[str]:
    """The base emoji that an English page of the two registered snapshots shows together with their name."""
    pictures = (
        p for snapshot in snapshots[:2] for page in snapshot.new if page.language == "en" for p in page.pictures
    )
    return {
        hexcode
        for picture in pictures
        for hexcode in (picture.drawing[1],)
        if words(names.emoji[hexcode].labels["en"]) in words(f"{picture.alt} {picture.title}")
    }


def _list_texts(snapshots: list[Snapshot]) -> str:
    """All words of all pages, text by text."""
    pages = [page for snapshot in snapshots for page in snapshot.new]
    texts = {text for page in pages for p in page.pictures for text in (p.alt, p.title, p.data_title)}
    return "\n".join(words(text) for text in texts | {page.title for page in pages} if text)


def _write_task(folder: Path, readme: str, classes: list[Emoji], drawings: dict[str, bytes], written: str) -> None:
    """A class has no name in another language where pages have written it."""
    texts = {
        "README.md": [*readme.splitlines()],
        **_name_classes("en", classes, ""),
        "groups.tsv": ["class\tname\tgroup\tpart", *(_group(number, one) for number, one in enumerate(classes))],
        "test/nshards.txt": ["1"],
    }
    for language in LANGUAGES[1:]:
        of_language = _name_classes(language, classes, written)
        texts |= {f"languages/{language}/{name}": lines for name, lines in of_language.items()}
    for name, lines in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    members = [
        (f"{one.hexcode}.{suffix}", content)
        for number, one in enumerate(classes)
        for suffix, content in (("cls", str(number).encode()), ("webp", drawings[one.hexcode]))
    ]
    (folder / "test" / "0.tar").write_bytes(_tar(members))


def _name_classes(language: str, classes: list[Emoji], written: str) -> dict[str, list[str]]:
    labels = [one.labels[language] for one in classes]
    return {
        "classnames.txt": ["" if words(label) in written else label for label in labels],
        "zeroshot_classification_templates.txt": ["{c}"],
    }


def _group(number: int, emoji: Emoji) -> str:
    return f"{number}\t{emoji.labels['en']}\t{emoji.group}\t{'head' if emoji.group == 'people-body' else 'tail'}"


def _tar(members: Iterable[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
