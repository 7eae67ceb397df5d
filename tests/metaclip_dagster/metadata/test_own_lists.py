"""Lists, tables and ontologies of one's own come back whole, or say where they are broken; nothing is fetched."""

import gzip
import io
import json
from collections import Counter
from collections.abc import Sequence
from typing import NoReturn

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metaclip_dagster.metadata.own_lists import MOST_CHARACTERS
from tests.metaclip_dagster.own_lists import OBO, RDF_XML, SKOS_TTL, entries_of, read


def parquet(**columns: object) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file)
    return file.getvalue()


AS_RDF = "save it as RDF/XML or Turtle"
DAMAGED_PARQUET = bytearray(parquet(entry=[f"dog {i}" for i in range(300)]))
DAMAGED_PARQUET[20:60] = bytes(40)


def test_a_text_file_ranks_as_it_stands() -> None:
    assert entries_of(b"zebra\nNew York\r\n  ant  \n") == ["zebra", "New York", "ant"]
    table = read("b\na\nc", "list.txt")
    assert table.sort_by([("score", "descending")])["entry"].to_pylist() == ["b", "a", "c"]


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
    read_back = entries_of(gzip.compress(content), f"{name}.gz") if compressed else entries_of(content, name)
    assert read_back == ["dog", "New York"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'entry,language\ncat,en-GB\nKatze,de\n"chat",fr\nfeline,\n'),
        ("a.tsv", "language\tentry\nen\tcat\nde-AT\tKatze\nfr_CA\tchat\n\tfeline\n"),
        ("a.jsonl", '{"entry":"cat","language":"EN"}\n{"entry":"Katze","language":"de"}\n"feline"\n'),
        ("a.parquet", parquet(language=["en", "de", "fr", None], entry=["cat", "Katze", "chat", "feline"])),
        ("a.ttl", SKOS_TTL),
    ],
)
def test_a_language_is_the_entrys_own_or_else_the_first_and_others_are_left_out(name: str, content: bytes) -> None:
    dropped = Counter[str]()
    table = read(content, name, ["en", "de"], dropped)
    read_back = set(zip(table["entry"].to_pylist(), table["language"].to_pylist(), strict=True))
    assert {("cat", "en"), ("Katze", "de"), ("feline", "en")} <= read_back
    assert set(table["language"].to_pylist()) == {"en", "de"}
    assert dropped["other_language"] == (0 if name == "a.jsonl" else 1)
    assert ("feline", "de") in zip(
        *(read(content, name, ["de"])[c].to_pylist() for c in ("entry", "language")), strict=True
    )


@pytest.mark.parametrize(
    ("rows", "entries"),
    [
        (['"Big" Rex', "dog"], ['"Big" Rex', "dog"]),
        (['"Heroes', "dog", '12"', "cat"], ['"Heroes', "dog", '12"', "cat"]),
        (['"dog"', 'a ""b"" c', "", "d'e"], ['"dog"', 'a ""b"" c', "d'e"]),
    ],
)
def test_a_quote_is_a_character_where_tabs_part_the_columns(rows: list[str], entries: list[str]) -> None:
    content = "\n".join(["entry\tid", *(f"{row}\t{i}" for i, row in enumerate(rows))])
    assert entries_of(content, "a.tsv") == entries


def test_a_panic_of_the_parser_is_told_as_any_fault_and_names_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """As the parser's library would raise it: no file is known that makes it."""

    def panic(*_: object, **__: object) -> NoReturn:
        raise PanicException("index out of bounds")

    PanicException.__module__ = "pyo3_runtime"
    monkeypatch.setattr("pyoxigraph.parse", panic)
    with pytest.raises(ValueError, match=r"^a\.ttl: not readable after 0 entries: pyoxigraph panicked \(index out of"):
        entries_of(SKOS_TTL, "a.ttl")
    monkeypatch.setattr(PanicException, "__module__", "elsewhere")
    with pytest.raises(PanicException):
        entries_of(SKOS_TTL, "a.ttl")


def test_what_cannot_be_an_entry_is_counted_by_reason() -> None:
    dropped = Counter[str]()
    content = b"dog\n\ndog\nca\tt\nb\x07\n\xff\xfe\n\xed\xa0\x80\n   \n" + f"a\u2028b\n{'x' * 1001}\n".encode()
    assert entries_of(content, dropped=dropped) == ["dog", "a\u2028b"]
    assert dropped == {"empty": 2, "repeated": 1, "control_character": 2, "not_unicode": 2, "too_long": 1}


