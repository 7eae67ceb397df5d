"""Write Markdown from templates, in which every value that a crawl, a list or a person gave stands as mere text."""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metaclip_dagster.reporting.html.numbers import percent
from metaclip_dagster.reporting.html.text import reveal

# What begins a block begins the line; the rest stands anywhere: spans, links, HTML, mathematics, bare addresses.
_MARKS = re.compile(r"(^[\-+=#]|[\\`*_{}\[\]()<>!|~$&@^]|:(?=//)|(?<=www)\.)", re.IGNORECASE)
MAX_ANSWER = 20_000


class Markdown(str):
    """Text that is Markdown already, and is not escaped."""

    __slots__ = ()


def escape_markdown(text: object, most: int = MAX_ANSWER) -> Markdown:
    r"""Text in one line that no Markdown reader takes for anything but text: no link, heading, HTML or rule.

    Characters that hide or reorder others are written out, and what is longer than `most` is cut.

    >>> escape_markdown("[x](javascript:1)\n---")
    '\\[x\\]\\(javascript:1\\) ---'
    """
    if isinstance(text, Markdown):
        return text
    line = _MARKS.sub(r"\\\1", reveal(" ".join(str(text).split()), most))
    return Markdown(re.sub(r"^(\d+)\.", r"\1\\.", line))


def escape_paragraphs(text: str) -> Markdown:
    r"""Text of several paragraphs, each escaped; an empty line parts them.

    >>> escape_paragraphs("a\nb\n\n# c")
    'a b\n\n\\# c'
    """
    return Markdown("\n\n".join(escape_markdown(part) for part in re.split(r"\n\s*\n", text.strip())))


def render_markdown(template: str, **values: Any) -> str:
    """The text of a template in this package, such as `dataset_card.md`; what it prints is escaped.

    Filters: `number` (1,234), `percent`, `paragraphs`, `code` for a span, `link` for an address, `raw` for what is ours
    and Markdown already. Raises jinja2.UndefinedError for a value that is not there.
    """
    return re.sub(r"\n{3,}", "\n\n", _environment().get_template(template).render(values)).strip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(  # noqa: S701  # Markdown, which `finalize` escapes
        loader=PackageLoader("metaclip_dagster.publishing", "templates"),
        finalize=escape_markdown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": lambda number: Markdown(f"{number:,}"),
        "percent": lambda share: Markdown(percent(share)),
        "paragraphs": escape_paragraphs,
        "code": write_code,
        "link": write_link,
        "raw": Markdown,
    }
    return environment


def write_code(text: object) -> Markdown:
    """A code span that nothing in the text can end: its fence is longer than any run of backticks in it.

    >>> write_code("a`b")
    '`` a`b ``'
    """
    line = reveal(" ".join(str(text).split()), MAX_ANSWER)
    longest = max(map(len, re.findall("`+", line)), default=0)
    blank = " " * bool(longest)
    return Markdown(f"{'`' * (longest + 1)}{blank}{line}{blank}{'`' * (longest + 1)}")


def write_link(text: str) -> Markdown:
    """An address of the web as a link, anything else as text.

    >>> write_link("https://a.example/x"), write_link("javascript:1")
    ('<https://a.example/x>', 'javascript:1')
    """
    return Markdown(f"<{text}>") if is_address(text) else escape_markdown(text)


def is_address(text: str) -> bool:
    """Whether the text is an address of the web, without characters that could end a link."""
    return re.fullmatch(r"https?://[\w\-.~:/?#@!$&'()*+,;=%]+", text, re.ASCII) is not None
