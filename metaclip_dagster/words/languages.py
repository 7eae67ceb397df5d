"""Language codes: which can be identified, which have no spaces, and whose list a Wikipedia or a text belongs to."""

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

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

_ARABIC, _DANDA = "،؛؟۔", "।॥"
_INDIC = "as bh bn bpy dty gom gu hi kn mai ml mr ne new or pa sa ta te"
CLAUSE_MARKS: Mapping[str, str] = {
    **dict.fromkeys("ar arz azb ckb dv fa lrc mzn pnb ps sd ug ur".split(), _ARABIC),  # noqa: SIM905
    **dict.fromkeys(_INDIC.split(), _DANDA),
    **{"am": "፡።፣፤፥፦፧፨", "el": "\u037e\u0387·", "hy": "։՝", "si": "෴", "other": f"{_ARABIC}{_DANDA}፡።፣፤፥፦፧፨։՝߸߹᱾᱿"},
}
"""Marks that end a clause beside `, . ; : ? !`, by language; those that stand within words, as Armenian's ՞, do not."""

ALL, OTHER = "all", "other"
"""Instead of languages' codes: every Wikipedia that there is; the one list of those that identification cannot name."""

MERGED = {"gan": "zh", "lzh": "zh", "wuu": "zh", "yue": "zh"}
"""Languages that are written alike, and share a list where they have none of their own (Meta CLIP 2)."""

NO_LANGUAGE = frozenset(["mis", "mul", "und", "zxx"])
"""ISO 639-3 codes that name no language: uncoded, several, undetermined, and no linguistic content."""


def identification_code(language: str) -> str | None:
    """The one of LANGUAGES that texts of a language are identified as, whatever script and country the code adds.

    >>> [identification_code(code) for code in ("zh-Hant-TW", "nb", "zh-yue", "tlh", "zh_min_nan")]
    ['zh', 'no', 'yue', None, None]
    """
    code = re.sub("^zh-(?:min-)?(nan|yue|wuu)", r"\1", language.lower().replace("_", "-")).partition("-")[0]
    code = _OTHERWISE.get(code, code)
    return code if code in LANGUAGES else None


def list_names(language: str) -> tuple[str, ...]:
    """Whose lists the words of a language belong to, by its code or its Wikipedia's: to the first that there is.

    Beyond LANGUAGES that is the Wikipedia's code, or ISO 639-3 where it has a name for its code.

    >>> [list_names(code) for code in ("de", "zh_yue", "be-tarask", "zh_classical", "hak", "hau")]
    [('de',), ('yue', 'zh'), ('be',), ('zh',), ('hak', 'other'), ('ha', 'other')]
    """
    identified, code = identification_code(language), language.lower().replace("_", "-")
    name = identified or _BEYOND.get(code, code)
    merged = MERGED.get(name)
    return (name, *([merged] if merged else [] if identified else [OTHER]))


def why_unidentified(language: str, identified: Collection[str] = LANGUAGES) -> str | None:
    """Say why no text is searched for a language's entries; None if identification names it, or it is `other`.

    `identified` are the codes that identification gives: without a model's own, those of lid.176.

    >>> why_unidentified("nb"), why_unidentified("ha"), why_unidentified("ha", {"en", "hau"})
    ("no text is identified as 'nb', but as 'no'", "no text is identified as 'ha'", None)
    """
    names = {list_names(code)[0] for code in identified}
    if language == OTHER or language in names:
        return None
    name = list_names(language)[0]
    return f"no text is identified as {language!r}" + (f", but as {name!r}" if name in names else "")


def find_list(identified: str, languages: Collection[str]) -> str | None:
    """Whose list the texts of an identified language are searched for: its own, the one it shares, or `other`.

    None where there is none of them, or no language was identified (`und`).

    >>> [find_list(code, {"en", "zh", "other"}) for code in ("en", "yue", "de", "und")], find_list("de", {"en"})
    (['en', 'zh', 'other', None], None)
    """
    if identified in NO_LANGUAGE:
        return None
    return next((name for name in (*list_names(identified), OTHER) if name in languages), None)


