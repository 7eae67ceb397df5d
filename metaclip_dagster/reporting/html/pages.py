"""Render a page from a Jinja2 template, where whatever the template did not write is text."""

import base64
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from metaclip_dagster.reporting.html.numbers import compact_number, duration, number, percent, share
from metaclip_dagster.reporting.html.text import isolate, reveal, split_code


def render(template: str, **values: object) -> str:
    """The page of a template, such as `cards/card.html`, in this package; every value in it is escaped.

    Raises jinja2.UndefinedError where the template asks for a value that is not there.
    """
    return _environment().get_template(template).render(values)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("metaclip_dagster.reporting", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "base64": lambda png: base64.b64encode(png).decode("ascii"),
        "compact": compact_number,
        "duration": duration,
        "isolate": isolate,
        "number": number,
        "percent": percent,
        "split_code": split_code,
        "reveal": reveal,
    }
    environment.globals["share"] = share
    return environment
