"""A page of pictures -> its HTML, in the several hands that the web is written in."""

from dataclasses import dataclass, field
from html import escape

from data.builder.draws import draw
from data.builder.sites import LOGO_PATH
from data.builder.statements import footer_lines, head_lines

PLACEHOLDER = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


@dataclass(frozen=True)
class Picture:
    """One image tag: where the image is, which drawing it is, and the texts it bears."""

    host: str
    path: str
    drawing: tuple[str, str]
    alt: str | None
    title: str | None = None
    data_title: str | None = None

    @property
    def url(self) -> str:
        """The address that all writings of it resolve to."""
        return f"http://{self.host}{self.path}"


@dataclass(frozen=True)
class Page:
    """One page of a site; `writing` is how it writes its image addresses."""

    host: str
    path: str
    language: str
    title: str
    pictures: list[Picture] = field(repr=False)
    writing: str = "root"
    charset: str = "utf-8"

    @property
    def url(self) -> str:
        """The address that all writings of it resolve to."""
        return f"http://{self.host}{self.path}"

    def is_broken(self) -> bool:
        """Whether its HTML leaves tags open and closes others that nobody opened."""
        return draw("broken", self.url) < 0.03

    def is_lazy(self, picture: Picture) -> bool:
        """Whether the page shows a placeholder until somebody scrolls: its image is not in src."""
        return draw("lazy", self.url, picture.url) < 0.008


def render(page: Page) -> bytes:
    """The page's body in its charset; what the charset lacks becomes a numeric entity, as browsers send it."""
    base = f'<base href="{_base(page)}">\n' if page.writing == "base" else ""
    title = escape(page.title, quote=False)
    designer, addresses = page.pictures[0].drawing[0], [picture.url for picture in page.pictures]
    head = "".join(f"{line}\n" for line in head_lines(page.host, page.path, designer))
    lines = [
        f'<!DOCTYPE html>\n<html lang="{page.language}">\n<head>\n<title>{title}</title>\n{head}{base}</head>\n<body>',
        f'<p><a href="/"><img src="{_written(page, page.host, LOGO_PATH)}" alt="{page.host} logo"></a></p>',
        f"<h1>{title}</h1>" if not page.is_broken() else f"<h1>{title}<b>",
        *(_tag(page, picture) for picture in page.pictures),
        *footer_lines(page.host, page.path, designer, addresses),
        '<p><a href="/about.html">about</a></p>\n</body>\n</html>\n' if not page.is_broken() else "<p>about</div></td>",
    ]
    return encode("\n".join(lines), page.charset)


def encode(text: str, charset: str) -> bytes:
    """Bytes that every decoder of the charset reads alike: Windows' and the standard's Shift JIS differ in a few."""
    if charset == "shift_jis":
        text = "".join(c if _agreed(c) else f"&#{ord(c)};" for c in text)
    return text.encode(charset, "xmlcharrefreplace")


def _agreed(character: str) -> bool:
    try:
        return character.encode("shift_jis") == character.encode("cp932")
    except UnicodeEncodeError:
        return False


def _tag(page: Page, picture: Picture) -> str:
    written = _written(page, picture.host, picture.path)
    src = f'src="{PLACEHOLDER}" data-src="{written}"' if page.is_lazy(picture) else f'src="{written}"'
    texts = {"alt": picture.alt, "title": picture.title, "data-image-title": picture.data_title}
    attributes = "".join(f' {name}="{_escape(page, text)}"' for name, text in texts.items() if text is not None)
    tag = f"<img {src}{attributes}>"
    return f"<li>{tag}" if page.is_broken() else f"<p>{tag}</p>"


def _escape(page: Page, text: str) -> str:
    """Escaped as HTML wants it; a few pages write a letter, or all that is not ASCII, as numeric entities."""
    escaped = escape(text)
    chance = draw("entities", page.url, text)
    if chance < 0.02:
        return escaped.encode("ascii", "xmlcharrefreplace").decode()
    if chance < 0.03 and text[:1].isalpha():
        return f"&#x{ord(text[0]):x};{escape(text[1:])}"
    return escaped


def _base(page: Page) -> str:
    """The folder of the page's images, absolute or from the root."""
    folder = page.pictures[0].path.rsplit("/", 1)[0] + "/"
    return folder if draw("base", page.url) < 0.3 else f"http://{page.host}{folder}"


def _written(page: Page, host: str, path: str) -> str:
    """An image's address as the page writes it; resolved against page and base it is the image's URL again."""
    if host != page.host or page.writing == "absolute":
        return f"http://{host}{path}"
    if page.writing == "protocol":
        return f"//{host}{path}"
    if page.writing == "relative":
        return "../" * (page.path.count("/") - 1) + path[1:]
    if page.writing == "base" and path != LOGO_PATH:
        return path.rsplit("/", 1)[1]
    return path
