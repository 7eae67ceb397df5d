"""Emojibase's data -> the sample's emoji: names, tags and groups in eleven languages, and which are held out."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from data.builder.draws import draw
from data.builder.packages import read_members

LANGUAGES = ("en", "de", "fr", "es", "ja", "ru", "zh", "it", "pt", "ko", "pl")
HELD_OUT_SHARE = 0.07


@dataclass(frozen=True)
class Emoji:
    """One emoji: `base` is its own hexcode unless it is a skin-tone variant."""

    hexcode: str
    base: str
    order: int
    group: str
    subgroup: str
    labels: dict[str, str]
    tags: dict[str, tuple[str, ...]]

    @property
    def toned(self) -> bool:
        """Whether it is a skin-tone variant."""
        return self.hexcode != self.base


@dataclass(frozen=True)
class Names:
    """All emoji in emojibase's order, the base hexcodes held out, and the subgroups' titles by language."""

    emoji: dict[str, Emoji]
    held_out: frozenset[str]
    titles: dict[str, dict[str, str]]

    def seen(self) -> list[Emoji]:
        """The emoji that pages may show."""
        return [emoji for emoji in self.emoji.values() if emoji.base not in self.held_out]


def read_names(package: Path) -> Names:
    """The emoji that emojibase puts in a group (this leaves out the regional indicators, which are letters)."""
    members = read_members(package, "package/", ".json")
    files = {
        language: (json.loads(members[f"{language}/data.json"]), json.loads(members[f"{language}/messages.json"]))
        for language in LANGUAGES
    }
    texts = {language: _flatten(data) for language, (data, _) in files.items()}
    groups, subgroups = ([row["key"] for row in files["en"][1][kind]] for kind in ("groups", "subgroups"))
    emoji: dict[str, Emoji] = {}
    for entry, parent in texts["en"].values():
        if "group" not in entry:
            continue
        hexcode = normalise_hexcode(entry["hexcode"])
        emoji[hexcode] = Emoji(
            hexcode=hexcode,
            base=normalise_hexcode(parent["hexcode"]),
            order=entry["order"],
            group=groups[entry["group"]],
            subgroup=subgroups[entry["subgroup"]],
            labels={language: texts[language][hexcode][0]["label"] for language in LANGUAGES},
            tags={language: tuple(texts[language][hexcode][1].get("tags", ())) for language in LANGUAGES},
        )
    emoji = dict(sorted(emoji.items(), key=lambda item: item[1].order))
    titles = {
        language: {row["key"]: row["message"] for row in messages["subgroups"]}
        for language, (_, messages) in files.items()
    }
    return Names(emoji, _hold_out(emoji, titles), titles)


def normalise_hexcode(hexcode: str) -> str:
    """Lower case, without the variation selector: what the designers' file names agree on.

    >>> normalise_hexcode("2764-FE0F-200D-1F525")
    '2764-200d-1f525'
    """
    return "-".join(part for part in hexcode.lower().split("-") if part != "fe0f")


def words(text: str) -> str:
    """A text as words between blanks, lower case, so that a phrase can be looked for."""
    return " " + " ".join(re.findall(r"[^\W_]+", text.lower())) + " "


def _flatten(data: list[dict[str, Any]]) -> dict[str, tuple[dict[str, Any], dict[str, Any]]]:
    """Each entry and each of its skins, with the base entry."""
    pairs = [(entry, base) for base in data for entry in (base, *base.get("skins", ()))]
    return {normalise_hexcode(entry["hexcode"]): (entry, base) for entry, base in pairs}


def _hold_out(emoji: dict[str, Emoji], titles: dict[str, dict[str, str]]) -> frozenset[str]:
    """Some base names that stand in no other emoji's texts in any language, drawn by hash."""
    texts: dict[str, set[str]] = {}
    for one in emoji.values():
        for language in LANGUAGES:
            for text in (one.labels[language], *one.tags[language]):
                texts.setdefault(words(text), set()).add(one.base)
    for by_key in titles.values():
        for text in by_key.values():
            texts.setdefault(words(text), set()).add("title")
    drawn = [e for e in emoji.values() if not e.toned and draw("held out", e.hexcode) < HELD_OUT_SHARE]
    held_out = set()
    for one in drawn:
        name = words(one.labels["en"])
        if not any(name in text and owners - {one.hexcode} for text, owners in texts.items()):
            held_out.add(one.hexcode)
    return frozenset(held_out)