@settings(max_examples=50)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1), min_size=1, unique=True))
def test_a_list_comes_back_whole(entries: Sequence[str]) -> None:
    if not entries[0].startswith("\ufeff"):
        assert entries_of("\n".join(entries)) == list(entries)
    assert entries_of(json.dumps(entries), "a.json") == list(entries)
    assert entries_of("\n".join(map(json.dumps, entries)), "a.jsonl") == list(entries)
    assert entries_of(parquet(entry=entries), "a.parquet") == list(entries)


def test_an_array_larger_than_what_is_held_is_to_be_saved_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metaclip_dagster.metadata.list_formats._MOST_OF_ARRAY", 9)
    with pytest.raises(ValueError, match="an array of more than 9 bytes; save it as JSON lines"):
        entries_of('["dog", "cat"]', "a.json")
    assert entries_of('"dog"\n"cat"\n', "a.json") == ["dog", "cat"]


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
        ("a.json", b'["dog",\n "cat"', r"no JSON, unexpected end of data: line 2 column 7 .*; was the file cut"),
        ("a.json", b'["dog"] "cat"', r"no JSON, unexpected content after document: line 1 column 9"),
        ("a.json", b'{"dog": 1}', "{\"dog\":1} is neither a string nor an object with an 'entry'"),
        ("a.json", b"[" * 100_000, "not readable after 0 entries: no JSON, depth limit exceeded"),
        ("a.json", b'[{"entry": "dog", "language": 1}]', "is neither a string nor an object with an 'entry'"),
        ("a.jsonl", b'"dog"\n"c\xff"', r"after 1 entries: no JSON, .*UTF-8.*, line 2"),
        ("a.jsonl", b'"dog"\ncat\n', r"after 1 entries: no JSON, unexpected .*, line 2"),
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
        (
            "a.obo",
            (OBO + "\n[Term]\nsynonym: kitty EXACT []\n").encode(),
            "the synonym 'kitty EXACT .*' is not in quotes, line 26",
        ),
        ("a.obo", OBO.encode("utf-16"), r"there is no \[Term\] in it; OBO is text in UTF-8"),
        (
            "a.owl",
            b"# made by hand\nPrefix(:=<http://a/>)\nOntology(<http://a/>)",
            f"OWL in functional syntax; {AS_RDF}",
        ),
        ("a.ttl", b"Prefix: : <http://a/>\nOntology: <http://a/>", f"OWL in Manchester syntax; {AS_RDF}"),
        (
            "a.owl",
            b'<?xml version="1.0"?><!-- a --><Ontology xmlns="http://www.w3.org/2002/07/owl#"/>',
            f"OWL/XML; {AS_RDF}",
        ),
        ("a.owl", SKOS_TTL.encode(), "this is Turtle; name the file .ttl"),
        ("a.ttl", RDF_XML.format(dtd="", label="x").encode(), "this is RDF/XML; name the file .rdf"),
        ("a.owl", OBO.encode(), "this is OBO; name the file .obo"),
        ("a.ttl", b'{"@context": {}}', f"this is JSON; {AS_RDF}"),
        (
            "a.rdf",
            b'<?xml version="1.0" encoding="runic"?><a/>',
            "the encoding 'runic' is not known; save the file in UTF-8",
        ),
        ("a.rdf", b'<?xml version="1.0" encoding="base64"?><a/>', "the encoding 'base64' is not known"),
        ("a.rdf", b'<?xml version="1.0" encoding="ascii"?><a>\xe9</a>', "can't decode byte 0xe9"),
        ("a.parquet", DAMAGED_PARQUET, "; the file is damaged, copy it again"),
        ("a.pdf", b"dog", r"no format is known by the suffix '\.pdf'; there are \.txt, \.csv, .*\.obo, each also \.gz"),
        ("list", b"dog", "no format is known by the suffix ''"),
        ("a.jsonld", b"[]", r"no format is known by the suffix '\.jsonld'"),
    ],
)
def test_a_broken_file_names_itself_the_place_and_the_way_out(name: str, content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says) as raised:
        entries_of(content, name)
    assert str(raised.value).startswith(f"{name}: ")


def test_a_quoted_line_end_is_part_of_its_entry() -> None:
    dropped = Counter[str]()
    for end in ("\n", "\r\n", "\r"):
        assert read(f'entry{end}dog{end}"New{end}York"{end}', "a.csv", dropped=dropped)["entry"].to_pylist() == ["dog"]
    assert dropped["control_character"] == 3


def test_the_longest_entry_is_as_told() -> None:
    assert entries_of("x" * MOST_CHARACTERS) == ["x" * MOST_CHARACTERS]
