"""Read one row of a set that others made: find its columns by their names, and its image's address."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

MAX_TEXT = 1 << 20
"""Bytes of a line, a caption file or a JSON file; what is longer is `too_large`."""


class Row(NamedTuple):
    """One image with its texts, as a file of the pool has it."""

    url: str | None
    """Where the image came from, as far as the file says so."""
    texts: Sequence[str]
    page: str | None
    number: int
    """Which row, line or sample of the file it is."""
    address: str | None = None
    """Where the file itself holds the image's bytes; see `pool_address`."""
    numbers: Mapping[str, object] | None = None
    """What the file has in each column of numbers that the set keeps, as it stands there."""


class Names(NamedTuple):
    """The columns, or keys of a JSON, to read; those that a pool leaves open are found by the field's usual names."""

    url: str = ""
    text: str = ""
    page: str = ""
    digest: str = ""
    """Of a table, the SHA-256 or MD5 of an image's bytes; read by who compares them, see `find_digests`."""
    numbers: tuple[str, ...] = ()
    """Columns of numbers to keep, which have no usual names."""

    def find(self, what: str, available: Collection[str]) -> str | None:
        """The name that `what` (url, text, page) is read by: the set's own, or the first usual one in any case."""
        if name := str(getattr(self, what)):
            return name if name in available else None
        return next((name for usual in _USUAL[what] for name in available if name.lower() == usual), None)

    def find_columns(
        self, available: Sequence[str], path: str, *, has_images: bool = False
    ) -> tuple[str | None, str, str | None]:
        """The table's columns of url, text and page. Raises ValueError naming one that is missing or stands twice."""
        columns = {what: self.find(what, available) for what in ("url", "text", "page")}
        for what, column in columns.items():
            is_needed = getattr(self, what) or what == "text" or (what == "url" and not has_images)
            if column is None and is_needed:
                raise ValueError(
                    f"{path}: no column for {what} among {', '.join(available)[:200]}; name it in pools.json"
                )
            if column is not None and available.count(column) > 1:
                raise ValueError(f"{path}: several columns are named {column}; name another for {what} in pools.json")
        return columns["url"], str(columns["text"]), columns["page"]

    def check_numbers(self, available: Sequence[str], path: str) -> tuple[str, ...]:
        """The table's columns of numbers. Raises ValueError naming one that is missing or stands twice."""
        for column in self.numbers:
            if available.count(column) != 1:
                raise ValueError(
                    f"{path}: {'several columns are' if column in available else 'no column is'} named {column} among "
                    f"{', '.join(available)[:200]}; mend `numbers` in pools.json"
                )
        return self.numbers


def quoted_name(path: str) -> str:
    """A file's name, or a folder's, as the addresses of its images have it."""
    return quote(path.rstrip("/").rsplit("/", 1)[-1], safe="")


def pool_address(pool: str, path: str, where: str, size: int, kind: str) -> str:
    """The address of an image inside a pool's file: `https://<pool>.invalid/<file>/<where>-<size>.<kind>`.

    `.invalid` is reserved: no resolver will ever answer for it, so such an address is read in the pool or nowhere.
    `where` is the byte at which a tar's member begins, the row of a table or the quoted stem of a name in a folder.
    `size` tells when the file is no longer what it was: that of the member, or of the whole table.
    """
    return f"https://{pool}.invalid/{quoted_name(path)}/{where}-{size}.{kind}"


_USUAL = {
    "url": ("url", "image_url"),
    "text": ("text", "caption", "txt"),
    "page": ("page_url", "pageurl", "original_url"),
}
