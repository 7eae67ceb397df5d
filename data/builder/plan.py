"""Names, drawings and sites -> the pages of each snapshot; what a page shows is decided here and nowhere else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from data.builder.draws import draw
from data.builder.names import LANGUAGES, Emoji, Names
from data.builder.pages import Page, Picture
from data.builder.sites import DESIGNERS, HOSTS, LANGUAGE_SITES, LEGACY_CHARSETS, NEW_HOST, Site
from data.builder.texts import alt_text, with_tags

GALLERY_LENGTH = 36
LONG_GALLERY_LENGTH = 96
HOST_PAGE_LENGTH = 220
HOSTED_SHARE = 0.95
TAG_PAGE_SHARE = 0.3
WAITING_SHARE = 1 / 3
NEW_TONED_SHARE = 0.15
AGAIN_SHARE = 0.2

Shown = tuple[Emoji, str | None]


@dataclass(frozen=True)
class Snapshot:
    """One crawl: the pages met for the first time and those met again, unchanged."""

    id: str
    month: int
    new: list[Page]
    again: list[Page]

    def pages(self) -> list[Page]:
        """All pages of the crawl, by address."""
        return sorted((*self.new, *self.again), key=lambda page: page.url)


@dataclass(frozen=True)
class Section:
    """What numbered pages of a site share: a designer's drawings, a language, how many pictures, where images lie."""

    site: Site
    designer: str
    language: str
    path: str
    length: int
    titles: dict[str, str] = field(default_factory=dict)
    folder: str = ""


def plan_snapshots(names: Names, drawings: dict[str, dict[str, bytes]]) -> list[Snapshot]:
    """Noto and ten languages; then Fluent and most of OpenMoji; then, waiting, the rest of OpenMoji and a new host."""
    drawn = {
        designer: [emoji for emoji in names.seen() if emoji.hexcode in drawings[designer]] for designer in drawings
    }
    base_openmoji = [emoji for emoji in drawn["openmoji"] if not emoji.toned]
    waiting = [emoji for emoji in base_openmoji if _waits(emoji)]
    new_toned = [e for e in drawn["openmoji"] if e.toned and draw("new toned", e.hexcode) < NEW_TONED_SHARE]
    first = [
        *_galleries("noto", names, drawn["noto"]),
        *(page for language in LANGUAGES[1:] for page in _language_pages(language, names, drawn["noto"])),
        *(page for host in HOSTS for page in _host_pages(host, "noto", drawn["noto"])),
    ]
    second = [
        *_galleries("fluent", names, drawn["fluent"]),
        *_galleries("openmoji", names, [emoji for emoji in base_openmoji if not _waits(emoji)]),
        *(page for host in HOSTS for page in _host_pages(host, "fluent", drawn["fluent"])),
    ]
    third = [
        *_galleries("openmoji", names, waiting, part="more"),
        *_host_pages(NEW_HOST, "openmoji", [*waiting, *new_toned], share=1),
    ]
    return [
        Snapshot("SAMPLE-2026-01", 1, first, []),
        Snapshot("SAMPLE-2026-02", 2, second, _again(first, 2)),
        Snapshot("SAMPLE-2026-03", 3, third, _again([*first, *second], 3)),
    ]


def _waits(emoji: Emoji) -> bool:
    return draw("waits", emoji.hexcode) < WAITING_SHARE


def _again(pages: list[Page], month: int) -> list[Page]:
    return [page for page in pages if draw("again", month, page.url) < AGAIN_SHARE]


def _galleries(designer: str, names: Names, emoji: list[Emoji], part: str = "emoji") -> Iterator[Page]:
    """A designer's own pages: one group after another, then pages that show base drawings with their tags."""
    site, titles = DESIGNERS[designer], names.titles["en"]
    for group, members in groupby(emoji, key=lambda one: one.group):
        shown = [(one, alt_text(one, "en", one.labels["en"], designer)) for one in members]
        yield from _pages(Section(site, designer, "en", f"/{part}/{group}", GALLERY_LENGTH, titles), shown)
    tagged = [one for one in emoji if not one.toned and draw("tag page", designer, one.hexcode) < TAG_PAGE_SHARE]
    shown = [(one, with_tags(one, "en")) for one in tagged]
    yield from _pages(Section(site, designer, "en", f"/{part}/tags", LONG_GALLERY_LENGTH, titles), shown)


def _language_pages(language: str, names: Names, emoji: list[Emoji]) -> Iterator[Page]:
    """Base drawings under their names in another language, on a site of that language or a path of the Noto site."""
    site = LANGUAGE_SITES.get(language, DESIGNERS["noto"])
    shown = [(one, alt_text(one, language, one.labels[language], "noto")) for one in emoji if not one.toned]
    path, titles = f"/{language}/emoji", names.titles[language]
    yield from _pages(Section(site, "noto", language, path, LONG_GALLERY_LENGTH, titles), shown)


def _host_pages(site: Site, designer: str, emoji: list[Emoji], share: float = HOSTED_SHARE) -> Iterator[Page]:
    """Skin-tone drawings (with share 1: all that is given) in a site's own words: what makes the pool head-heavy."""
    given = [one for one in emoji if share == 1 or (one.toned and draw("hosted", site.host, one.hexcode) < share)]
    shown = [(one, alt_text(one, "en", _name(site, one), site.host)) for one in given]
    path = f"/{designer}/gallery"
    yield from _pages(Section(site, designer, "en", path, HOST_PAGE_LENGTH, folder=f"/{designer}"), shown)


def _name(site: Site, emoji: Emoji) -> str:
    return site.phrase(emoji) if emoji.toned else f"{emoji.labels['en']} drawing"


def _pages(section: Section, shown: Sequence[Shown]) -> Iterator[Page]:
    """The section's pages, numbered from 1, each under the title of its first picture's subgroup."""
    for number, start in enumerate(range(0, len(shown), section.length), start=1):
        path = f"{section.path}-{number}.html"
        some = shown[start : start + section.length]
        yield Page(
            host=section.site.host,
            path=path,
            language=section.language,
            title=section.titles.get(some[0][0].subgroup, f"gallery, page {number}"),
            pictures=[_picture(section, path, emoji, alt) for emoji, alt in some],
            writing=section.site.writing,
            charset=_charset(section.site, section.language, path),
        )


def _picture(section: Section, path: str, emoji: Emoji, alt: str | None) -> Picture:
    """A few pictures bear their name in title as well, or instead, or only where a script reads it."""
    address = section.folder + section.site.image_path(emoji)
    picture = Picture(section.site.host, address, (section.designer, emoji.hexcode), alt)
    chance = draw("title", section.site.host, path, emoji.hexcode)
    if alt and chance < 0.015:
        return replace(picture, title=with_tags(emoji, section.language))
    if alt and chance < 0.03:
        return replace(picture, alt=None, title=alt)
    if not alt and chance < 0.3:
        return replace(picture, data_title=emoji.labels[section.language])
    return picture


def _charset(site: Site, language: str, path: str) -> str:
    """A site's own charset on its older pages, a legacy one on a few pages of the others."""
    if site.charset != "utf-8":
        return site.charset if draw("old page", site.host, path) < 0.5 else "utf-8"
    old = language in LEGACY_CHARSETS and draw("old page", site.host, path) < 0.06
    return LEGACY_CHARSETS[language] if old else "utf-8"
