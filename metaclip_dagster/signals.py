"""Read what metas and HTTP headers say against this use; a signal stands only where somebody says no."""

import itertools
import re
from collections.abc import Collection, Iterable
from operator import itemgetter
from types import MappingProxyType

SIGNALS = MappingProxyType(
    {
        "robots_txt_page": "robots.txt of the page's host disallows the page for one of the agents asked about",
        "robots_txt_image": "robots.txt of the image's host disallows the image for one of the agents asked about",
        "tdmrep_page": "/.well-known/tdmrep.json of the page's host reserves text and data mining of the page",
        "tdmrep_image": "/.well-known/tdmrep.json of the image's host reserves text and data mining of the image",
        "content_usage_robots_page": "a Content-Usage line in robots.txt of the page's host disallows training on it",
        "content_usage_robots_image": "a Content-Usage line in robots.txt of the image's host disallows training on it",
        "meta_robots": "a <meta> for robots in the page says noai, noimageai, noindex, noimageindex or noml",
        "meta_tdm_reservation": 'a <meta name="tdm-reservation"> in the page says 1',
        "x_robots_tag_page": "the page's header X-Robots-Tag says noai, noimageai, noindex, noimageindex or noml",
        "tdm_reservation_page": "the page's header TDM-Reservation says 1",
        "content_usage_page": "the page's header Content-Usage disallows training",
        "x_robots_tag_image": "the image's header X-Robots-Tag says noai, noimageai, noindex, noimageindex or noml",
        "tdm_reservation_image": "the image's header TDM-Reservation says 1",
        "content_usage_image": "the image's header Content-Usage disallows training",
        "c2pa_training_mining": "the image's C2PA manifest does not allow training, by CAWG's training-mining",
    }
)
"""Each signal's name, and when it stands."""

HEADERS = MappingProxyType(
    {"x-robots-tag": "x_robots_tag", "tdm-reservation": "tdm_reservation", "content-usage": "content_usage"}
)
"""The headers that may carry a signal, in lower case, each with its signal's name but for the `_page` or `_image`."""


def read_robots_words(value: str) -> list[str]:
    """The words in a list of directives that say no, in lower case, each once; `none` is noindex and nofollow.

    Whatever else the list says, as `index` beside `noindex`, takes nothing back.

    >>> read_robots_words("NoAI, index nofollow,noindex"), read_robots_words("all, max-image-preview:large")
    (['noai', 'noindex'], [])
    """
    words = _SEPARATORS.split(_VALUED.sub("", value[:_MAX_READ].lower()))
    return list(dict.fromkeys(word for word in words if word in _NO))


def read_robots_tag(value: str) -> list[tuple[str, list[str]]]:
    """What an X-Robots-Tag says no to: the bot that is asked ("" for all), and its words as `read_robots_words`.

    A bot's name holds up to the next one, or to the end of the header.

    >>> read_robots_tag("noai, max-snippet: 5, GoogleBot: noindex, nofollow")
    [('', ['noai']), ('googlebot', ['noindex'])]
    """
    asked: dict[str, list[str]] = {}
    bot = ""
    for part in _VALUED.sub("", value[:_MAX_READ].lower()).split(","):
        name, colon, directives = part.partition(":")
        is_named = bool(colon) and len(name.split()) == 1
        bot = name.strip(" \t*") if is_named else bot
        asked.setdefault(bot, []).extend(read_robots_words(directives if is_named else part))
    return [(bot, list(dict.fromkeys(words))) for bot, words in asked.items() if words]


def read_tdm_reservation(value: str) -> bool:
    """Whether TDM-Reservation reserves the rights to text and data mining (W3C TDMRep, 2024): 1, and nothing else."""
    return value.strip(" \t\r\n\f") == "1"


def read_content_usage(value: str) -> bool:
    """Whether a Content-Usage disallows training on the content (draft-ietf-aipref-vocab-08, attach-05).

    It is a dictionary of RFC 9651. Where `train-ai` is neither `y` nor `n`, `bots` of earlier drafts, automated
    processing of all kinds, stands for it. What cannot be parsed says nothing, by the draft.

    >>> [read_content_usage(usage) for usage in ("search=y, train-ai=n", "train-ai=y;a=n", "bots=n", "Train-AI=n")]
    [True, False, True, False]
    """
    stated: dict[str, str | None] = {}
    text, at = value[: _MAX_READ + 1].strip(" \t"), 0
    while at < len(text):
        member = _MEMBER.match(text, at)
        if not member or len(text) > _MAX_READ:
            return False
        stated[member["key"]] = member["item"]
        at = member.end()
    said = (stated.get(category) for category in ("train-ai", "bots"))
    return next((preference == "n" for preference in said if preference in {"y", "n"}), False)


