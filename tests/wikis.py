"""Makes up Wikipedias in many scripts, texts of a crawl in their languages, and a model that tells these apart."""

import bz2
import gzip
import random
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.resources.exports import export, page
from tests.resources.fasttext_models import write_model

Words = Mapping[str, Sequence[str]]

LETTERS = {
    "a-z": "cs de es fi fr sw vi hak cr",
    "а-я": "be ru uk",
    "α-ρ": "el",
    "ա-ֆ": "hy",
    "א-ת": "he yi",
    "ا-غ": "ar fa ur ks",
    "क-ह": "hi ne",
    "ক-ন": "bn",
    "ક-ન": "gu",
    "ਕ-ਨ": "pa",
    "క-న": "te",
    "ಕ-ನ": "kn",
    "ക-ന": "ml",
    "ක-ට": "si",
    "ก-ฮ": "th",
    "ა-ჰ": "ka",
    "አ-ኧ": "am ti",
    "Ꭰ-Ꭿ": "chr",
    "가-깋": "ko",
    "一-丿": "zh zh_yue ja",
    "ཀ-ད": "bo",
    "ᐁ-ᐯ": "iu",
    "ⴰ-ⵍ": "zgh",
    "ߊ-ߙ": "nqo",
}
"""The first and the last letter of made-up words, and the Wikipedias that have them, in 24 scripts."""
WIKIS = ["en", "be_x_old", "xx", *(wiki for wikis in LETTERS.values() for wiki in wikis.split())]
"""`xx` is the Wikipedia of no language that there is, and `xx` and `be_x_old` are in Latin and Cyrillic letters."""
SMALL, SILENT = "sw", ("fi", "ka", "ml")
"""A Wikipedia of ten articles; Wikipedias in whose languages no text of the crawl is."""
ODD_TITLES = {"he": "\u202bאב\u202c", "hi": "\u094d\u0902", "ar": "\u0651\u200f", "th": "\u0e31\u0e49"}
"""A title with marks of direction, and titles of combining signs alone."""

_ENGLISH = (
    "owl barn sleeps hoots red flies over the green field at night under a tree with its young near that old river"
)


def make_words(wikis: Sequence[str], num_words: int = 30) -> dict[str, list[str]]:
    """So many words of each Wikipedia, of which no other has one."""
    letters = {wiki: span for span, those in LETTERS.items() for wiki in those.split()}
    letters |= {"be_x_old": "а-я"}
    words = {"en": _ENGLISH.split()}
    taken = {*words["en"]}
    for wiki in wikis:
        first, _, last = letters.get(wiki, "a-z").partition("-")
        alphabet = [*filter(str.isalpha, map(chr, range(ord(first), ord(last) + 1)))]
        draw, listed = random.Random(wiki), words.setdefault(wiki, [])
        while wiki != "en" and len(listed) < num_words:
            word = "".join(draw.choices(alphabet, k=draw.randint(4, 7)))
            if word not in taken:
                taken.add(word)
                listed.append(word)
    return {wiki: words[wiki] for wiki in wikis}


def write_wikis(folder: Path, words: Words, num_articles: int = 40) -> Path:
    """A dump of each Wikipedia, packed, and an hour of views."""
    folder.mkdir(parents=True)
    lines = []
    for wiki, of_wiki in words.items():
        draw = random.Random(f"articles {wiki}")
        titles = [*of_wiki[:10], *([ODD_TITLES[wiki]] if wiki in ODD_TITLES else [])]
        titles += [f"{of_wiki[number % len(of_wiki)]} {number}" for number in range(num_articles - len(titles))]
        pages = [page(title, f"{_sentence(draw, of_wiki, 40)}.") for title in titles[: 10 if wiki == SMALL else None]]
        dump = export(*pages, wiki=f"{wiki}wiki", base=f"https://{wiki}.wikipedia.example/wiki/Main")
        (folder / f"{wiki}wiki-20261101-pages-articles.xml.bz2").write_bytes(bz2.compress(dump))
        domain = "be-tarask" if wiki == "be_x_old" else wiki.replace("_", "-")
        lines += [f"{domain} {title.replace(' ', '_')} {99 - number} 0" for number, title in enumerate(titles)]
    (folder / "pageviews-20261101-000000.gz").write_bytes(gzip.compress("\n".join(lines).encode() + b"\n"))
    return folder


def write_texts(path: Path, words: Words, num_texts: int = 200) -> Path:
    """A table of URLs and texts in these languages, other numbers of them in each, some with numbers."""
    draw, rows = random.Random("texts"), []
    for place, (wiki, of_wiki) in enumerate(words.items()):
        for number in range(0 if wiki in SILENT else num_texts // (1 + place % 7)):
            text = f"{_sentence(draw, of_wiki, 7)} {draw.randrange(300)}"
            rows.append(f"https://{wiki.replace('_', '-')}.example/{number}.jpg\t{text}\n")
    path.write_text("".join(rows), encoding="utf-8")
    return path


def write_identification(path: Path, words: Words) -> str:
    """A model that knows these words, by the codes that lid.176 and GlotLID call the languages."""
    labels = {"zh_yue": "yue", "be_x_old": "bel_Cyrl", "hak": "hak_Hani", "ti": "tir_Ethi", "xx": "zxx_Zzzz"}
    by_label: dict[str, list[str]] = {}
    for wiki, of_wiki in words.items():
        by_label.setdefault(labels.get(wiki, wiki), []).extend(of_wiki)
    return write_model(path, by_label)


def _sentence(draw: random.Random, words: Sequence[str], num_words: int) -> str:
    """Words of a language, the first of them most often, as 1 to 1/2 to 1/3."""
    return " ".join(draw.choices(words, [1 / rank for rank in range(1, len(words) + 1)], k=num_words))
