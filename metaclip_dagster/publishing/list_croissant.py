"""Describe lists of entries as Croissant 1.1: JSON-LD for machines."""

from collections.abc import Sequence
from typing import Any

from metaclip_dagster.publishing.croissant import HEAD, describe_file, describe_files, describe_publisher, describe_rows
from metaclip_dagster.publishing.list_facts import Lists, describe_rules, list_dumps, list_own, list_wordnets
from metaclip_dagster.publishing.parts import DataFile
from metaclip_dagster.publishing.publisher import Publisher
from metaclip_dagster.schemas import ENTRIES

_ROWS = "entries"


def build_list_croissant(lists: Lists, files: Sequence[DataFile], publisher: Publisher, title: str) -> dict[str, Any]:
    """The description of a folder of lists, for a croissant.json at its top: each file, and one record set of all."""
    return {
        **HEAD,
        "name": title,
        "description": "Words and phrases that texts of images are searched for when CLIP training data are balanced.",
        "inLanguage": [*lists.counts],
        **describe_publisher(publisher, publisher.answer("lists", "license")),
        "prov:wasDerivedFrom": [{"@type": "prov:Entity", "sc:name": name} for name in _list_origins(lists)],
        "prov:wasGeneratedBy": [
            {
                "@type": "prov:Activity",
                "sc:name": f"ENTRIES {lists.version}",
                "sc:description": "; ".join(f"{source}: {rule}" for source, rule, _ in describe_rules(lists)),
                "prov:wasAssociatedWith": {"@type": "prov:SoftwareAgent", "sc:name": lists.software},
            }
        ],
        "distribution": [
            *map(describe_file, files),
            describe_files(_ROWS, "The entries of every language.", "data/*.parquet"),
        ],
        "recordSet": [describe_rows(_ROWS, f"The {lists.num_entries} entries.", "entry_id", ENTRIES)],
    }


def _list_origins(lists: Lists) -> list[str]:
    """Every wordnet, dump and own list, by name."""
    dumps = [name for _, *columns in list_dumps(lists) for column in columns for name in column.split(", ") if name]
    wordnets = [it["name"] for it in list_wordnets(lists) if it["name"]]
    return [*dict.fromkeys([*list_own(lists), *wordnets, *dumps])]