def read_meta_signals(metas: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """The signals in a page's `<meta>` elements, by name and content: those for robots, and TDMRep's; as of headers.

    >>> read_meta_signals([("Robots", "noai, follow"), ("description", "noai")])
    [{'signal': 'meta_robots', 'value': 'robots: noai'}]
    """
    signals = []
    for name, content in metas:
        meta = name.strip().lower()
        if meta == "tdm-reservation" and read_tdm_reservation(content):
            signals.append(("meta_tdm_reservation", "1"))
        elif _ROBOT.fullmatch(meta) and (words := read_robots_words(content)):
            signals.append(("meta_robots", f"{meta}: {', '.join(words)}"))
    return list_signals(signals)


def read_header_signals(headers: Iterable[tuple[str, str]], about: str) -> list[dict[str, str]]:
    """The signals in the HTTP headers of a page or an image (`about`), sorted, each with its value as `shorten_value`.

    A header that is repeated is one of several lines; of Content-Usage they make one dictionary.

    >>> read_header_signals([("X-Robots-Tag", "gptbot: noai"), ("TDM-Reservation", "0")], "page")
    [{'signal': 'x_robots_tag_page', 'value': 'gptbot: noai'}]
    """
    values: dict[str, list[str]] = {}
    for name, value in headers:
        if name.lower() in HEADERS:
            values.setdefault(HEADERS[name.lower()], []).append(value)
    signals = [
        ("x_robots_tag", f"{bot}: {', '.join(words)}" if bot else ", ".join(words))
        for value in values.get("x_robots_tag", ())
        for bot, words in read_robots_tag(value)
    ]
    if any(map(read_tdm_reservation, values.get("tdm_reservation", ()))):
        signals.append(("tdm_reservation", "1"))
    if read_content_usage(usage := ", ".join(values.get("content_usage", ()))):
        signals.append(("content_usage", usage))
    return list_signals((f"{signal}_{about}", value) for signal, value in signals)


def keep_out(headers: Iterable[tuple[str, str]], *, words: Collection[str], agent: str) -> bool:
    """Whether an image's HTTP headers ask `agent`, in lower case, to leave it alone: it is not to be fetched.

    TDM-Reservation and Content-Usage ask everybody; X-Robots-Tag counts where it asks all or the agent, by `words`.

    >>> tags = ("all, NoAI", "noai max-image-preview:none", "otherbot: noai, noai", "otherbot: all, mine: noai", "none")
    >>> [keep_out([("X-Robots-Tag", tag)], words={"noai"}, agent="mine") for tag in tags]
    [True, True, False, True, False]
    >>> keep_out([("TDM-Reservation", "0"), ("TDM-Reservation", "1")], words={"noai"}, agent="mine")
    True
    """
    headers = list(headers)
    tags = [tag for name, value in headers if name.lower() == "x-robots-tag" for tag in read_robots_tag(value)]
    said = {"noindex" if word == "none" else word for bot, of_bot in tags if bot in {"", agent} for word in of_bot}
    others = [signal for signal in read_header_signals(headers, "image") if signal["signal"] != "x_robots_tag_image"]
    return bool(others) or not said.isdisjoint(words)


def list_signals(signals: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """Signals as tables hold them: sorted, each once, with values as `shorten_value`; of one signal the first 10.

    Each of a page's images has them all, so a page that says no to thousands of bots would fill the disk.
    """
    distinct = sorted({(signal, shorten_value(value)) for signal, value in signals})
    groups = (itertools.islice(of_signal, _MAX_VALUES) for _, of_signal in itertools.groupby(distinct, itemgetter(0)))
    return [{"signal": signal, "value": value} for of_signal in groups for signal, value in of_signal]


def merge_signals(*lists: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Several lists of signals as one, sorted."""
    return list_signals((signal["signal"], signal["value"]) for signals in lists for signal in signals)


def shorten_value(value: str) -> str:
    """What a stranger's server said, in one line of 200 characters at most, with nothing but what can be printed."""
    printable = "".join(c if c.isprintable() else " " for c in value[:_MAX_READ])
    return " ".join(printable.split())[:_MAX_VALUE].rstrip()


# The names of robots that have none of these words in them are few.
_ROBOT = re.compile(
    r"[\w.-]{0,40}(?:bot|spider|crawler)[\w.-]{0,40}|slurp|teoma|yandex|google-extended|anthropic-ai|cohere-ai|claude-web"
)
_MAX_READ = 8192  # servers send no longer headers
_MAX_VALUE = 200
_MAX_VALUES = 10  # of one signal
_SEPARATORS = re.compile(r"[\s,;]+")
_NO = frozenset(("noai", "noimageai", "noindex", "noimageindex", "noml", "none"))
# Directives with a value: their colon names no bot, and the `none` of a preview says nothing of the page.
_VALUED = re.compile(r"\b(?:unavailable_after\s*:[^,;]*|max-(?:snippet|(?:image|video)-preview)\s*:\s*[\w-]*)")
# RFC 9651, 3.2: no quantifier gives back what it took, so reading is linear.
_KEY = r"[a-z*][a-z0-9_.*-]*+"
_ITEM = (
    r'(?:"(?:[ !#-\[\]-~]|\\["\\])*+"|%"[ !#-~]*+"|:[A-Za-z0-9+/=]*+:|\?[01]|@?-?[0-9]{1,15}(?:\.[0-9]{1,3})?'
    r"|[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]*+)"
)
_PARAMETERS = rf"(?:;[ ]*+{_KEY}(?:={_ITEM})?)*+"
_INNER_LIST = rf"\([ ]*+(?:{_ITEM}{_PARAMETERS}(?:[ ]++|(?=\))))*+\)"
_MEMBER = re.compile(
    rf"(?P<key>{_KEY})(?:=(?P<item>{_ITEM}|{_INNER_LIST}))?{_PARAMETERS}[ \t]*+(?:$|,[ \t]*+(?=[a-z*]))"
)
