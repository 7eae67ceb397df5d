"""Rewrite RDF/XML of any encoding as UTF-8 for pyoxigraph, with no entity that grows or leads elsewhere."""

import codecs
import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO

_BLOCK = 1 << 16
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_DECLARED_IN = re.compile(rb"""\s*<\?xml[^>]*?\sencoding\s*=\s*["']([\w.-]+)["']""")
_DECLARED = re.compile(r"""\A(\s*<\?xml[^>]*?)\sencoding\s*=\s*["'][\w.-]+["']""")
_LONGEST = 1000
_ENTITY = re.compile(rb"<!ENTITY[^>]{0,%d}>?" % _LONGEST)
_PLAIN = re.compile(rb"""(<!ENTITY\s+[\w.-]+\s+)(?:"([^"'&%<>]{0,300})"|'([^"'&%<>]{0,300})')\s*>""")


class XmlSource:
    """A file of XML from where it stands, in UTF-8, its entities in double quotes.

    `read` raises ValueError for an entity other than a short plain text, as namespaces are, and for an encoding that
    is not known or that the bytes are not in.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._blocks, self._block = _check_entities(_encode(file)), b""

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes of those at hand; none at the end alone."""
        self._block = self._block or next(self._blocks, b"")
        size = len(self._block) if size < 0 else size
        part, self._block = self._block[:size], self._block[size:]
        return part


def _encode(file: BinaryIO) -> Iterator[bytes]:
    """Blocks of the file in UTF-8, the XML declaration without the name of another encoding."""
    head = file.read(_BLOCK)
    name = _encoding(head)
    try:
        "".encode(name)  # bytes to bytes, as base64, is no encoding of a text
        decode = codecs.getincrementaldecoder(name)().decode
    except LookupError as error:
        raise ValueError(f"the encoding {name!r} is not known; save the file in UTF-8") from error
    yield _DECLARED.sub(r"\1", decode(head), count=1).encode()
    while block := file.read(_BLOCK):
        yield decode(block).encode()
    yield decode(b"", True).encode()


def _encoding(head: bytes) -> str:
    for mark, name in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            return name
    declared = _DECLARED_IN.match(head)
    name = declared[1].decode() if declared else "utf-8"
    return "utf-8" if name.lower().startswith("utf-16") else name  # it could not be read byte by byte


def _check_entities(blocks: Iterable[bytes]) -> Iterator[bytes]:
    unready = b""
    for block in blocks:
        text = unready + block
        start = text.rfind(b"<")
        is_cut = start >= 0 and b">" not in text[start:] and len(text) - start <= _LONGEST
        unready, ready = (text[start:], text[:start]) if is_cut else (b"", text)
        if ready:
            yield _ENTITY.sub(_check_entity, ready)
    yield _ENTITY.sub(_check_entity, unready)


def _check_entity(declaration: re.Match[bytes]) -> bytes:
    plain = _PLAIN.fullmatch(declaration[0])
    if not plain:
        raise ValueError(
            f"the entity {declaration[0][:60]!r} is not a short plain text; write it out, or save as Turtle"
        )
    start, *values = plain.groups(default=b"")
    return start + b'"' + b"".join(values) + b'">'
