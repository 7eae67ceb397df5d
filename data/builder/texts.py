"""The texts that pages give an image: mostly its name, at times a file name, a filler, or nothing at all."""

import re

from data.builder.draws import draw, pick
from data.builder.names import Emoji

FILLERS: tuple[str | None, ...] = ("image", "emoji", "icon", "logo", "photo", "Untitled", "", None)
FILE_NAME_SHARE = 0.06
FILLER_SHARE = 0.06
TAGS_SHARE = 0.24


def alt_text(emoji: Emoji, language: str, name: str, *key: object) -> str | None:
    """What a page writes into alt; None for an image without the attribute."""
    chance = draw("alt", emoji.hexcode, language, *key)
    if chance < FILE_NAME_SHARE:
        return f"emoji_u{emoji.hexcode.replace('-', '_')}.png"
    if chance < FILE_NAME_SHARE + FILLER_SHARE:
        return pick(FILLERS, "filler", emoji.hexcode, language, *key)
    if chance < FILE_NAME_SHARE + FILLER_SHARE + TAGS_SHARE and not emoji.toned:
        return with_tags(emoji, language)
    return _blur_blanks(name, emoji.hexcode, language, *key)


def with_tags(emoji: Emoji, language: str) -> str:
    """The name with what else people call it: waving hand (hello, hi)."""
    tags = emoji.tags[language][:4]
    return f"{emoji.labels[language]} ({', '.join(tags)})" if tags else emoji.labels[language]


def _blur_blanks(text: str, *key: object) -> str:
    """Now and then a line break, a tab or two blanks where the name has one, as editors leave them."""
    if draw("blanks", text, *key) >= 0.01:
        return text
    return re.sub(" ", pick(("\n    ", "\t", "  "), "blank", text, *key), text, count=1)
