"""Write every document of a folder with lists of entries, by file name: a card for the Hub, licences, a citation."""

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from metaclip_dagster.publishing.citation import write_citation
from metaclip_dagster.publishing.croissant import write_croissant
from metaclip_dagster.publishing.dataset_card import (
    categorize_size,
    code_language,
    describe_columns,
    describe_license,
    name_contact,
)
from metaclip_dagster.publishing.list_croissant import build_list_croissant
from metaclip_dagster.publishing.list_facts import (
    BIGRAMS,
    NUMBERS,
    TITLES,
    UNIGRAMS,
    WORDNET,
    Lists,
    describe_rules,
    describe_views,
    list_dumps,
    list_own,
    list_wordnets,
)
from metaclip_dagster.publishing.markdown import Markdown, render_markdown
from metaclip_dagster.publishing.parts import DataFile
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.publishing.sentences import OPEN
from metaclip_dagster.schemas import ENTRIES

DATA, TEXTS, LICENSES = "data", "text", "licenses"
"""Folders of Parquet files, of plain texts, and of the licences' own texts."""

ALL = "all"
OWN_LISTS = "own_lists."
"""What begins the key in publisher.yaml of a list of one's own."""
_TAGS = ["clip", "metaclip", "data-curation", "word-lists", "wordnet", "wikipedia"]
_NAMES = {
    WORDNET: "WordNet",
    NUMBERS: "numbers",
    UNIGRAMS: "Wikipedia's words",
    BIGRAMS: "Wikipedia's pairs of words",
    TITLES: "Wikipedia's titles",
}


def write_list_documents(lists: Lists, files: Sequence[DataFile], publisher: Publisher) -> dict[str, str]:
    """The text of each document about these lists in these files; the same lists and answers give the same bytes."""
    title = publisher.answer("lists", "title") or f"Entries for CLIP training data in {_count_languages(lists)}"
    return {
        "README.md": render_markdown(
            "list_card.md",
            front_matter=Markdown(f"---\n{write_front_matter(lists, publisher, title)}---\n"),
            lists=lists,
            languages=_count_languages(lists),
            names={source: _NAMES.get(source, source) for source in lists.sources},
            numbers=_count_by_column(lists),
            rules=describe_rules(lists),
            columns=describe_columns(ENTRIES),
            contact=name_contact(publisher),
            **_describe_sources(lists, publisher, title),
        ),
        "croissant.json": write_croissant(build_list_croissant(lists, files, publisher, title)),
        "LICENSE-NOTES.md": render_markdown("list_licenses.md", **_describe_sources(lists, publisher, title)),
        "CITATION.cff": write_citation(publisher, title=title, kind="dataset"),
    }


def write_front_matter(lists: Lists, publisher: Publisher, title: str) -> str:
    """The YAML between the card's dashes: a config a language, and one of all, in the order of ENTRIES."""
    files = {language: f"{DATA}/{language}.parquet" for language in lists.counts}
    configs: dict[str, Any] = {ALL: [*files.values()], **files}
    metadata: dict[str, Any] = {
        "pretty_name": title,
        **describe_license(publisher.answer("lists", "license")),
        "language": [*dict.fromkeys(code for language in lists.counts if (code := code_language(language)))],
        "size_categories": [categorize_size(lists.num_entries)],
        "tags": _TAGS + ["sample"] * lists.is_of_sample,
        "configs": [
            {
                "config_name": name,
                "data_files": [{"split": "train", "path": path}],
                **({"default": True} if name == ALL else {}),
            }
            for name, path in configs.items()
        ],
    }
    return yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True, width=110)


def list_open_licenses(lists: Lists, publisher: Publisher) -> list[str]:
    """Own lists of which nobody has said the licence, as keys of publisher.yaml."""
    return [f"{OWN_LISTS}{name}" for name in list_own(lists) if name not in publisher.own_lists]


def _describe_sources(lists: Lists, publisher: Publisher, title: str) -> Mapping[str, Any]:
    """Where the entries are from and under which licence, for the card and for the notes on licences."""
    return {
        "title": title,
        "publisher": publisher,
        "answers": {key: publisher.answer("lists", key) for key in ("license", "intended_uses")},
        "wordnets": list_wordnets(lists),
        "dumps": list_dumps(lists),
        "views": describe_views(lists),
        "own_lists": {name: publisher.own_lists.get(name, "") for name in list_own(lists)},
        "texts": LICENSES,
        "open": OPEN,
    }


def _count_by_column(lists: Lists) -> dict[str, list[int]]:
    """Entries of each language, by column: one's own lists share one, for there may be one a language."""
    columns: dict[str, list[int]] = {}
    for source in lists.sources:
        column = columns.setdefault(_NAMES.get(source, "own lists"), [0] * len(lists.counts))
        for place, of_language in enumerate(lists.counts.values()):
            column[place] += of_language.get(source, 0)
    return columns


def _count_languages(lists: Lists) -> str:
    return "one language" if len(lists.counts) == 1 else f"{len(lists.counts)} languages"
