"""Describe a dataset as Croissant 1.1 with its RAI vocabulary 1.0: JSON-LD for machines."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from metaclip_dagster.publishing.citation import find_day
from metaclip_dagster.publishing.dataset_card import TITLE, list_tags
from metaclip_dagster.publishing.markdown import is_address
from metaclip_dagster.publishing.parts import DataFile, Part, find_period_of
from metaclip_dagster.publishing.publisher import Person, Publisher
from metaclip_dagster.publishing.sentences import (
    OPEN,
    describe_collection,
    describe_dataset,
    describe_limits,
    describe_stages,
    list_snapshots,
)
from metaclip_dagster.schemas import SUBSETS

CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    **{
        name: f"cr:{name}"
        for name in (
            "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileObject",
            "fileProperty", "fileSet", "format", "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5",
            "parentField", "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate",
            "separator", "source", "subField", "transform",
        )
    },
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "name": {"@container": "@language"},
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "sc": "https://schema.org/",
}  # fmt: skip
HEAD: dict[str, Any] = {
    "@context": CONTEXT,
    "@type": "sc:Dataset",
    "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
}
"""What every description begins with."""

_PARQUET = "application/x-parquet"
_FORMATS = {".csv": "text/csv", ".parquet": _PARQUET, ".json": "application/json", ".txt": "text/plain"}
_TYPES = {"url": "sc:URL", "page_url": "sc:URL"}
_TYPES_OF_ARROW = {
    pa.string(): "sc:Text", pa.float64(): "cr:Float64", pa.uint64(): "cr:UInt64", pa.uint32(): "cr:UInt32"
}  # fmt: skip


def build_croissant(parts: Sequence[Part], publisher: Publisher) -> dict[str, Any]:
    """The description of a folder that holds these parts, for a croissant.json at its top.

    Each file has its SHA-256, each part a record set with the columns of SUBSETS. What only the publisher knows and
    has not said is left out, or said to be open.
    """
    files = [file for part in parts for file in (*part.files, *part.beside)]
    return {
        **HEAD,
        "name": publisher.title or TITLE,
        "description": publisher.description or describe_dataset(parts),
        "keywords": list_tags(parts),
        "inLanguage": sorted({language for part in parts for language in part.languages}),
        **describe_publisher(publisher, publisher.license),
        **_describe_responsibly(parts, publisher),
        **_describe_provenance(parts),
        "distribution": [
            *map(describe_file, files),
            *(describe_files(it.config, f"The rows of D({it.t}).", f"data/{it.config}/*.parquet") for it in parts),
        ],
        "recordSet": [
            describe_rows(it.config, f"The {it.pairs} pairs that balancing at t = {it.t} keeps.", "pair_id", SUBSETS)
            for it in parts
        ],
    }


def write_croissant(description: Mapping[str, Any]) -> str:
    """The text of a croissant.json."""
    return json.dumps(description, allow_nan=False, ensure_ascii=False, indent=1) + "\n"


def describe_publisher(publisher: Publisher, license_: str) -> dict[str, Any]:
    """Who gives it away, under which licence; what nobody has said is left out."""
    optional = {
        "license": license_,
        "version": publisher.version,
        "url": publisher.homepage if is_address(publisher.homepage) else "",
        "datePublished": find_day(publisher.answer("datasheet", "release_date")),
        "creator": [_describe_person("sc:Person", author) for author in publisher.authors if author.name],
        "publisher": _describe_person("sc:Organization", Person(publisher.provider)) if publisher.provider else None,
    }
    return {name: value for name, value in optional.items() if value}


def _describe_person(kind: str, person: Person) -> dict[str, str]:
    fields = {"name": person.name, "email": person.email, "url": person.url if is_address(person.url) else ""}
    return {"@type": kind, **{name: value for name, value in fields.items() if value}}


def _describe_responsibly(parts: Sequence[Part], publisher: Publisher) -> dict[str, Any]:
    """RAI 1.0: from numbers of the parts, and from the publisher's answers to the datasheet."""
    largest = parts[-1]
    before, after = (percent_of_head(parts[0], when) for when in ("before", "after"))

    def answer(key: str) -> str:
        return publisher.answer("datasheet", key) or OPEN

    return {
        "rai:dataCollection": describe_collection(parts),
        "rai:dataCollectionType": ["Web Scraping"],
        "rai:dataCollectionMissingData": (
            "url is null where another pool brought an image without an address; license is null where the page names "
            "no licence, or several."
        ),
        "rai:dataCollectionRawData": "The crawl's own archives: WAT or WARC files of the snapshots.",
        **({"rai:dataCollectionTimeframe": list(period)} if (period := find_period_of(parts)) else {}),
        "rai:dataPreprocessingProtocol": describe_stages(largest),
        "rai:machineAnnotationTools": [
            "Identification of the text's language by a program", f"Search of the text for entries: {largest.software}"
        ],
        "rai:dataBiases": [
            f"Entries that more than t = {parts[0].t} pairs match have {before} of all matches before balancing and "
            f"{after} after.",
            "Texts, pages and languages are those that the crawl has; entries are those of WordNet, Wikipedia or "
            "lists of the publisher's own.",
        ],
        "rai:dataLimitations": describe_limits(parts),
        "rai:dataUseCases": [f"For: {answer('other_uses')}", f"Not for: {answer('unsuitable_uses')}"],
        "rai:dataSocialImpact": answer("impact_analysis"),
        "rai:personalSensitiveInformation": [
            "Texts and addresses come from public pages and may name people.",
            answer("sensitive_content"),
        ],
        "rai:dataReleaseMaintenancePlan": f"By: {answer('maintainer')} Updates: {answer('updates')}",
    }  # fmt: skip


