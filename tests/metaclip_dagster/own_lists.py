"""Lists and ontologies of one's own for the tests, and how they are read."""

import io
from collections import Counter
from collections.abc import Sequence

import pyarrow as pa

from metaclip_dagster.metadata import read_own_entries
from metaclip_dagster.schemas import CANDIDATES

SKOS_TTL = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix oio: <http://www.geneontology.org/formats/oboInOwl#> .
<a> skos:altLabel "kitty"@en-GB, "cat"@en ; skos:prefLabel "cat"@en, "Katze"@de-AT, "chat"@fr ; skos:broader <b> .
<b> skos:prefLabel "feline" ; skos:hiddenLabel "felid" ; skos:broader <a> , <b> ; skos:narrower <a> .
<c> owl:deprecated true ; rdfs:label "gone" . <d> rdfs:label "gone too" . <d> owl:deprecated true .
<e> rdfs:label "cat"@en ; oio:hasExactSynonym "puss" ; skos:definition "a definition" .
"""
RDF_XML = """<?xml version="1.0"?>{dtd}
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" xmlns:skos="http://www.w3.org/2004/02/skos/core#">
<skos:Concept rdf:about="a"><skos:altLabel xml:lang="en">kitty</skos:altLabel>
<skos:prefLabel xml:lang="en-GB">{label}</skos:prefLabel><skos:broader rdf:resource="a"/></skos:Concept></rdf:RDF>"""
OBO = """format-version: 1.2
ontology: x

[Term]
id: X:1
name: cat
synonym: "kitty" EXACT []
is_a: X:2

[Term]
id: X:2
name: feline
synonym: "cat" BROAD []
is_a: X:1

[Term]
id: X:3
name: gone
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


def read(
    content: bytes | str, name: str, languages: Sequence[str] = ("en",), dropped: Counter[str] | None = None
) -> pa.Table:
    file = io.BytesIO(content.encode() if isinstance(content, str) else content)
    dropped = Counter() if dropped is None else dropped
    return pa.Table.from_batches(read_own_entries(file, name=name, languages=languages, dropped=dropped), CANDIDATES)


def entries_of(content: bytes | str, name: str = "list.txt", dropped: Counter[str] | None = None) -> list[str]:
    return list(read(content, name, dropped=dropped)["entry"].to_pylist())
