"""Find where words begin and end in scripts where spaces do not say it: Chinese, Thai, Korean and others."""

import re
from collections.abc import Iterator
from functools import cache
from unicodedata import category, normalize

import numpy as np
import numpy.typing as npt

from metaclip_dagster.words.languages import PARTING, SPACELESS

OPEN, FOLLOWING, LEADING, LETTER, SILENCING = map(np.uint8, (1, 2, 4, 8, 16))
"""Kinds of characters, as bits: what a word needs no space beside; what begins no word; what ends none; letters; and
the signs by which a letter closes the syllable before it."""


def fold_text(text: str, language: str) -> str:
    """The text as its language is compared: NFC, full-width Latin and half-width kana as usual, no zero-width spaces.

    A text of another language than PARTING's comes back as it is.

    >>> fold_text("ＡＢＣ１２３ ｶﾞｰﾃﾞﾝ", "ja"), fold_text("ＡＢＣ", "en")
    ('ABC123 ガーデン', 'ＡＢＣ')
    """
    if language not in PARTING or text.isascii():
        return text
    return normalize("NFC", text.translate(_foldings()))


def segment_words(text: str, language: str) -> Iterator[str]:
    """The words of a text and the marks between them: at white space, or by ICU's dictionaries where there is none.

    >>> [*segment_words("แมวกินปลา", "th")], [*segment_words("The dog's tail", "en")]
    (['แมว', 'กิน', 'ปลา'], ['The', "dog's", 'tail'])
    """
    if language not in SPACELESS:
        return iter(text.split())
    from icu4py.breakers import WordBreaker  # noqa: PLC0415  # a library that only building metadata needs

    return (segment for segment in WordBreaker(text, language) if segment != _TSHEG)


def join_words(first: str, second: str, language: str) -> str:
    """Two neighbouring words as their language writes them.

    >>> join_words("New", "York", "en"), join_words("東京", "タワー", "ja"), join_words("བོད", "སྐད", "bo")
    ('New York', '東京タワー', 'བོད་སྐད')
    """
    if language not in SPACELESS:
        return f"{first} {second}"
    if _TIBETAN.match(first[-1]) and _TIBETAN.match(second[0]):
        return f"{first}{_TSHEG}{second}"
    is_open = (character_kinds()[[ord(first[-1]), ord(second[0])]] & OPEN).any()
    return f"{first}{second}" if is_open else f"{first} {second}"


def find_particles(text: str, language: str) -> Iterator[int]:
    """Where in a folded text a particle begins that its language writes onto the word before it.

    Korean's agree with the last sound of the word: 은 after a consonant, 는 after a vowel. Of two readings the longer
    one counts. Tibetan's are those that have a syllable of their own, འི and its like, not ས and ར.

    >>> [*find_particles("고양이가 학교에서는", "ko")]
    [3, 7]
    """
    pattern = _PARTICLES.get(language)
    return iter(()) if pattern is None else (particle.start() for particle in pattern.finditer(text))


@cache
def character_kinds() -> npt.NDArray[np.uint8]:
    """The kinds of every character, by its number; made once a process, a megabyte."""
    of_code = np.zeros(0x110000, np.uint8)
    of_code[_list_codes(_WITHOUT_SPACES, "LMNPS", but="Nd") + _list_codes(_OF_MARKS, "PS")] |= OPEN
    of_code[_list_codes(_ALL, "M")] |= FOLLOWING
    of_code[_list_codes(_ALL, "L")] |= LETTER
    for signs, kind in ((_MARKS, OPEN), (_FOLLOWING, FOLLOWING), (_LEADING, LEADING), (_SILENCING, SILENCING)):
        of_code[[*map(ord, signs)]] |= kind
    return of_code


