"""MediaWiki exports made for tests."""

from html import escape

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
