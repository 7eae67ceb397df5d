"""Character references in an HTML attribute's value, which old WATs carry as the page wrote them."""

import re
from html import unescape
from html.entities import html5


def decode_references(value: str) -> str:
    """An attribute's value with its character references decoded once, as browsers do (WHATWG HTML, 13.2.5.72).

    A name without a semicolon stays where "=" or a letter or digit follows: in `?a=1&copy=2` there is no copyright
    sign. In text there would be one, and `html.unescape` knows the rules of text only.

    >>> decode_references("/a?b=1&amp;copy=2&copy=3 caf&eacute &#233;")
    '/a?b=1&copy=2&copy=3 café é'
    """
    return _REFERENCE.sub(_decode, value) if "&" in value else value


_REFERENCE = re.compile(
    "&(?:#(?P<decimal>[0-9]+);?|#x(?P<hexadecimal>[0-9a-f]+);?|(?P<name>[a-z][a-z0-9]*+(?:;|(?!=))))",
    re.IGNORECASE | re.ASCII,
)
_MAX_DIGITS = 7  # more of them, leading zeros left aside, number no character


def _decode(reference: re.Match[str]) -> str:
    if name := reference["name"]:
        return html5.get(name, reference[0])
    digits = (reference["decimal"] or reference["hexadecimal"]).lstrip("0")
    number = int(digits or "0", 10 if reference["decimal"] else 16) if len(digits) <= _MAX_DIGITS else 0
    return unescape(f"&#{number};") or chr(number)  # the library drops controls, which the standard only calls errors
