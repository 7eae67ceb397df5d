"""An ontology gives the names of its terms, the same ones in every syntax, and says where it is not readable."""

import io
import re
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdflib import OWL, RDF, RDFS, BNode, Graph, Literal, Namespace, URIRef

from metaclip_dagster.metadata.rdf_xml import XmlSource
from tests.metaclip_dagster.own_lists import OBO, RDF_XML, SKOS_TTL, entries_of

OIO = Namespace("http://www.geneontology.org/formats/oboInOwl#")
SKOS_XL = Namespace("http://www.w3.org/2008/05/skos-xl#")
HEAD = "format-version: 1.2\n\n[Term]\nid: X:1\n"
PREFIXES = """@prefix xl: <http://www.w3.org/2008/05/skos-xl#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> . @prefix skos: <http://www.w3.org/2004/02/skos/core#> .
@prefix rdf: <http://www.w3.org/1999/02/22-rdf-syntax-ns#> . @prefix swrl: <http://www.w3.org/2003/11/swrl#> .
"""


class Term(NamedTuple):
    """A term, or what is none, of an ontology that is written in every syntax."""

    name: str
    synonyms: Sequence[str]
    is_obsolete: bool
    kind: str  # of its stanza


NOT_SPACED = st.characters(exclude_categories=["Cs", "Cc", "Cn", "Co", "Zs", "Zl", "Zp"])
WORDS = st.text(NOT_SPACED | st.sampled_from(list("\\\"'!{}[]():;,#&<>%éW犬")), min_size=1, max_size=6)
NAMES = st.lists(WORDS, min_size=1, max_size=3).map(" ".join)
TERMS = st.builds(
    Term, NAMES, st.lists(NAMES, max_size=3), st.booleans(), st.sampled_from(["Term", "Instance", "Typedef"])
)
OTHER_LINES = st.sampled_from(
    [
        "! a remark",
        "",
        "picture: yes",
        "xref: http://a.example/wiki/Category\\:Dog",
        'def: "a [b] {c}" [] ! name: no',
        "comment: name: no",
    ]
)
KINDS = {"Term": OWL.Class, "Instance": OWL.NamedIndividual, "Typedef": OWL.ObjectProperty}


def expected(terms: Sequence[Term]) -> list[str]:
    """Labels, then synonyms, each once, as they stand."""
    its = [term for term in terms if term.kind != "Typedef" and not term.is_obsolete]
    return [*dict.fromkeys([*(term.name for term in its), *(synonym for term in its for synonym in term.synonyms)])]


def written_in_obo(terms: Sequence[Term], draw: Callable[[Any], Any]) -> str:
    tails = st.sampled_from(["", " ", ' {a="b", c:d="e"}', " ! a remark", ' {a="b"} ! {c}'])
    scopes = st.sampled_from(["", "EXACT ", "RELATED abbr "])
    lines = ["format-version: 1.2"]
    for number, term in enumerate(terms):
        clauses = ["name: " + re.sub(r"([\\!{])", r"\\\1", term.name) + draw(tails)]
        for synonym in term.synonyms:
            quoted = re.sub(r'(["\\])', r"\\\1", synonym)
            clauses.append(f'synonym: "{quoted}" {draw(scopes)}[]{draw(tails)}')
        for other in ["is_obsolete: true"] * term.is_obsolete + draw(st.lists(OTHER_LINES, max_size=3)):
            clauses.insert(draw(st.integers(0, len(clauses))), other)  # names and synonyms keep their order
        lines += ["", f"[{term.kind}]", f"id: X:{number}", *clauses]
    return "\n".join(lines)


def graph_of(terms: Sequence[Term]) -> Graph:
    graph = Graph()
    graph.add((URIRef("http://a.example/"), RDF.type, OWL.Ontology))
    graph.add((URIRef("http://a.example/"), RDFS.label, Literal("my ontology")))
    for number, term in enumerate(terms):
        subject, axiom = URIRef(f"http://a.example/{number:03d}"), BNode()
        graph.add((subject, RDF.type, KINDS[term.kind]))
        graph.add((subject, RDFS.label, Literal(term.name, lang="en")))
        for synonym in term.synonyms:
            graph.add((subject, OIO.hasExactSynonym, Literal(synonym)))
        if term.is_obsolete:
            graph.add((subject, OWL.deprecated, Literal(True)))
        graph.add((axiom, RDF.type, OWL.Axiom))
        graph.add((axiom, RDFS.label, Literal("an axiom")))
    return graph


