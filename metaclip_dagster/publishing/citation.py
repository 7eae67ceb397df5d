"""Write CITATION.cff (Citation File Format 1.2.0) for a dataset or a model."""

import re
from datetime import date
from typing import Any

import yaml

from metaclip_dagster.publishing.markdown import is_address
from metaclip_dagster.publishing.publisher import Person, Publisher

NOBODY = "Open: nobody has been named yet"
PAPER = {
    "type": "conference-paper",
    "title": "Demystifying CLIP Data",
    "authors": [
        {"family-names": family, "given-names": given}
        for given, family in (
            ("Hu", "Xu"), ("Saining", "Xie"), ("Xiaoqing Ellen", "Tan"), ("Po-Yao", "Huang"), ("Russell", "Howes"),
            ("Vasu", "Sharma"), ("Shang-Wen", "Li"), ("Gargi", "Ghosh"), ("Luke", "Zettlemoyer"),
            ("Christoph", "Feichtenhofer"),
        )
    ],
    "year": 2023,
    "url": "https://arxiv.org/abs/2309.16671",
    "notes": "arXiv 2309.16671, ICLR 2024",
}  # fmt: skip
"""The method."""


def write_citation(publisher: Publisher, *, title: str, kind: str) -> str:
    """The file's text; `kind` is dataset or software. Where no author is given, the provider is named, or nobody."""
    content: dict[str, Any] = {
        "cff-version": "1.2.0",
        "message": "If you use it, please cite it as below.",
        "title": title,
        "type": kind,
        "authors": [_describe(person) for person in publisher.authors if person.name]
        or [{"name": publisher.provider or NOBODY}],
    }
    if publisher.contact.name:
        content["contact"] = [_describe(publisher.contact)]
    if publisher.version:
        content["version"] = publisher.version
    if is_address(publisher.homepage):
        content["url"] = publisher.homepage
    if released := find_day(publisher.answer("datasheet", "release_date")):
        content["date-released"] = released
    return yaml.safe_dump({**content, "references": [PAPER]}, sort_keys=False, allow_unicode=True, width=110)


def find_day(answer: str) -> str:
    """The answer where it is a day, in ISO 8601, and nothing else; else empty.

    >>> find_day("2026-11-30"), find_day("2026-02-30"), find_day("soon")
    ('2026-11-30', '', '')
    """
    try:
        return answer if date.fromisoformat(answer).isoformat() == answer else ""
    except ValueError:
        return ""


def _describe(person: Person) -> dict[str, str]:
    """An entity of CFF, whose name may be a person's or an organisation's."""
    entity = {"name": person.name}
    if re.fullmatch(r"\S+@\S+\.\S{2,}", person.email):
        entity["email"] = person.email
    if is_address(person.url):
        entity["website"] = person.url
    return entity
