"""Text of a crawl -> the same text, short and without characters that hide, reorder or steer what is around it."""

import unicodedata

MAX_SHOWN = 200
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are spelled with these; they move nothing else


def visible(text: str, most: int = MAX_SHOWN) -> str:
    r"""Cut the text to `most` characters, those that could hide or reorder others written out.

    >>> visible("a\x1b[31mb\u202ec")
    'a⟨U+001B⟩[31mb⟨U+202E⟩c'
    """
    shown = "".join(map(_visible_character, text[:most]))
    return shown if len(text) <= most >= len(shown) else shown[: most - 1] + "…"


def _visible_character(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
        return character
    return f"⟨U+{ord(character):04X}⟩"