def assign_wikis(wikis: Iterable[str], languages: Sequence[str]) -> dict[str, list[str]]:
    """The Wikipedias, by their codes, that each language's list is made of, in the order of `languages`.

    `all` stands for the languages of these Wikipedias: English, the others by their codes, then `other`, with all that
    no identification names. Raises ValueError for `all` beside codes.

    >>> assign_wikis(["be", "be_x_old", "en", "hak", "simple", "zh", "zh_yue"], ["all"])
    {'en': ['en'], 'be': ['be', 'be_x_old'], 'zh': ['zh', 'zh_yue'], 'other': ['hak']}
    >>> assign_wikis(["de", "en", "zh", "zh_yue"], ["en", "zh-yue", "zh"])
    {'en': ['en'], 'yue': ['zh_yue'], 'zh': ['zh']}
    """
    wikis = [wiki for wiki in wikis if _is_read(wiki)]
    if ALL in languages and len(languages) > 1:
        raise ValueError(f"languages {', '.join(languages)}: `{ALL}` stands alone, or name each language by its code")
    if [*languages] == [ALL]:
        names = sorted({list_names(wiki)[-1] for wiki in wikis}, key=lambda name: (name != "en", name == OTHER, name))
    else:
        names = [*dict.fromkeys(list_names(language)[0] for language in languages)]
    assigned: dict[str, list[str]] = {name: [] for name in names}
    for wiki in wikis:
        if (name := next((name for name in list_names(wiki) if name in assigned), None)) is not None:
            assigned[name].append(wiki)
    return assigned


def _is_read(wiki: str) -> bool:
    """Not Wikimedia's other wikis, as `commons`, whose names are longer than a code but for `ten`; nor Simple English.

    English has the list of the paper, without Simple English.
    """
    return re.fullmatch("[a-z]{2,3}(_[a-z0-9_]+)?", wiki) is not None and wiki != "ten"


_OTHERWISE = {
    **{"cmn": "zh", "fil": "tl", "gsw": "als", "in": "id", "iw": "he", "ji": "yi", "lzh": "zh", "mo": "ro", "nb": "no"},
    "simple": "en",
}

_CALLED = """
aa:aar ab:abk ae:ave ak:aka ay:aym,ayr,ayc bi:bis bm:bam ch:cha cr:cre cu:chu dz:dzo ee:ewe ff:ful,fuv,fuc fj:fij fo:fao
ha:hau ho:hmo hz:her ig:ibo ii:iii ik:ipk iu:iku,ike ki:kik kj:kua kl:kal kr:kau,knc kg:kon ks:kas lg:lug ln:lin lu:lub
mh:mah mi:mri na:nau nd:nde ng:ndo nr:nbl nv:nav ny:nya oj:oji om:orm,gaz,hae pi:pli rn:run rw:kin se:sme sg:sag sm:smo
sn:sna ss:ssw st:sot ti:tir tn:tsn to:ton ts:tso tw:twi ty:tah ve:ven wo:wol xh:xho za:zha zu:zul
nan:zh-min-nan rup:roa-rup sgs:bat-smg vro:fiu-vro
"""
_BEYOND = {of: code for code, _, codes in (it.partition(":") for it in _CALLED.split()) for of in codes.split(",")}
"""Of languages beyond LANGUAGES, what a Wikipedia or a label of identification calls otherwise: `hau` is `ha`."""

OPEN_MULTILINGUAL = {
    **{"als": "sq", "arb": "ar", "bul": "bg", "cat": "ca", "cmn": "zh", "dan": "da", "ell": "el", "eus": "eu"},
    **{"fin": "fi", "fra": "fr", "glg": "gl", "heb": "he", "hrv": "hr", "ind": "id", "isl": "is"},
    **{"ita": "it", "jpn": "ja", "lit": "lt", "nld": "nl", "nno": "nn", "nob": "no", "pol": "pl", "por": "pt"},
    **{"ron": "ro", "slk": "sk", "slv": "sl", "spa": "es", "swe": "sv", "tha": "th", "zsm": "ms"},
}
"""Languages of the Open Multilingual Wordnet but English, by their ISO 639-3 codes: `als` is Albanian there."""
