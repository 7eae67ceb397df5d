"""The web sites of the sample: who hosts what, under which addresses, and how they phrase a skin-tone drawing."""

from dataclasses import dataclass

from data.builder.names import Emoji


@dataclass(frozen=True)
class Site:
    """A web site. `address` is an image's path with {hexcode} or {slug}, `writing` how its pages write that down."""

    host: str
    address: str = "/img/{hexcode}.webp"
    writing: str = "root"
    phrasing: str = ""
    charset: str = "utf-8"

    def image_path(self, emoji: Emoji) -> str:
        """Where the site keeps an emoji's drawing."""
        slug = "-".join("".join(c if c.isalnum() else " " for c in emoji.labels["en"].lower()).split())
        return self.address.format(hexcode=emoji.hexcode, slug=slug)

    def phrase(self, emoji: Emoji) -> str:
        """A skin-tone drawing's name in this site's own words."""
        name, _, tone = emoji.labels["en"].partition(": ")
        return self.phrasing.format(name=name, tone=tone, Tone=tone[:1].upper() + tone[1:])


DESIGNERS = {
    "noto": Site("noto-emoji.example"),
    "fluent": Site("fluent-emoji.example", "/assets/{hexcode}_3d.webp", "relative"),
    "openmoji": Site("openmoji-drawings.example", "/color/{hexcode}.webp", "absolute"),
}

# Three languages have sites of their own; the others are paths of the Noto site and show its images.
LANGUAGE_SITES = {
    "ja": Site("emoji-ja.example", "/e/{hexcode}.webp", charset="shift_jis"),
    "ru": Site("emoji-ru.example", "/kartinki/{hexcode}.webp", charset="koi8-r"),
    "de": Site("emoji-de.example", "/bilder/{hexcode}.webp", "base", charset="windows-1252"),
}
# The charset of some of the pages of a language; the rest is UTF-8.
LEGACY_CHARSETS = {"ko": "euc-kr", "fr": "windows-1252", "en": "windows-1252"}

HOSTS = (
    Site("emoji-wall.example", "/e/{hexcode}.webp", "root", "{name}: {tone}"),
    Site("chat-smileys.example", "/s/{hexcode}.webp", "absolute", "{name} {tone} emoji"),
    Site("clipart-barn.example", "/clipart/{slug}.webp", "root", "clip art of {name}, {tone}"),
    Site("icon-drawer.example", "/icons/{hexcode}-48.webp", "relative", "{Tone} {name} icon", "windows-1252"),
    Site("sticker-shelf.example", "/img/{hexcode}.webp", "base", "{name} ({tone})"),
    Site("picture-words.example", "/p/{slug}.webp", "root", "picture of {name} with {tone}"),
    Site("forum-faces.example", "/smf/{hexcode}.webp", "protocol", "{name} sticker, {tone}"),
    Site("free-drawings.example", "/d/{hexcode}.webp", "root", "free {name} clipart {tone}"),
    Site("reaction-box.example", "/r/{hexcode}.webp", "absolute", "{tone} {name}"),
    Site("pictogram-list.example", "/list/{hexcode}.webp", "relative", "emoji of {name} in {tone}"),
    Site("keyboard-art.example", "/k/{hexcode}.webp", "root", "{name} symbol, {tone}"),
    Site("avatar-shop.example", "/a/{hexcode}.webp", "base", "a {name} with a {tone}"),
    Site("mood-pictures.example", "/m/{hexcode}.webp", "root", "{Tone} {name} sign"),
    Site("message-images.example", "/i/{hexcode}.webp", "protocol", "{name} message image ({tone})"),
)
NEW_HOST = Site("fresh-emoji.example", "/new/{hexcode}.webp", "root", "{name} drawing, {tone}")

LOGO_PATH = "/logo.webp"
LOGO_EMOJI = "1f5bc"
