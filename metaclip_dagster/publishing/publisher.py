"""Read what only the publisher knows (title, licence, contact, answers) from publisher.yaml, and write its template."""

import difflib
import textwrap
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from metaclip_dagster.publishing.questions import QUESTIONS

MAX_BYTES = 1 << 20

FIELDS = {
    "title": "what the dataset of pairs is called",
    "description": "what it is, in a paragraph",
    "homepage": "address of a page about it",
    "license": "of that compilation, as the Hugging Face Hub names licences (cc-by-4.0); which one is yours to decide",
    "version": "as in 1.0.0",
    "takedown_contact": "address or form to which demands to take something out are sent",
    "provider": "who answers for it: a person or a legal entity",
}
_OF_PAIRS = {"title", "description", "license"}
"""Of the dataset of pairs: models and lists have others."""

PEOPLE = {"name": "", "email": "", "url": ""}


@dataclass(frozen=True)
class Person:
    """Somebody to name; what is not known is empty."""

    name: str = ""
    email: str = ""
    url: str = ""


@dataclass(frozen=True)
class Publisher:
    """What only people know of what is published; what nobody has said is empty."""

    title: str = ""
    description: str = ""
    homepage: str = ""
    license: str = ""
    version: str = ""
    takedown_contact: str = ""
    provider: str = ""
    contact: Person = Person()
    authors: tuple[Person, ...] = ()
    own_lists: Mapping[str, str] = field(default_factory=dict)
    """The licence of each list of entries of one's own, by the name of its file."""
    answers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By document (`datasheet`, `lists`, `model_card` ...) and key of QUESTIONS; unanswered ones are not there."""

    def answer(self, document: str, key: str) -> str:
        """The answer to a question of QUESTIONS, empty where nobody has given one; raises KeyError for another key."""
        return self.answers.get(document, {}).get(key, "") if QUESTIONS[document][key] else ""

    def list_open(self, *documents: str) -> list[str]:
        """What nobody has said yet, as keys of publisher.yaml, such as `license` and `datasheet.purpose`.

        Of questions, those of these documents, by default all; of fields, those that these documents have.
        """
        fields = [name for name in FIELDS if name not in _OF_PAIRS or not documents or "datasheet" in documents]
        names = [name for name in fields if not getattr(self, name)]
        names += ["contact"] * (self.contact == Person()) + ["authors"] * (not self.authors)
        questions = [(document, key) for document in documents or QUESTIONS for key in QUESTIONS[document]]
        return names + [f"{document}.{key}" for document, key in questions if not self.answer(document, key)]


def read_publisher(content: bytes, source: str) -> Publisher:
    """What a publisher.yaml says; every value in it is text as it stands there, `no` and `1.0` too.

    `source` is the file's name for messages. Raises ValueError for what is no such file, naming it and the key.
    """
    document = _load(content, source)
    known = [*FIELDS, "contact", "authors", "own_lists", *QUESTIONS]
    _check_keys(document, known, source, "")
    authors = document.get("authors") or []
    if not isinstance(authors, list):
        raise ValueError(f"{source}: authors must be a list, each with a name: - name: ...")
    answers = {name: _read_texts(document.get(name), QUESTIONS[name], source, name) for name in QUESTIONS}
    return Publisher(
        **_read_texts({key: value for key, value in document.items() if key in FIELDS}, FIELDS, source, ""),
        contact=Person(**_read_texts(document.get("contact"), PEOPLE, source, "contact")),
        authors=tuple(
            Person(**_read_texts(author, PEOPLE, source, f"authors[{number}]")) for number, author in enumerate(authors)
        ),
        own_lists=_read_texts(document.get("own_lists"), None, source, "own_lists"),
        answers=answers,
    )


def check_own_lists(publisher: Publisher, files: Iterable[str], source: str) -> None:
    """Raise ValueError where a licence is of a list that is none of these files, naming the nearest."""
    _check_keys(publisher.own_lists, files, source, "own_lists.")


def write_template() -> str:
    """A publisher.yaml with every key empty, each below its question."""
    lines = [
        "# What only people know of what is published here. Whatever stays empty is said to be open.",
        "# Save it as publisher.yaml. Every value is text; for several lines write `key: |` and indent them.",
        "",
    ]
    for name, says in FIELDS.items():
        lines += [f"# {says}", f"{name}:"]
    lines += ["# who answers questions", "contact:", *(f"  {key}:" for key in PEOPLE)]
    lines += ["# who is to be cited", "authors:", "#  - name:", "#    email:", "#    url:"]
    lines += ["# the licence of each list of entries of your own", "own_lists:", "#  birds.txt: CC0-1.0"]
    for document, questions in QUESTIONS.items():
        lines += ["", f"{document}:"]
        for key, question in questions.items():
            lines += [*textwrap.wrap(question, 110, initial_indent="  # ", subsequent_indent="  # "), f"  {key}:"]
    return "\n".join([*lines, ""])


class _Loader(yaml.BaseLoader):
    """Text, lists and mappings alone: no aliases, which can multiply, and no key twice."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # types-pyyaml leaves it bare
            raise yaml.MarkedYAMLError(problem="an alias (*name) is not read here", problem_mark=event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        keys = set()
        for key, _ in node.value:
            if key.value in keys:
                raise yaml.MarkedYAMLError(problem=f"the key {key.value!r} stands twice", problem_mark=key.start_mark)
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _load(content: bytes, source: str) -> Mapping[str, Any]:
    if len(content) > MAX_BYTES:
        raise ValueError(f"{source} has {len(content):,} bytes; a publisher's answers have at most {MAX_BYTES:,}")
    try:
        document = yaml.load(content.decode("utf-8-sig"), _Loader)  # noqa: S506  # BaseLoader makes text, no objects
    except UnicodeDecodeError as error:
        raise ValueError(f"{source} is not UTF-8 at byte {error.start}: save it as UTF-8") from error
    except (yaml.YAMLError, TypeError) as error:  # TypeError: a list as a key
        raise ValueError(f"{source} is no YAML that is read here: {' '.join(str(error).split())}") from error
    except RecursionError as error:
        raise ValueError(f"{source} is nested too deeply") from error
    if document in (None, ""):
        return {}
    if not isinstance(document, dict):
        raise ValueError(f"{source} must be keys and values (title: ...), not a {type(document).__name__} at its top")
    return document


def _read_texts(given: object, known: Mapping[str, str] | None, source: str, where: str) -> dict[str, str]:
    """The texts of a mapping that are not empty; raises ValueError for what is no text, and for an unknown key.

    Without `known` keys any will do.
    """
    if given in (None, ""):
        return {}
    if not isinstance(given, dict):
        raise ValueError(f"{source}: {where} must be keys and values, not a {type(given).__name__}")
    _check_keys(given, given if known is None else known, source, f"{where}." if where else "")
    for key, value in given.items():
        if not isinstance(value, str):
            raise ValueError(f"{source}: {where}{'.' * bool(where)}{key} must be text, not a {type(value).__name__}")
    return {key: value.strip() for key, value in given.items() if value.strip()}


def _check_keys(given: Iterable[str], known: Iterable[str], source: str, prefix: str) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key, known, 3, 0.5)
            hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(known) or 'none'}"
            raise ValueError(f"{source}: unknown key {prefix}{key}; {hint}")
