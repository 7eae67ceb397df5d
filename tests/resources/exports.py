"""MediaWiki exports, and wordnets of other languages, made for tests."""

import zipfile
from html import escape
from pathlib import Path

ALWAYS, NEVER, DOG, RED = "00019339-r", "00020759-r", "02084071-n", "00381097-a"
"""Synsets of WordNet 3.0, as the Open Multilingual Wordnet names them; red is of a cluster of adjectives."""
WORDNETS = {
    "fra/wn-data-fra.tab": f"{ALWAYS}\tfra:lemma\ttoujours\n{DOG}\tfra:lemma\tchien\n{DOG}\tfra:def\tun animal\n",
    "cow/wn-data-cmn.tab": f"{ALWAYS}\tcmn:lemma\t始终+地\n{NEVER}\tcmn:lemma\t决不\n{RED}\tcmn:lemma\t红+的\n",
    "als/wn-data-als.tab": f"{ALWAYS}\tals:lemma\tnë çdo kohë\n",
    "msi/wn-data-ita.tab": f"{ALWAYS}\tlemma\tsempre\n{NEVER}\tlemma\tsempre\n{DOG}\tita:lemma\tcane\n",
    "iwn/wn-data-ita.tab": f"{NEVER}\tita:lemma\tgiam_mai\n",
    "arb/wn-data-arb.tab": f"{NEVER}\tarb:lemma\tأبدا\n{NEVER}\tarb:lemma\tأَبَدا\n",
}
UNLICENSED = {"msi/wn-data-ita.tab"}
"""Its head names no licence, and there is no text of one."""

NAMES = {"enwiki": ("Talk", "File", "Category"), "dewiki": ("Diskussion", "Datei", "Kategorie")}


def page(title: str, text: str = "", *, ns: int = 0, redirect: str | None = None) -> str:
    """A page as an export has it."""
    moved = "" if redirect is None else f'<redirect title="{escape(redirect)}" />'
    return (
        f"<page><title>{escape(title)}</title><ns>{ns}</ns><id>1</id>{moved}<revision><id>2</id><contributor>"
        f'<username>A</username></contributor><comment>c</comment><text xml:space="preserve">{escape(text)}</text>'
        "</revision></page>\n"
    )


def export(
    *pages: str, wiki: str = "enwiki", base: str = "https://en.wikipedia.org/wiki/Main_Page", version: str = "0.11"
) -> bytes:
    """An export of these pages."""
    names = zip((1, 6, 14), NAMES.get(wiki, NAMES["enwiki"]), strict=True)
    namespaces = "".join(f'<namespace key="{key}" case="first-letter">{name}</namespace>' for key, name in names)
    return (
        f'<mediawiki xmlns="http://www.mediawiki.org/xml/export-{version}/" xml:lang="en">\n'
        f"<siteinfo><sitename>W</sitename><dbname>{wiki}</dbname><base>{base}</base>"
        f'<namespaces><namespace key="0" case="first-letter" />{namespaces}</namespaces></siteinfo>\n'
        f"{''.join(pages)}</mediawiki>\n"
    ).encode()


def write_wordnets(nltk_data: Path) -> Path:
    """A small Open Multilingual Wordnet beside WordNet, as nltk's package has it."""
    with zipfile.ZipFile(nltk_data / "corpora" / "omw-1.4.zip", "w") as package:
        for directory in sorted({"omw-1.4/", *(f"omw-1.4/{name.partition('/')[0]}/" for name in WORDNETS)}):
            package.writestr(directory, "")
        for name, lines in WORDNETS.items():
            language = name[-len("fra.tab") :].removesuffix(".tab")
            head = f"# Wordnet {name[:3]}\t{language}\thttp://{name[:3]}.example/\tCC BY 3.0 \n"
            package.writestr(f"omw-1.4/{name}", f"# {name}\n{lines}" if name in UNLICENSED else head + lines)
            if name not in UNLICENSED:
                package.writestr(f"omw-1.4/{name.partition('/')[0]}/LICENSE", f"Terms of {name}.\n")
    return nltk_data