def percent_of_head(part: Part, when: str) -> str:
    """The head's share of matches `before` or `after` balancing."""
    share = part.card["entries"][f"head_{when}"]
    return "nothing" if share is None else f"{share:.1%}"


def _describe_provenance(parts: Sequence[Part]) -> dict[str, Any]:
    """PROV-O: the snapshots that it was derived from, and what made it with which versions."""
    return {
        "prov:wasDerivedFrom": [
            {"@type": "prov:Entity", "sc:name": f"snapshot {snapshot}"} for snapshot in list_snapshots(parts)
        ],
        "prov:wasGeneratedBy": [
            {
                "@type": "prov:Activity",
                "sc:name": f"balancing at t = {part.t}",
                "sc:description": ", ".join(f"{name} {value}" for name, value in part.card["provenance"].items()),
                "prov:wasAssociatedWith": {"@type": "prov:SoftwareAgent", "sc:name": part.software},
            }
            for part in parts
        ],
    }


def describe_file(file: DataFile) -> dict[str, Any]:
    """A file of the folder, with its SHA-256."""
    return {
        "@type": "cr:FileObject",
        "@id": file.path,
        "name": file.path,
        "contentUrl": file.path,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": _FORMATS[file.path[file.path.rindex(".") :]],
        "sha256": file.sha256,
    }


def describe_files(name: str, description: str, pattern: str) -> dict[str, Any]:
    """The Parquet files of a pattern as one set."""
    return {
        "@type": "cr:FileSet",
        "@id": name,
        "name": name,
        "description": description,
        "encodingFormat": _PARQUET,
        "includes": pattern,
    }


def describe_rows(file_set: str, description: str, key: str, schema: pa.Schema) -> dict[str, Any]:
    """The rows of a set of Parquet files, with every column's sentence."""
    name = f"rows_{file_set}"
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "key": {"@id": f"{name}/{key}"},
        "field": [_describe_field(file_set, field) for field in schema],
    }


def _describe_field(file_set: str, field: pa.Field) -> dict[str, Any]:
    is_list = pa.types.is_list(field.type)
    arrow = field.type.value_type if is_list else field.type
    return {
        "@type": "cr:Field",
        "@id": f"rows_{file_set}/{field.name}",
        "name": field.name,
        "description": field.metadata[b"description"].decode(),
        "dataType": _TYPES.get(field.name) or _TYPES_OF_ARROW[arrow],
        **({"isArray": True, "arrayShape": "-1"} if is_list else {}),
        "source": {"fileSet": {"@id": file_set}, "extract": {"column": field.name}},
    }
