"""Write the README.md of a dataset repository: YAML for the Hugging Face Hub, and prose with the parts' numbers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import yaml

from metaclip_dagster.publishing.markdown import Markdown, escape_markdown, render_markdown, write_link
from metaclip_dagster.publishing.parts import Part
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.publishing.sentences import (
    OPEN,
    RIGHTS,
    are_of_one_pool,
    describe_collection,
    describe_dataset,
    describe_limits,
    describe_stages,
    is_of_common_crawl,
    list_snapshots,
)
from metaclip_dagster.schemas import SUBSETS

TITLE = "Image–text pairs balanced by metadata"
_TAGS = ["clip", "metaclip", "image-text-pairs", "data-curation"]
_MAX_VALUE = 200


def render_dataset_card(parts: Sequence[Part], publisher: Publisher) -> str:
    """The card of a folder that holds these parts, in ascending order of t."""
    default = parts[0]
    return render_markdown(
        "dataset_card.md",
        front_matter=Markdown(f"---\n{write_front_matter(parts, publisher)}---\n"),
        title=publisher.title or TITLE,
        publisher=publisher,
        contact=name_contact(publisher),
        parts=parts,
        default=default,
        example={name: _shorten(value) for name, value in default.example.items()},
        columns=describe_columns(SUBSETS),
        description=publisher.description or describe_dataset(parts),
        collection=describe_collection(parts),
        stages=describe_stages(parts[-1]),
        balanced_to=[*dict.fromkeys(part.card.get("balanced_to", "the pool's own counts") for part in parts)],
        is_of_one_pool=are_of_one_pool(parts),
        limits=describe_limits(parts),
        is_of_sample=all(key.startswith("SAMPLE-") for key in list_snapshots(parts)),
        rights=RIGHTS,
        open=OPEN,
    )


def write_front_matter(parts: Sequence[Part], publisher: Publisher) -> str:
    """The YAML between the card's dashes; the smallest t is the default config."""
    languages = {code: None for part in parts for name in part.languages if (code := code_language(name))}
    metadata: dict[str, Any] = {
        "pretty_name": publisher.title or TITLE,
        **describe_license(publisher.license),
        "language": [*languages],
        "size_categories": [*dict.fromkeys(categorize_size(part.pairs) for part in parts)],
        "task_categories": ["zero-shot-image-classification", "image-to-text"],
        "tags": list_tags(parts),
        "configs": [
            {
                "config_name": part.config,
                "data_files": [{"split": "train", "path": f"data/{part.config}/*.parquet"}],
                **({"default": True} if part is parts[0] else {}),
            }
            for part in parts
        ],
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)


def list_tags(parts: Sequence[Part]) -> list[str]:
    """What it is to be found by."""
    return _TAGS + ["common-crawl"] * is_of_common_crawl(parts)


def describe_columns(schema: pa.Schema) -> list[Mapping[str, str]]:
    """Name, type and description of each column of a table."""
    return [
        {"name": field.name, "type": str(field.type), "description": field.metadata[b"description"].decode()}
        for field in schema
    ]


def categorize_size(rows: int) -> str:
    """The Hub's size category of so many rows.

    >>> categorize_size(999), categorize_size(7_599), categorize_size(2_000_000_000)
    ('n<1K', '1K<n<10K', '1B<n<10B')
    """
    bounds = [f"{digits}{unit}" for unit in "KMB" for digits in (1, 10, 100)] + ["1T"]
    above = sum(rows >= 1000 * 10**power for power in range(len(bounds)))
    if above == 0:
        return "n<1K"
    return f"{bounds[above - 1]}<n<{bounds[above]}" if above < len(bounds) else "n>1T"


def name_contact(publisher: Publisher) -> Markdown:
    """Whom to ask: name, address and page, as Markdown; empty where nobody is named."""
    contact = publisher.contact
    ways = [escape_markdown(contact.email)] * bool(contact.email) + [write_link(contact.url)] * bool(contact.url)
    name, where = escape_markdown(contact.name), ", ".join(ways)
    return Markdown(f"{name} ({where})" if name and where else name or where)


def describe_license(license: str) -> dict[str, str]:  # noqa: A002  # the Hub's word
    """The Hub's keys: an identifier as it stands, other words as a licence of its own, else that it is unknown."""
    if not license:
        return {"license": "unknown"}
    if re.fullmatch(r"[a-z0-9][a-z0-9.\-]*", license):
        return {"license": license}
    return {"license": "other", "license_name": license}


def code_language(name: str) -> str:
    """The language as the Hub wants it, ISO 639; empty for what is no such code."""
    code = name.lower().partition("-")[0]
    return code if re.fullmatch("[a-z]{2,3}", code) else ""


def _shorten(value: object) -> Markdown:
    return escape_markdown("null" if value is None else value, _MAX_VALUE)
