"""What a match is: the entry, a space at each end, in a text whose marks are set apart by spaces."""

import re
from collections.abc import Iterable

MARKS = ",.;:?!`"


def spaced(text: str) -> str:
    r"""Give the text as it is searched: a space at both ends and around each mark; tab, newline and return are spaces.

    An entry is in the text exactly when it has a word and `f" {entry} " in spaced(text)` (Xu et al. 2023, §3.2). The
    same said in tokens: `entry.split(" ")` is a run of `spaced(text).split(" ")[1:-1]`, empty tokens kept. Case counts.

    >>> spaced("Hello, world!")
    ' Hello ,  world !  '
    >>> " AC/DC " in spaced("AC/DC\tlive")
    True
    """
    return joined([text])


def joined(texts: Iterable[str]) -> str:
    r"""Give all texts as they are searched in one string; a newline, which nothing that matches holds, stands between.

    >>> joined(["a,", "b\nc"])
    ' a ,  \n b c '
    """
    whole = "\n".join(text.replace("\n", " ") for text in texts).replace("\t", " ").replace("\r", " ")
    # A chain of replace is several times faster than one regular expression or str.translate.
    for mark in MARKS:
        whole = whole.replace(mark, f" {mark} ")
    whole = whole.replace("\n", " \n ")
    return f" {whole} "


def why_unmatchable(entry: str) -> str | None:
    r"""Say why no text can contain the entry; None if some text does.

    >>> why_unmatchable("U.S.")
    'a mark inside a word'
    >>> why_unmatchable("Hello , world") is None
    True
    """
    if not entry.strip(" "):
        return "no word"
    if _BLANK.search(entry):
        return "a tab, newline or carriage return"
    if _MARK_IN_WORD.search(entry):
        return "a mark inside a word"
    # Each brings its own spaces along, so two neighbours stand at least two apart.
    if _TWO_MARKS.search(entry):
        return "two marks one space apart"
    return None


_BLANK = re.compile(r"[\t\n\r]")
_MARK_IN_WORD = re.compile(f"[^ ][{MARKS}]|[{MARKS}][^ ]")
_TWO_MARKS = re.compile(f"[{MARKS}] [{MARKS}]")