@settings(max_examples=60)
@given(st.lists(TERMS, min_size=1, max_size=5), st.data())
def test_an_ontology_gives_one_list_in_obo_and_in_every_syntax_of_rdf(terms: list[Term], data: st.DataObject) -> None:
    terms = [*terms, Term("dog", [], False, "Term")]  # no list is empty
    assert entries_of(written_in_obo(terms, data.draw), "a.obo") == expected(terms)
    graph = graph_of(terms)
    for name, syntax in (("a.ttl", "turtle"), ("a.nt", "nt"), ("a.owl", "xml")):
        assert sorted(entries_of(graph.serialize(format=syntax), name)) == sorted(
            expected(terms)
        )  # rdflib sorts as it likes


@pytest.mark.parametrize(
    ("clauses", "entries"),
    [
        ('synonym: "mutt" []\nname: dog\nsynonym: "hound" EXACT [X:1 "a name", Y:2]', ["dog", "mutt", "hound"]),
        ('name: dog\nrelated_synonym: "mutt" []', ["dog", "mutt"]),
        ("name: dog ! a remark", ["dog"]),
        ('name: dog {source="X:1", note="a ! b"}', ["dog"]),
        ("name: [a {b} c", ["[a {b} c"]),
        ("name: x\\{y=z\\}", ["x{y=z}"]),
        ("name: a\\!b\\:c\\,d\\\\e \\(f\\)\\", ["a!b:c,d\\e (f)\\"]),
        ("name: guide\\n  \\tdog\\Wx", ["guide dog x"]),
        ('name: dog\nsynonym: "a \\"b\\" ! {c=d} [e]" BROAD [] {f="g"}', ["dog", 'a "b" ! {c=d} [e]']),
        ("name:dog\r\nname : cat", ["dog", "cat"]),
        ('name: "dog" x', ['"dog" x']),
        ("name: dog\n\n[Term] ! a remark\nis_obsolete: true ! since\nname: gone", ["dog"]),
        ("name: dog\n\n[Unheard]\nname: other\n[Instance]\nname: Rex", ["dog", "Rex"]),
    ],
)
def test_obo_is_read_by_its_rules_for_comments_escapes_modifiers_and_scopes(clauses: str, entries: list[str]) -> None:
    assert entries_of(f"{HEAD}{clauses}\n", "a.obo") == entries


def test_what_is_obsolete_or_no_term_is_counted() -> None:
    dropped = Counter[str]()
    assert entries_of(OBO, "a.obo", dropped) == ["cat", "feline", "kitty"]
    assert dropped == {"obsolete": 1, "no_term": 1, "repeated": 1}


@pytest.mark.parametrize(
    ("declared", "is_entry"),
    [
        ("", True),
        ("<a> a owl:Class .", True),
        ("<a> a <http://a.example/Breed> .", True),
        ("<a> a skos:Concept .", True),
        ("<a> a owl:Ontology .", False),
        ("<a> a owl:ObjectProperty .", False),
        ("<a> a rdf:Property .", False),
        ("<a> a rdfs:Datatype .", False),
        ("<a> a skos:ConceptScheme .", False),
        ("<a> a owl:AnnotationProperty, owl:Class .", True),
        ("<a> a owl:Class ; owl:deprecated true .", False),
        ("<a> a owl:Class ; owl:deprecated false .", True),
        ("<a> a owl:DeprecatedClass .", False),
    ],
)
@pytest.mark.parametrize("after", [False, True])
def test_only_what_is_not_declared_to_be_something_else_gives_entries(
    declared: str, is_entry: bool, after: bool
) -> None:
    label = '<a> rdfs:label "dog" .'
    content = PREFIXES + '<z> rdfs:label "cat" .' + (label + declared if after else declared + label)
    assert entries_of(content, "a.ttl") == (["cat", "dog"] if is_entry else ["cat"])


def test_a_thing_without_an_address_is_judged_as_one_with_it() -> None:
    things = """[] rdfs:label "dog" . [] a owl:Axiom ; rdfs:label "no" . [] rdfs:label "not" ; a swrl:Imp .
        [] a skos:Concept ; skos:altLabel "hound" ."""
    assert entries_of(PREFIXES + things, "a.ttl") == ["dog", "hound"]


@pytest.mark.parametrize(
    "content",
    [
        '<a> xl:prefLabel <l> ; xl:altLabel <m> . <l> a xl:Label ; xl:literalForm "dog" . <m> xl:literalForm "hound" .',
        '<m> xl:literalForm "hound" . <l> xl:literalForm "dog"@en . <a> xl:altLabel <m> ; xl:prefLabel <l> .',
        '<a> xl:hiddenLabel [ xl:literalForm "hound"@en ] ; xl:prefLabel [ a xl:Label ; xl:literalForm "dog" ] .',
        '<a> xl:prefLabel <l> ; xl:altLabel "hound", [ xl:literalForm "hound" ] . <l> xl:literalForm "dog", <m> .',
        '<n> xl:literalForm "nobody\'s" . <a> xl:prefLabel <l> ; skos:altLabel "hound" . <l> xl:literalForm "dog" .',
    ],
)
def test_labels_that_are_resources_of_their_own_are_read(content: str) -> None:
    gone = '<b> owl:deprecated true ; xl:prefLabel [ xl:literalForm "gone"@en ] .'
    assert entries_of(PREFIXES + content + gone, "a.ttl") == ["dog", "hound"]


