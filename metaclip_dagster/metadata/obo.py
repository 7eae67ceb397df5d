"""Read the names and synonyms of an OBO file's terms as a stream of labels."""

import re
from collections.abc import Iterator
from typing import BinaryIO

from metaclip_dagster.metadata.list_formats import NO_TERM, OBSOLETE, Label, decode_lines, unwrap

_BLANKS = " \t\r\n"
_STANZA = re.compile(r"\[\s*(\w+)\s*\]")
_CLAUSE = re.compile(r"([^\s:!]+)[ \t]*:[ \t]*(.*)", re.DOTALL)
_SYNONYM_TAGS = {"synonym", *(f"{scope}_synonym" for scope in ("exact", "narrow", "broad", "related"))}  # OBO 1.0 too
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
# Up to a comment, `! ...`, or the modifiers of the clause, `{key="value", ...}`; any other brace is a character.
_UNQUOTED = re.compile(r"(?:[^\\!{]|\\.?|\{(?![ \t]*[\w:.-]+[ \t]*=))*", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "W": " "}
_TERMS = {"Term", "Instance"}


def read_obo(file: BinaryIO) -> Iterator[Label]:
    """Names and synonyms, of any scope or none; those of obsolete terms and of others than terms and instances say so.

    By the rules of OBO 1.2 and 1.4 for escapes, comments, trailing modifiers and quotes; all other tags are passed
    over. Raises ValueError naming the line of one that is no `tag: value` and of a synonym without quotes, which may be
    the pieces of a name; and for a file without any stanza.
    """
    labels: list[Label] = []  # of the stanza at hand: that it is obsolete may stand after them
    stanza, why_not = "", None
    for number, line in enumerate((line.strip(_BLANKS) for line in decode_lines(file)), 1):
        if opening := _STANZA.match(line):
            yield from (label._replace(why_not=why_not) for label in labels)
            stanza, labels = opening[1], []
            why_not = None if stanza in _TERMS else NO_TERM
        elif stanza and line and not line.startswith("!"):
            tag, value = _split(line, number)
            if tag == "name":
                labels.append(Label(_unquoted(value)))
            elif tag in _SYNONYM_TAGS:
                labels.append(Label(_quoted(value, number), is_synonym=True))
            elif tag == "is_obsolete" and _unquoted(value) in {"true", "1"}:
                why_not = why_not or OBSOLETE
    if not stanza:
        raise ValueError("there is no [Term] in it; OBO is text in UTF-8")
    yield from (label._replace(why_not=why_not) for label in labels)


def _split(line: str, number: int) -> tuple[str, str]:
    clause = _CLAUSE.match(line)
    if not clause:
        raise ValueError(f"{line[:60]!r} is no tag and value, line {number}; does it belong to the line before?")
    return clause[1], clause[2]


def _quoted(value: str, number: int) -> str:
    quoted = _QUOTED.match(value)
    if not quoted:
        raise ValueError(f"the synonym {value[:60]!r} is not in quotes, line {number}")
    return _unescape(quoted[1])


def _unquoted(value: str) -> str:
    plain = _UNQUOTED.match(value)[0]  # type: ignore[index]  # matches nothing too
    return _unescape(plain.rstrip(_BLANKS))


def _unescape(value: str) -> str:
    return unwrap(_ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), value))
