"""Write Markdown from templates, in which every value that a crawl, a list or a person gave stands as mere text."""

import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from metaclip_dagster.reporting.html.text import reveal

_MARKS = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$&:@=^])")
MAX_ANSWER = 20_000


class Markdown(str):
    """Text that is Markdown already, and is not escaped."""

    __slots__ = ()


def escape_markdown(text: object, most: int = MAX_ANSWER) -> Markdown:
    r"""Text in one line that no Markdown reader takes for anything but text: no link, heading, HTML or rule.

    Characters that hide or reorder others are written out, and what is longer than `most` is cut.

    >>> escape_markdown("[x](javascript:1)\n---")
    '\\[x\\]\\(javascript\\:1\\) \\-\\-\\-'
    """
    return (
        text if isinstance(text, Markdown) else Markdown(_MARKS.sub(r"\\\1", reveal(" ".join(str(text).split()), most)))
    )


def escape_paragraphs(text: str) -> Markdown:
    r"""Text of several paragraphs, each escaped; an empty line parts them.

    >>> escape_paragraphs("a\nb\n\n# c")
    'a b\n\n\\# c'
    """
    return Markdown("\n\n".join(escape_markdown(part) for part in re.split(r"\n\s*\n", text.strip())))


def render_markdown(template: str, **values: Any) -> str:
    """The text of a template in this package, such as `dataset_card.md`; what it prints is escaped.

    Filters: `number` (1,234), `percent`, `paragraphs`, and `code` for what a program wrote. Raises
    jinja2.UndefinedError for a value that is not there.
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
        "percent": lambda share: Markdown("none" if share is None else f"{share:.1%}"),
        "paragraphs": escape_paragraphs,
        "code": write_code,
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
