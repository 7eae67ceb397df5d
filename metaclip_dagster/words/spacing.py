"""Define a match: where in a text an entry counts as found, and which entries no text can hold."""

import re
from collections.abc import Callable, Iterable
from functools import cache

import numpy as np
import numpy.typing as npt

from metaclip_dagster.schemas import named
from metaclip_dagster.words.languages import CLAUSE_MARKS, PARTING
from metaclip_dagster.words.scripts import (
    FOLLOWING,
    LEADING,
    LETTER,
    OPEN,
    SILENCING,
    character_kinds,
    find_particles,
    fold_text,
)

MARKS = ",.;:?!`"


def list_marks(language: str, *, clause_marks: bool = True) -> str:
    """The marks that are set apart in texts of a language: the paper's, and where asked for its own clause marks.

    >>> list_marks("en"), list_marks("hi")
    (',.;:?!`', ',.;:?!`।॥')
    """
    return MARKS + (CLAUSE_MARKS.get(language, "") if clause_marks else "")


def space_marks(text: str, language: str = "en", *, clause_marks: bool = True) -> str:
    r"""Give the text as it is searched: a space at both ends and around each mark; tab, newline and return are spaces.

    An entry is in the text exactly when it has a word, which is a letter or a digit, and `f" {entry} "` is in
    `space_marks(text)` (Xu et al. 2023, §3.2). In tokens: `entry.split(" ")` is a run of
    `space_marks(text).split(" ")[1:-1]`, empty tokens kept. Case counts. Clause marks of other scripts are set apart in
    the languages that write them, unless they are to stay where the paper leaves them.
    In languages that part words otherwise too (PARTING), text and entry go through `fold_text`, and each end of the
    entry is at a space or at one of `find_borders`.

    >>> space_marks("Hello, world!")
    ' Hello ,  world !  '
    >>> " AC/DC " in space_marks("AC/DC\tlive")
    True
    """
    return join_texts([text], language, clause_marks=clause_marks)


def join_texts(texts: Iterable[str], language: str = "en", *, clause_marks: bool = True) -> str:
    r"""Give all texts as they are searched in one string; a newline, which nothing that matches holds, stands between.

    >>> join_texts(["a,", "b\nc"])
    ' a ,  \n b c '
    """
    text_of_all = "\n".join(text.replace("\n", " ") for text in texts).replace("\t", " ").replace("\r", " ")
    text_of_all = fold_text(text_of_all, language)
    # A chain of replace is several times faster than one regular expression or str.translate.
    for mark in list_marks(language, clause_marks=clause_marks):
        text_of_all = text_of_all.replace(mark, f" {mark} ")
    text_of_all = text_of_all.replace("\n", " \n ")
    return f" {text_of_all} "


def find_borders(searched: str, language: str) -> tuple[npt.NDArray[np.bool], npt.NDArray[np.bool]]:
    """Where an entry may start and where it may end in a text as it is searched, by the number of characters before.

    Beside a space; beside a character of a script without spaces or one of its marks, in Tibetan a bracket too, unless
    that cuts a syllable: a vowel, tone or length from its sound, a silenced letter from those before it; and an end
    before a particle.
    """
    codes = np.frombuffer(searched.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = character_kinds()[codes]
    if language in _TIBETAN:  # which writes no space beside a bracket of ours
        kinds[np.isin(codes, [*map(ord, "()[]{}<>")])] |= OPEN
    padded = np.pad(kinds, (1, 2))
    before, at, after = padded[:-2], padded[1:-1], padded[2:]
    is_border = (before | at) & OPEN != 0
    is_border &= (before & LEADING | at & FOLLOWING) == 0
    is_border &= (at & LETTER == 0) | (after & SILENCING == 0)
    is_space = np.pad(codes == ord(" "), 1)
    may_start, may_end = is_border | is_space[:-1], is_border | is_space[1:]
    may_end[[*find_particles(searched, language)]] = True
    return may_start, may_end


def build_finder(text: str, language: str = "en", *, clause_marks: bool = True) -> Callable[[str], bool]:
    """Ask of one entry of the language after another whether it is in the text: the definition, not the fast way."""
    searched = space_marks(text, language, clause_marks=clause_marks)
    if language not in PARTING:
        return lambda entry: has_word(entry) and f" {entry} " in searched
    may_start, may_end = find_borders(searched, language)

    def holds(entry: str) -> bool:
        entry = fold_text(entry, language)
        start = searched.find(entry)
        while start >= 0 and not (may_start[start] and may_end[start + len(entry)]):
            start = searched.find(entry, start + 1)
        return has_word(entry) and start >= 0

    return holds


@named("spacing:why_unmatchable")
def why_unmatchable(entry: str, language: str = "en") -> str | None:
    r"""Say why no text can contain the entry; None if some text does.

    >>> why_unmatchable("U.S.")
    'a mark inside a word'
    >>> why_unmatchable("Hello , world") is None
    True
    >>> why_unmatchable("™")
    'no word'
    """
    return _why_unmatchable(entry, language, list_marks(language))


@named("spacing:why_unmatchable_in_the_paper")
def why_unmatchable_in_the_paper(entry: str, language: str = "en") -> str | None:
    """`why_unmatchable` where no clause marks but the paper's are set apart."""
    return _why_unmatchable(entry, language, MARKS)


def has_word(entry: str) -> bool:
    """Whether it has a letter or a digit of any script: a mark or a symbol alone says nothing of an image."""
    return any(map(str.isalnum, entry))


def _why_unmatchable(entry: str, language: str, marks: str) -> str | None:
    entry = fold_text(entry, language)
    if not has_word(entry):
        return "no word"
    if _BLANK.search(entry):
        return "a tab, newline or carriage return"
    in_word, two = _find_marks(marks)
    if in_word.search(entry):
        return "a mark inside a word"
    # Each brings its own spaces along, so two neighbours stand at least two apart.
    if two.search(entry):
        return "two marks one space apart"
    return None


_TIBETAN = ("bo", "dz")
_BLANK = re.compile(r"[\t\n\r]")


@cache
def _find_marks(marks: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What finds a mark inside a word, and two of them one space apart."""
    return re.compile(f"[^ ][{marks}]|[{marks}][^ ]"), re.compile(f"[{marks}] [{marks}]")
