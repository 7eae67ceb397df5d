"""What sites say about the use of what they show: in heads, footers, HTTP headers, robots.txt and tdmrep.json."""

import json
from dataclasses import dataclass

from data.builder.draws import draw

LICENSES = {
    "noto": "https://www.apache.org/licenses/LICENSE-2.0",
    "fluent": "https://opensource.org/license/mit",
    "openmoji": "https://creativecommons.org/licenses/by-sa/4.0/",
}
# Said of whatever the host shows, in the headers of its pages.
PAGE_HEADERS = {
    "message-images.example": (("X-Robots-Tag", "noml"), ("X-Robots-Tag", "otherbot: nofollow")),
    "reaction-box.example": (("TDM-Reservation", "1"), ("TDM-Policy", "http://reaction-box.example/policy.json")),
    "keyboard-art.example": (("Content-Usage", "search=y, train-ai=n"),),
}


@dataclass(frozen=True)
class Answer:
    """What a host answers to a robot that asks for a file of rules."""

    url: str
    body: bytes
    status: str = "200 OK"
    content_type: str = "text/plain"
    location: str = ""


def head_lines(host: str, path: str, designer: str) -> list[str]:
    """What a page says in its head; most pages say nothing."""
    chance = draw("head", host, path)
    if host == "picture-words.example" and chance < 0.5:
        return ['<meta name="robots" content="noai, noimageai">']
    if host == "sticker-shelf.example" and chance < 0.3:
        return ['<meta content="index, follow" name="ROBOTS">', '<meta name="googlebot" content="NOINDEX">']
    if host == "icon-drawer.example" and chance < 0.5:
        return ['<meta name="tdm-reservation" content="1">']
    if host == "forum-faces.example":
        return ['<meta name="robots" content="index, follow, max-image-preview:large">']
    if host == "noto-emoji.example" and chance < 0.5:
        return [f'<link rel="license" href="{LICENSES[designer]}">']
    return []


def footer_lines(host: str, path: str, designer: str, addresses: list[str]) -> list[str]:
    """What a page says of its drawings' licence, and only what is true: in a link, in JSON-LD, or not at all."""
    chance, license_url = draw("footer", host, path), LICENSES[designer]
    if host == "fluent-emoji.example" and chance < 0.5:
        return [f'<p>All drawings but the logo: <a rel="nofollow license" href="{license_url}">MIT</a></p>']
    if host == "openmoji-drawings.example" and chance < 0.4:
        return [f'<p>All drawings but the logo: <a rel="license" href="{license_url}">this licence</a></p>']
    if host == "openmoji-drawings.example" and chance < 0.7:
        images = [{"@type": "ImageObject", "contentUrl": address, "license": license_url} for address in addresses[::2]]
        return [f'<script type="application/ld+json">{json.dumps({"@graph": images})}</script>']
    if host in {"openmoji-drawings.example", "fresh-emoji.example"} and chance < 0.9:
        return [f'<p>All drawings but the logo are under <a href="{license_url}deed.en">CC BY-SA 4.0</a>.</p>']
    if host == "free-drawings.example" and chance < 0.5:
        kinds = ("by", "by-sa", "by-nc")
        links = (f'<a href="http://creativecommons.org/licenses/{kind}/4.0/">CC {kind.upper()}</a>' for kind in kinds)
        return [f"<p>Licences explained: {', '.join(links)}</p>"]
    return []


def rule_answers(hosts: list[str]) -> list[Answer]:
    """What each host answers when asked for robots.txt, redirects followed; one has a tdmrep.json too."""
    return [answer for host in hosts for answer in _SPECIAL.get(host, (_robots(host, _rules(host)),))]


def _robots(host: str, rules: str | bytes, status: str = "200 OK") -> Answer:
    return Answer(f"http://{host}/robots.txt", rules if isinstance(rules, bytes) else rules.encode(), status)


def _rules(host: str) -> str:
    delay = "Crawl-delay: 2\n" if draw("delay", host) < 0.3 else ""
    return f"User-agent: *\n{delay}Disallow: /admin/\n\nSitemap: http://{host}/sitemap.xml\n"


_MOVED = "https://www.emoji-ja.example/robots.txt"
_SPECIAL = {
    "avatar-shop.example": (
        _robots(
            "avatar-shop.example",
            "User-agent: *\nDisallow:\n\n# no training, please\nUser-agent: GPTBot\nUser-agent: CCBot\nDisallow: /\n",
        ),
    ),
    "pictogram-list.example": (
        _robots("pictogram-list.example", "User-agent: *\nDisallow: /fluent/list/\nAllow: /fluent/list/1f\n"),
    ),
    "mood-pictures.example": (
        _robots("mood-pictures.example", "User-agent: *\nAllow: /\nContent-Usage: /noto/ train-ai=n\n"),
    ),
    "clipart-barn.example": (_robots("clipart-barn.example", "<h1>No such page</h1>\n", "404 Not Found"),),
    "emoji-ru.example": (_robots("emoji-ru.example", b"\xef\xbb\xbfUser-agent: *\r\nDisallow: /ru/emoji-1.html\r\n"),),
    "emoji-ja.example": (
        Answer("http://emoji-ja.example/robots.txt", b"", "301 Moved Permanently", location=_MOVED),
        Answer(_MOVED, b"User-agent: *\nAllow: /\n\nUser-agent: GPTBot\nDisallow: /e/\n"),
    ),
    "emoji-de.example": (
        _robots("emoji-de.example", _rules("emoji-de.example")),
        Answer(
            "http://emoji-de.example/.well-known/tdmrep.json",
            b'[{"location": "/bilder/*", "tdm-reservation": 1, "tdm-policy": "http://emoji-de.example/tdm.json"}]\n',
            content_type="application/json",
        ),
    ),
}
