"""Lists, tables and ontologies of one's own come back whole, or say where they are broken; nothing is fetched."""

import gzip
import io
import json
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.metadata import read_own_entries
from metaclip_dagster.metadata.own_lists import MOST_CHARACTERS
from metaclip_dagster.schemas import CANDIDATES

SKOS = """@prefix skos: <http://www.w3.org/2004/02/skos/core#> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
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


def own(content: bytes | str, name: str = "list.txt", dropped: Counter[str] | None = None) -> list[str]:
    return list(read(content, name, dropped=dropped)["entry"].to_pylist())


def read_all(read: Callable[[int], bytes], size: int) -> bytes:
    return b"".join(iter(lambda: read(size), b""))


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


def test_a_text_file_ranks_as_it_stands() -> None:
    assert own(b"zebra\nNew York\r\n  ant  \n") == ["zebra", "New York", "ant"]
    table = read("b\na\nc", "list.txt")
    assert table.sort_by([("score", "descending")])["entry"].to_pylist() == ["b", "a", "c"]


def test_commas_are_text_in_a_text_file() -> None:
    assert own(b"Austin, Texas\nentry\n") == ["Austin, Texas", "entry"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("list.txt", "dog\nNew York\n"),
        ("LIST.TXT", "\ufeffdog\nNew York"),
        ("list.txt", "dog\rNew York\r"),
        ("list.csv", '\ufeffid,entry\n1,dog\n2,"New York"\n'),
        ("list.csv", 'entry,id\r"dog",1\rNew York,2\r'),
        ("list.ttl", '\ufeff<a:1> <http://www.w3.org/2000/01/rdf-schema#label> "dog", "New York" .'),
        ("list.tsv", "entry\tid\ndog\t1\nNew York\t2\n"),
        ("list.json", '["dog", "New York"]'),
        ("list.json", ' [ {"entry": "dog"} ,\n {"entry": "New York", "language": null}]\n'),
        ("list.jsonl", '"dog"\n{"entry": "New York", "id": [1, {"a": 2}]}\n'),
        ("list.ndjson", '\ufeff{"entry": "dog"}\n\n{"entry": "New York"}'),
        ("list.parquet", parquet(entry=["dog", "New York"], id=[1, 2])),
        ("list.parquet", parquet(entry=pa.array(["dog", "New York"]).dictionary_encode())),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_one_list_in_every_format_is_the_same_list(name: str, content: str | bytes, compressed: bool) -> None:
    content = content.encode() if isinstance(content, str) else content
    told = own(gzip.compress(content), f"{name}.gz") if compressed else own(content, name)
    assert told == ["dog", "New York"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'entry,language\ncat,en-GB\nKatze,de\n"chat",fr\nfeline,\n'),
        ("a.tsv", "language\tentry\nen\tcat\nde-AT\tKatze\nfr_CA\tchat\n\tfeline\n"),
        ("a.jsonl", '{"entry":"cat","language":"EN"}\n{"entry":"Katze","language":"de"}\n"feline"\n'),
        ("a.parquet", parquet(language=["en", "de", "fr", None], entry=["cat", "Katze", "chat", "feline"])),
        ("a.ttl", SKOS),
    ],
)
def test_a_language_is_the_entrys_own_or_else_the_first_and_others_are_left_out(name: str, content: bytes) -> None:
    dropped = Counter[str]()
    table = read(content, name, ["en", "de"], dropped)
    told = set(zip(table["entry"].to_pylist(), table["language"].to_pylist(), strict=True))
    assert {("cat", "en"), ("Katze", "de"), ("feline", "en")} <= told
    assert set(table["language"].to_pylist()) == {"en", "de"}
    assert dropped["other_language"] == (0 if name == "a.jsonl" else 1)
    assert ("feline", "de") in zip(
        *(read(content, name, ["de"])[c].to_pylist() for c in ("entry", "language")), strict=True
    )


def test_what_cannot_be_an_entry_is_counted_by_reason() -> None:
    dropped = Counter[str]()
    content = b"dog\n\ndog\nca\tt\nb\x07\n\xff\xfe\n\xed\xa0\x80\n   \n" + f"a\u2028b\n{'x' * 1001}\n".encode()
    assert own(content, dropped=dropped) == ["dog", "a\u2028b"]
    assert dropped == {"empty": 2, "repeated": 1, "control_character": 2, "not_unicode": 2, "too_long": 1}


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1), min_size=1, unique=True))
def test_a_list_comes_back_whole(entries: Sequence[str]) -> None:
    if not entries[0].startswith("\ufeff"):
        assert own("\n".join(entries)) == list(entries)
    assert own(json.dumps(entries), "a.json") == list(entries)
    assert own("\n".join(map(json.dumps, entries)), "a.jsonl") == list(entries)
    assert own(parquet(entry=entries), "a.parquet") == list(entries)


@pytest.mark.parametrize("piece", [1, 2, 3, 7])
def test_json_cut_anywhere_into_pieces_is_the_same_list(piece: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip_dagster.metadata.list_formats._CHUNK", piece)
    assert own('["dö\\u00e4g", {"entry": "New, [York]"}, "x"]', "a.json") == ["döäg", "New, [York]", "x"]


class TestOntologies:
    def test_labels_come_before_synonyms_whatever_their_order_and_cycles_and_repeats_are_harmless(self) -> None:
        dropped = Counter[str]()
        assert own(SKOS, "a.ttl", dropped) == ["cat", "feline", "kitty", "felid", "puss"]
        assert dropped == {"other_language": 2, "repeated": 2}

    def test_triples_one_a_line_and_xml_say_the_same_as_turtle(self) -> None:
        triples = "\n".join(
            f'<http://a> <http://www.w3.org/2004/02/skos/core#{kind}Label> "{text}"@en .'
            for kind, text in (("alt", "kitty"), ("pref", "cat"))
        )
        xml = RDF_XML.format(dtd="", label="cat")
        for name, content in (("a.nt", triples), ("a.rdf", xml), ("a.owl", xml), ("a.xml", xml)):
            assert own(content, name) == ["cat", "kitty"]

    def test_names_of_obo_come_before_synonyms_and_obsolete_terms_are_left_out(self) -> None:
        assert own(OBO, "a.obo") == ["cat", "feline", "kitty"]

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
    def test_entities_that_could_grow_or_lead_elsewhere_are_refused(self, dtd: str) -> None:
        with pytest.raises(ValueError, match=r"a\.owl: .*is not a short plain text; write it out, or save as Turtle"):
            own(RDF_XML.format(dtd=dtd, label="&b;"), "a.owl")

    def test_a_namespace_as_an_entity_is_read(self) -> None:
        dtd = '<!DOCTYPE r [<!ENTITY owl "http://www.w3.org/2002/07/owl#" >\n<!ENTITY b "cat">]>'
        assert own(RDF_XML.format(dtd=dtd, label="&b;"), "a.owl") == ["cat", "kitty"]

    def test_nothing_is_fetched(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> NoReturn:
            raise AssertionError("the network was asked")

        monkeypatch.setattr(socket, "socket", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)
        dtd = '<!DOCTYPE r SYSTEM "http://a.example/x.dtd">'
        assert own(RDF_XML.format(dtd=dtd, label="cat"), "a.rdf") == ["cat", "kitty"]
        assert own(SKOS.replace("<a> ", "<http://a.example/a> "), "a.ttl")
        assert own(OBO.replace("ontology: x", "import: http://a.example/b.obo"), "a.obo")

    def test_an_entity_cut_by_the_reader_is_seen_whole(self) -> None:
        from metaclip_dagster.metadata.ontologies import _Checked

        bomb = RDF_XML.format(dtd='<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>', label="&b;").encode()
        plain = RDF_XML.format(dtd='<!DOCTYPE r [<!ENTITY a "aaaa"><!ENTITY b "x">]>', label="&b;").encode()
        for size in range(1, 40):
            with pytest.raises(ValueError, match="not a short plain text"):
                read_all(_Checked(io.BytesIO(bomb)).read, size)
            assert read_all(_Checked(io.BytesIO(plain)).read, size) == plain


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"", "holds no entry in en; dropped: nothing"),
        ("a.txt", b"\n\n", "holds no entry in en; dropped: {'empty': 2}"),
        ("a.txt", "dog\ncat".encode("utf-16"), "holds no entry in en"),
        ("a.txt", b"x" * (1 << 24), "line 1 is longer than 16,777,216 bytes; is this a text file"),
        ("a.csv", b"entry\n", "holds no entry"),
        ("a.csv", b'entry\ndog\n"cat"s\n', "after 1 entries: .*line 3; quote fields that hold ','"),
        ("a.csv", b"name,id\ndog,1\n", "no column is named 'entry', only name, id; rename"),
        ("a.json", b'["dog", "cat"', r"the list of 2 values has no \] at its end; was the file cut"),
        ("a.json", b'["dog", "cat', r"no JSON after 1 values \(Unterminated string"),
        ("a.json", b'["dog"] "cat"', "the list ends after 1 values, and more follows"),
        ("a.json", b'{"dog": 1}', "{\"dog\": 1} is neither a string nor an object with an 'entry'"),
        ("a.json", b"[" * 100_000, "not readable after 0 entries: maximum recursion depth"),
        ("a.json", b'[{"entry": "dog", "language": 1}]', "is neither a string nor an object with an 'entry'"),
        ("a.jsonl", b'"dog"\n"c\xff"', "can't decode byte 0xff"),
        ("a.parquet", b"PAR1", "not readable after 0 entries: Parquet file size is 4 bytes"),
        ("a.parquet", parquet(name=["dog"]), "no column is named 'entry', only name"),
        (
            "a.txt.gz",
            gzip.compress(b"dog\n" * 9999, mtime=0)[:-20],
            "the compressed file is cut or damaged, copy it again",
        ),
        ("a.txt.gz", b"dog", "the compressed file is cut or damaged"),
        ("a.ttl", b'<a> <b> "c" .\n<a> <b> "d', "Unexpected end of file, line 2"),
        ("a.nt", b"\xff\xfe", "Invalid UTF-8 character encoding, line 1"),
        ("a.rdf", RDF_XML.format(dtd="", label="x")[:-9].encode(), "not readable .*, before byte 3"),
        ("a.rdf", b"<!doctype html><html></html>", "not readable after 0 entries"),
        ("a.obo", (OBO + "\n[Term]\nid: X:4\nbogus\n").encode(), "line 27"),
        ("a.obo", b"\xff\xfe", "valid UTF-8; OBO is text in UTF-8"),
        ("a.pdf", b"dog", r"no format is known by the suffix '\.pdf'; there are \.txt, \.csv, .*\.obo, each also \.gz"),
        ("list", b"dog", "no format is known by the suffix ''"),
        ("a.jsonld", b"[]", r"no format is known by the suffix '\.jsonld'"),
    ],
)
def test_a_broken_file_names_itself_the_place_and_the_way_out(name: str, content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        own(content, name)
    assert str(raised.value).startswith(f"{name}: ")


def test_a_quoted_line_end_is_part_of_its_entry() -> None:
    dropped = Counter[str]()
    for end in ("\n", "\r\n", "\r"):
        assert read(f'entry{end}dog{end}"New{end}York"{end}', "a.csv", dropped=dropped)["entry"].to_pylist() == ["dog"]
    assert dropped["control_character"] == 3


def test_the_longest_entry_is_as_told() -> None:
    assert own("x" * MOST_CHARACTERS) == ["x" * MOST_CHARACTERS]