_ALL = "0-1FFFF E0100-E01EF"
# Thai, Lao, Myanmar, Khmer, Han, kana; their digits are cut by nothing, as 1 is not found in 12.
_WITHOUT_SPACES = (
    "0E00-0EFF 1000-109F 1780-17FF 19E0-19FF 2E80-2FDF 3005-3007 3021-302F 3031-303B 3041-30FF 31F0-31FF 3400-4DBF "
    "4E00-9FFF A9E0-A9FF AA60-AA7F F900-FAFF 1B000-1B16F 20000-323AF"
)
# Tibetan, whose letters are set apart by its marks; CJK, vertical, small, full-width.
_OF_MARKS = "0F00-0FFF 3000-303F FE30-FE6F FF00-FFEF"
_MARKS = "“”‘’…—·•"
# Vowel signs that are letters to Unicode; kana that belong to the sound before; signs that repeat it.
_FOLLOWING = "ะาำๅະາຳຽ" + "ーぁぃぅぇぉゃゅょゎァィゥェォッャュョヮ" + "々〻ゝゞヽヾ" + "\u200d"
# Vowels written before their consonant; signs that bind the next one; the joiner.
_LEADING = "เแโใไເແໂໃໄ" + "\u1039\u17d2" + "\u200d"
# Thai's and Lao's killers, Khmer's, Myanmar's asat, its virama, and its dot, which goes before the asat.
_SILENCING = "\u0e4c\u0ecc\u17cd\u103a\u1039\u1037"

_TSHEG = "་"
_TIBETAN = re.compile(r"[\u0f40-\u0fbc]")

_LATIN = "A-Za-z0-9"
_OPEN_SYLLABLES, _ENDING_IN_L = ("".join(map(chr, range(first, 0xD7A4, 28))) for first in (0xAC00, 0xAC08))
# What is before the first letter is asked after it, so that a search goes from one such letter to the next.
_ANY = rf"(?<=[가-힣{_LATIN}].)"
_CONSONANT = rf"{_ANY}(?<![{_OPEN_SYLLABLES}].)"
_VOWEL = rf"(?<=[{_OPEN_SYLLABLES}{_LATIN}].)"
_VOWEL_OR_L = rf"(?<=[{_OPEN_SYLLABLES}{_ENDING_IN_L}{_LATIN}].)"
_OF, _AT = "(?:는|도|의)?", "(?:는|도|만|의|부터|까지)?"
_KOREAN = (
    rf"(?:[은을]{_CONSONANT}|이{_CONSONANT}랑?|과{_CONSONANT}{_OF}|으{_CONSONANT}로(?:서|써)?{_AT}"
    rf"|[는가를랑]{_VOWEL}|와{_VOWEL}{_OF}|로{_VOWEL_OR_L}(?:서|써)?{_AT}|[의도]{_ANY}|만{_ANY}[은이을의]?"
    rf"|(?:에{_ANY}(?:게서|게|서)?|한{_ANY}테서?|께{_ANY}서|까{_ANY}지|부{_ANY}터|[보마]{_ANY}다|처{_ANY}럼){_AT})"
)
_PARTICLES = {
    "ko": re.compile(rf"{_KOREAN}(?![가-힣])"),
    **dict.fromkeys(["bo", "dz"], re.compile(r"(?<=[\u0f40-\u0fbc])འ(?:ི|ོ|ང|མ)(?![\u0f40-\u0fbc])")),
}


def _list_codes(blocks: str, kinds: str, but: str = "") -> list[int]:
    """The characters of the blocks whose category begins with one of the kinds, by their numbers."""
    bounds = [[int(code, 16) for code in block.split("-")] for block in blocks.split()]
    categories = ((code, category(chr(code))) for first, last in bounds for code in range(first, last + 1))
    return [code for code, kind in categories if kind[0] in kinds and kind != but]


@cache
def _foldings() -> dict[int, str | None]:
    forms = {code: normalize("NFKC", chr(code)) for code in range(0xFF01, 0xFFA0)}
    # Full-width marks stay: `，` is no mark that texts are spaced around, and a title may hold one.
    narrow = {code: form for code, form in forms.items() if code >= 0xFF61 or form.isalnum()}
    return {**narrow, 0x3000: " ", 0x200B: None}
