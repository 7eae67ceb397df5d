"""Read the names of an ontology's terms (SKOS or OWL, as RDF) as a stream of labels.

Hierarchies are never walked.
"""

import codecs
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import pyoxigraph

from metaclip_dagster.metadata.list_formats import NO_TERM, OBSOLETE, Label, language_of, unwrap
from metaclip_dagster.metadata.rdf_xml import XmlSource

_OWL = "http://www.w3.org/2002/07/owl#"
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_RDFS = "http://www.w3.org/2000/01/rdf-schema#"
_SKOS = "http://www.w3.org/2004/02/skos/core#"
_SKOS_XL = "http://www.w3.org/2008/05/skos-xl#"
_OBO_IN_OWL = "http://www.geneontology.org/formats/oboInOwl#"
_SWRL = "http://www.w3.org/2003/11/swrl#"

_NAMES = dict.fromkeys((f"{_SKOS}prefLabel", f"{_RDFS}label"), False) | dict.fromkeys(  # whether as a synonym
    (
        *(f"{_SKOS}{kind}Label" for kind in ("alt", "hidden")),
        *(f"{_OBO_IN_OWL}has{scope}Synonym" for scope in ("Exact", "Narrow", "Broad", "Related")),
    ),
    True,
)
_XL_NAMES = {f"{_SKOS_XL}{kind}Label": kind != "pref" for kind in ("pref", "alt", "hidden")}
_TYPE, _XL_FORM = f"{_RDF}type", f"{_SKOS_XL}literalForm"
_VOCABULARIES = (_OWL, _RDF, _RDFS, _SKOS, _SKOS_XL, _OBO_IN_OWL, _SWRL)
_TERMS = {f"{_OWL}Class", f"{_RDFS}Class", f"{_SKOS}Concept", f"{_OWL}NamedIndividual", f"{_OWL}Thing"}
_DEPRECATIONS = {(_TYPE, f"{_OWL}DeprecatedClass"), (f"{_OWL}deprecated", "true"), (f"{_OWL}deprecated", "1")}
_Use = tuple[Any, bool]
"""Whose name it is, and whether as a synonym."""

_NOWHERE = "http://nowhere.invalid/"  # what relative addresses are relative to; nothing is ever fetched

_WAY_OUT = "save it as RDF/XML or Turtle"
_SYNTAXES: Sequence[tuple[bytes, str, pyoxigraph.RdfFormat | None]] = (
    (rb"(Prefix|Ontology)\s*\(", f"OWL in functional syntax; {_WAY_OUT}", None),
    (rb"(Prefix|Ontology)\s*:", f"OWL in Manchester syntax; {_WAY_OUT}", None),
    (rb"<(.*<)?Ontology\s+xmlns\s*=", f"OWL/XML; {_WAY_OUT}", None),
    (rb"(format-version|ontology)\s*:", "OBO; name the file .obo", None),
    (rb"[{\[]\s*[{\"]", f"JSON; {_WAY_OUT}", None),
    (rb"(?i:@?(prefix|base)\s)", "Turtle; name the file .ttl", pyoxigraph.RdfFormat.TURTLE),
    (rb"<\?xml\s|<rdf:RDF\s", "RDF/XML; name the file .rdf", pyoxigraph.RdfFormat.RDF_XML),
)
_START = re.compile(rb"(?:\xef\xbb\xbf)?(?:\s|#[^\n]*\n)*")  # a mark of byte order, white space, comments


def read_turtle(file: BinaryIO) -> Iterator[Label]:
    """Labels and synonyms of classes, individuals and concepts in Turtle; those of anything else and deprecated say so.

    Anything else is what RDF, OWL or SKOS declare otherwise: a property, an axiom, the ontology itself. What has no
    type is a term. Raises ValueError naming the place of what is no Turtle, or the other syntax that it is in.
    """
    return _read_rdf(file, pyoxigraph.RdfFormat.TURTLE)


def read_ntriples(file: BinaryIO) -> Iterator[Label]:
    """Labels and synonyms of classes, individuals and concepts in N-Triples; see `read_turtle`."""
    return _read_rdf(file, pyoxigraph.RdfFormat.N_TRIPLES)


