"""Laws of publisher.yaml: what it says is text, what it leaves out is open, and nothing odd gets by."""

import pytest

from metaclip_dagster.publishing.publisher import FIELDS, Person, Publisher, read_publisher, write_template
from metaclip_dagster.publishing.questions import QUESTIONS


def test_the_template_is_a_publisher_who_has_said_nothing() -> None:
    publisher = read_publisher(write_template().encode(), "publisher.yaml")
    assert publisher.list_open() == Publisher().list_open()
    assert {*FIELDS, "contact", "authors"} < set(publisher.list_open())
    assert len(publisher.list_open()) == len(FIELDS) + 2 + sum(map(len, QUESTIONS.values()))
    assert set(publisher.list_open("datasheet")) == {
        name for name in publisher.list_open() if "." not in name or name.startswith("datasheet.")
    }
    for document in ("lists", "model_card"):  # which have titles and licences of their own
        assert not {"title", "description", "license"} & {*publisher.list_open(document)}
    assert read_publisher(b"", "publisher.yaml") == Publisher(answers={document: {} for document in QUESTIONS})


def test_values_are_text_as_they_stand() -> None:
    content = b"\xef\xbb\xbfversion: 1.0\ntitle: no\nauthors: [{name: A, url: x}]\n"
    content += b"datasheet:\n  purpose: |\n    a: b\n    c\n"
    publisher = read_publisher(content, "publisher.yaml")
    assert (publisher.version, publisher.title, publisher.authors) == ("1.0", "no", (Person("A", url="x"),))
    assert publisher.answer("datasheet", "purpose") == "a: b\nc"
    assert "datasheet.purpose" not in publisher.list_open()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"titel: x", "unknown key titel; did you mean title"),
        (b"datasheet: {porpose: x}", "unknown key datasheet.porpose; did you mean purpose"),
        (b"contact: {fax: x}", "unknown key contact.fax; there are name, email, url"),
        (b"title: [x]", "title must be text, not a list"),
        (b"own_lists: [birds.txt]", "own_lists must be keys and values, not a list"),
        (b"own_lists: {birds.txt: [x]}", r"own_lists\.birds\.txt must be text, not a list"),
        (b"authors: x", "authors must be a list"),
        (b"authors: [x]", r"authors\[0\] must be keys and values"),
        (b"title: a\ntitle: b", "'title' stands twice"),
        (b"a: &a [x]\nb: *a", "an alias"),
        (b"title: \xff", "not UTF-8 at byte 7"),
        (b"- title: x", "must be keys and values .* not a list"),
        (b"? [a]\n: b", "no YAML"),
        (b"title: !!python/object/apply:os.system [x]", "must be text"),
        (b"a: 'b", "no YAML"),
        (b"[" * 5000, "nested too deeply"),
        (b"title: " + b"x" * (1 << 20), "at most"),
    ],
)
def test_what_is_no_such_file_is_refused_by_its_name(content: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=f"publisher.yaml.*{says}"):
        read_publisher(content, "publisher.yaml")
