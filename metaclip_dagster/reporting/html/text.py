"""Shorten a crawl's text, and drop the characters in it that hide, reorder or steer what is around it."""

import re
import unicodedata

from markupsafe import Markup

MAX_SHOWN = 200
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are spelled with these; they move nothing else


def reveal(text: str, most: int = MAX_SHOWN) -> str:
    r"""Cut the text to `most` characters, those that could hide or reorder others written out.

    >>> reveal("a\x1b[31mb\u202ec")
    'a⟨U+001B⟩[31mb⟨U+202E⟩c'
    """
    shown = "".join(map(_show_character, text[:most]))
    return shown if len(text) <= most >= len(shown) else shown[: most - 1] + "…"


def isolate(text: object) -> Markup:
    """A string of the crawl, of entries or of manifests for a page: visible, cut, and with a direction of its own.

    >>> isolate("<i> ")
    Markup('<bdi>&lt;i&gt; </bdi>')
    """
    return Markup("<bdi>{}</bdi>").format(reveal(str(text)))


def split_code(text: str) -> list[str]:
    """Split the text into what stands outside and inside of pairs of backticks, by turns.

    >>> split_code("`a` or ` b")
    ['', 'a', ' or ` b']
    """
    return re.split(r"`([^`]+)`", text)


def _show_character(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character
    return f"⟨U+{ord(character):04X}⟩"