def xml(label: str = "dog", head: str = '<?xml version="1.0"?>', attributes: str = "") -> str:
    return f"""{head}<rdf:RDF xmlns:rdf="{RDF}" xmlns:rdfs="{RDFS}" xmlns:owl="{OWL}">
        <owl:Class rdf:about="http://a.example/1"><rdfs:label{attributes}>{label}</rdfs:label></owl:Class></rdf:RDF>"""


@pytest.mark.parametrize(
    ("content", "entry"),
    [
        (xml("guide\n      dog"), "guide dog"),
        (xml("guide\r\n\tdog "), "guide dog"),
        (xml(attributes=' xml:lang=""'), "dog"),
        (xml(attributes=' xml:lang="en_GB"'), "dog"),
        (xml().replace("http://a.example/1", "http://a.example/a b"), "dog"),
        (xml("café", '<?xml version="1.0" encoding="ISO-8859-1"?>').encode("latin-1"), "café"),
        (xml("“café”", "<?xml version='1.0' encoding='windows-1252' ?>").encode("cp1252"), "“café”"),
        (xml("犬", '<?xml version="1.0" encoding="Shift_JIS"?>').encode("shift_jis"), "犬"),
        (xml("犬", '<?xml version="1.0" encoding="UTF-16"?>').encode("utf-16"), "犬"),
        (xml("犬", '<?xml version="1.0" encoding="UTF-16"?>'), "犬"),  # as editors leave it that save in UTF-8
        (xml("犬", '\ufeff<?xml version="1.0" encoding="utf-8"?>'), "犬"),
        (xml("&b;", "<!DOCTYPE rdf:RDF [<!ENTITY owl 'http://a.example/#'><!ENTITY b 'dog'>]>"), "dog"),
    ],
)
def test_xml_is_read_as_others_write_it(content: str | bytes, entry: str) -> None:
    assert entries_of(content, "a.owl") == [entry]


def test_labels_come_before_synonyms_whatever_their_order_and_cycles_and_repeats_are_harmless() -> None:
    dropped = Counter[str]()
    assert entries_of(SKOS_TTL, "a.ttl", dropped) == ["cat", "feline", "kitty", "felid", "puss"]
    assert dropped == {"other_language": 2, "repeated": 2, "obsolete": 2}


@pytest.mark.parametrize(
    "dtd",
    [
        '<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>',
        '<!DOCTYPE r [<!ENTITY b SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r [<!ENTITY b PUBLIC "x" "http://a.example/">]>',
        f'<!DOCTYPE r [<!ENTITY b "{"a" * 5000}">]>',
        f'<!DOCTYPE r [<!ENTITY {" " * 70_000}b "x">]>',
        '<!DOCTYPE r [<!ENTITY % b "x"> %b;]>',
    ],
)
def test_entities_that_could_grow_or_lead_elsewhere_are_refused(dtd: str) -> None:
    with pytest.raises(ValueError, match=r"a\.owl: .*is not a short plain text; write it out, or save as Turtle"):
        entries_of(RDF_XML.format(dtd=dtd, label="&b;"), "a.owl")


def test_a_namespace_as_an_entity_is_read() -> None:
    dtd = '<!DOCTYPE r [<!ENTITY owl "http://www.w3.org/2002/07/owl#" >\n<!ENTITY b "cat">]>'
    for name in ("a.owl", "a.rdf", "a.xml"):
        assert entries_of(RDF_XML.format(dtd=dtd, label="&b;"), name) == ["cat", "kitty"]


def test_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    dtd = '<!DOCTYPE r SYSTEM "http://a.example/x.dtd">'
    assert entries_of(RDF_XML.format(dtd=dtd, label="cat"), "a.rdf") == ["cat", "kitty"]
    assert entries_of(SKOS_TTL.replace("<a> ", "<http://a.example/a> "), "a.ttl")
    assert entries_of(OBO.replace("ontology: x", "import: http://a.example/b.obo"), "a.obo")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 20, 39])
def test_an_entity_cut_by_the_reader_is_seen_whole(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip_dagster.metadata.rdf_xml._BLOCK", size)
    bomb = RDF_XML.format(dtd='<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', label="&b;")
    plain = RDF_XML.format(dtd="<!DOCTYPE r [<!ENTITY a \"aaaa\"><!ENTITY b 'x'>]>", label="&b;").encode()
    with pytest.raises(ValueError, match="not a short plain text"):
        entries_of(bomb, "a.owl")
    source = XmlSource(io.BytesIO(plain))
    assert b"".join(iter(lambda: source.read(5), b"")) == plain.replace(b"'x'", b'"x"')
