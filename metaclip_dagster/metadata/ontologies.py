"""Names of an ontology's terms, SKOS or OWL as RDF, or OBO, as a stream of labels; hierarchies are never walked."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO

import fastobo
import pyoxigraph

from metaclip_dagster.metadata.list_formats import Label, language_of

_SKOS = "http://www.w3.org/2004/02/skos/core#"
_OBO_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
_LABELS = {f"{_SKOS}prefLabel", "http://www.w3.org/2000/01/rdf-schema#label"}
_SYNONYMS = {f"{_SKOS}altLabel", f"{_SKOS}hiddenLabel"} | {
    f"{_OBO_IN_OWL}has{scope}Synonym" for scope in ("Exact", "Narrow", "Broad", "Related")
}
_DEPRECATED = "http://www.w3.org/2002/07/owl#deprecated"
_NOWHERE = "http://nowhere.invalid/"  # what relative addresses are relative to; nothing is ever fetched

_DECLARATION = re.compile(rb"<!ENTITY[^>]{0,1000}>?")
_PLAIN = re.compile(rb'<!ENTITY\s+[\w.-]+\s+"[^"&%<>]{0,300}"\s*>')


def read_turtle(file: BinaryIO) -> Iterator[Label]:
    """Labels and synonyms of terms in Turtle; those of deprecated terms are left out."""
    return _read_rdf(file, pyoxigraph.RdfFormat.TURTLE)


def read_ntriples(file: BinaryIO) -> Iterator[Label]:
    """The same in N-Triples."""
    return _read_rdf(file, pyoxigraph.RdfFormat.N_TRIPLES)


def read_rdf_xml(file: BinaryIO) -> Iterator[Label]:
    """The same in RDF/XML. Raises ValueError for entities other than short ones in plain text, as namespaces are."""
    return _read_rdf(file, pyoxigraph.RdfFormat.RDF_XML)


def read_obo(file: BinaryIO) -> Iterator[Label]:
    """Names and synonyms of the terms of an OBO file that are not obsolete."""
    for frame in _frames(file):
        if not isinstance(frame, fastobo.term.TermFrame):
            continue
        if any(isinstance(clause, fastobo.term.IsObsoleteClause) and clause.obsolete for clause in frame):
            continue
        for clause in frame:
            if isinstance(clause, fastobo.term.NameClause):
                yield Label(clause.name)
            elif isinstance(clause, fastobo.term.SynonymClause):
                yield Label(clause.synonym.desc, is_synonym=True)


def _read_rdf(file: BinaryIO, syntax: pyoxigraph.RdfFormat) -> Iterator[Label]:
    # Twice: that a term is deprecated may stand after its labels, and deprecated ones are few.
    deprecated = {
        triple.subject
        for triple in _triples(file, syntax)
        if triple.predicate.value == _DEPRECATED and getattr(triple.object, "value", "") in ("true", "1")
    }
    for triple in _triples(file, syntax):
        is_label, is_synonym = (triple.predicate.value in kind for kind in (_LABELS, _SYNONYMS))
        if not (is_label or is_synonym) or triple.subject in deprecated:
            continue
        if isinstance(triple.object, pyoxigraph.Literal):
            yield Label(triple.object.value, language_of(triple.object.language), is_synonym)


def _frames(file: BinaryIO) -> Iterator[Iterable[object]]:
    try:
        yield from fastobo.iter(file, ordered=True, threads=1)
    except (OSError, TypeError) as error:  # what it raises for bytes that are no text
        raise ValueError(f"{error.__cause__ or error}; OBO is text in UTF-8") from error


def _triples(file: BinaryIO, syntax: pyoxigraph.RdfFormat) -> Iterator[pyoxigraph.Quad]:
    file.seek(0)
    if file.read(3) != codecs.BOM_UTF8:  # which is no part of Turtle's grammar
        file.seek(0)
    read: Any = _Checked(file) if syntax == pyoxigraph.RdfFormat.RDF_XML else file
    try:
        yield from pyoxigraph.parse(read, format=syntax, base_iri=_NOWHERE)
    except SyntaxError as error:
        if error.lineno is not None:
            raise
        raise ValueError(f"{error.msg}, before byte {file.tell():,}") from error  # XML tells no line


class _Checked:
    """A file of XML in which no entity stands for others, for a long text or for something elsewhere."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._tail = file, b""

    def read(self, size: int = -1) -> bytes:
        block = self._file.read(size)
        seen = self._tail + block
        for found in _DECLARATION.finditer(seen):
            whole = found.group().endswith(b">") or found.end() - found.start() > 1000 or not block
            if whole and not _PLAIN.fullmatch(found.group()):
                raise ValueError(
                    f"the entity {found.group()[:60]!r} is not a short plain text; write it out, or save as Turtle"
                )
        start = seen.rfind(b"<!ENTITY")
        is_open = start >= 0 and b">" not in seen[start:]
        self._tail = seen[start:] if is_open else seen[-8:]
        return block
