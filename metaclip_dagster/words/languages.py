"""Language codes: which ones can be identified, which languages have no spaces, what other codes mean."""

import re
from collections.abc import Callable

Identify = Callable[[list[str]], tuple[list[str], list[float]]]
"""Takes texts; gives the language of each, one of LANGUAGES, and how sure it is, 0 to 1."""

_CODES = (
    "af als am an ar arz as ast av az azb ba bar bcl be bg bh bn bo bpy br bs bxr ca cbk ce ceb ckb co cs cv cy "
    "da de diq dsb dty dv el eml en eo es et eu fa fi fr frr fy ga gd gl gn gom gu gv he hi hif hr hsb ht hu hy "
    "ia id ie ilo io is it ja jbo jv ka kk km kn ko krc ku kv kw ky la lb lez li lmo lo lrc lt lv mai mg mhr min "
    "mk ml mn mr mrj ms mt mwl my myv mzn nah nap nds ne new nl nn no oc or os pa pam pfl pl pms pnb ps pt qu rm "
    "ro ru rue sa sah sc scn sco sd sh si sk sl so sq sr su sv sw ta te tg th tk tl tr tt tyv ug uk ur uz vec vep "
    "vi vls vo wa war wuu xal xmf yi yo yue zh "
)
LANGUAGES = frozenset(_CODES.split())
"""fastText's 176, which are those of Wikipedias but for `no`, `zh` and a few more: what a text is identified as."""

SPACELESS = frozenset(["bo", "dz", "ja", "km", "lo", "my", "th", "wuu", "yue", "zh"])
"""Languages whose texts run on without a space between words; Tibetan ones have a mark between syllables."""

PARTING = SPACELESS | {"ko"}
"""Languages with borders of words where no space is."""


def identification_code(language: str) -> str | None:
    """The one of LANGUAGES that texts of a language are identified as, whatever script and country the code adds.

    >>> [identification_code(code) for code in ("zh-Hant-TW", "nb", "zh-yue", "tlh")]
    ['zh', 'no', 'yue', None]
    """
    code = re.sub("^zh-(yue|wuu)", r"\1", language.lower().replace("_", "-")).partition("-")[0]
    code = _OTHERWISE.get(code, code)
    return code if code in LANGUAGES else None


_OTHERWISE = {"cmn": "zh", "fil": "tl", "gsw": "als", "in": "id", "iw": "he", "ji": "yi", "nb": "no", "simple": "en"}