def read_rdf_xml(file: BinaryIO) -> Iterator[Label]:
    """Labels and synonyms of classes, individuals and concepts in RDF/XML, in any encoding; see `read_turtle`.

    Entities are refused other than short plain texts, as namespaces are.
    """
    return _read_rdf(file, pyoxigraph.RdfFormat.RDF_XML)


def _read_rdf(file: BinaryIO, syntax: pyoxigraph.RdfFormat) -> Iterator[Label]:
    declared = _declare(_triples(file, syntax))  # it may stand after the labels, so the file is read twice
    for number, triple in enumerate(_triples(file, syntax)):
        is_synonym = _NAMES.get(triple.predicate.value)
        uses = declared.uses.get(number, [] if is_synonym is None else [(triple.subject, is_synonym)])
        if uses and isinstance(triple.object, pyoxigraph.Literal):
            text, language = unwrap(triple.object.value), language_of(triple.object.language)
            yield from (Label(text, language, is_synonym, declared.why_not(owner)) for owner, is_synonym in uses)


@dataclass(frozen=True)
class _Declared:
    """What a file says of its subjects, before or after it names them."""

    deprecated: set[Any] = field(default_factory=set)
    terms: set[Any] = field(default_factory=set)
    others: set[Any] = field(default_factory=set)
    uses: dict[int, list[_Use]] = field(default_factory=dict)
    """Of a triple, by its number, whose name it gives, where that is not its subject or a subject without address."""

    def why_not(self, subject: Any) -> str | None:
        """Why the subject's names are no entries, if they are none."""
        if subject in self.deprecated:
            return OBSOLETE
        return NO_TERM if subject in self.others and subject not in self.terms else None


def _declare(triples: Iterable[Any]) -> _Declared:
    declared = _Declared()
    xl_uses: dict[Any, list[_Use]] = {}  # of a name that is a resource of its own
    xl_forms: list[tuple[int, Any]] = []
    for number, triple in enumerate(triples):
        subject, predicate, value = triple.subject, triple.predicate.value, getattr(triple.object, "value", "")
        if predicate == _TYPE and value in _TERMS:
            declared.terms.add(subject)
        elif (predicate, value) in _DEPRECATIONS:
            declared.deprecated.add(subject)
        elif predicate == _TYPE and value.startswith(_VOCABULARIES):
            declared.others.add(subject)
        elif predicate in _XL_NAMES:
            xl_uses.setdefault(triple.object, []).append((subject, _XL_NAMES[predicate]))
        elif predicate == _XL_FORM:
            xl_forms.append((number, subject))
        elif predicate in _NAMES and isinstance(subject, pyoxigraph.BlankNode):  # called otherwise at each reading
            declared.uses[number] = [(subject, _NAMES[predicate])]
    declared.uses.update((number, xl_uses.get(name, [])) for number, name in xl_forms)
    return declared


def _triples(file: BinaryIO, syntax: pyoxigraph.RdfFormat) -> Iterator[Any]:
    file.seek(0)
    _refuse_other_syntax(file.read(4096), syntax)
    file.seek(0)
    read: Any = file
    if syntax == pyoxigraph.RdfFormat.RDF_XML:
        read = XmlSource(file)
    elif file.read(3) != codecs.BOM_UTF8:  # which is no part of Turtle's grammar
        file.seek(0)
    try:
        # Lenient of addresses and tags of languages, which are not looked into.
        yield from pyoxigraph.parse(read, format=syntax, base_iri=_NOWHERE, lenient=True)
    except SyntaxError as error:
        if error.lineno is not None:
            raise
        raise ValueError(f"{error.msg}, before byte {file.tell():,}") from error  # XML tells no line
    except BaseException as error:
        if type(error).__module__ != "pyo3_runtime":
            raise
        raise ValueError(f"pyoxigraph panicked ({error}), before byte {file.tell():,}") from error


def _refuse_other_syntax(head: bytes, syntax: pyoxigraph.RdfFormat) -> None:
    start = head[_START.match(head).end() :]  # type: ignore[union-attr]  # matches nothing too
    for pattern, says, its in _SYNTAXES:
        if its != syntax and re.match(pattern, start, re.DOTALL):
            raise ValueError(f"this is {says}")
