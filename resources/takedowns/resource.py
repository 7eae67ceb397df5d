"""The takedown list resource: say where the list lies, and read it for workers."""

from pathlib import Path

import dagster as dg
import xxhash

from resources.deferred import Deferred
from resources.takedowns.listing import ListedLine, read_lines, read_list


class TakedownList(dg.ConfigurableResource, use_attribute_docstrings=True):
    """A CSV file of what is to go; without one, nothing is taken down. Raises ValueError for a bad line."""

    path: str
    """Where the list lies."""
    named: bool = False
    """Whether somebody said where it lies: it must be there then, for a mistyped path would lift all takedowns."""

    def deferred(self) -> Deferred | None:
        """File and line, kind and value of all that is listed, for workers; None where nothing is."""
        if not self.lines():
            return None
        return Deferred(read_list, (self.path,), declared=xxhash.xxh3_128(Path(self.path).read_bytes()).hexdigest())

    def digests(self) -> set[str]:
        """The SHA-256 of images that are listed: the image store knows whose they are."""
        return {value.lower() for _, kind, value, _ in self.lines() if kind == "image_sha256"}

    def lines(self) -> list[ListedLine]:
        """All that is listed, with the request of each line."""
        if self.named and not Path(self.path).exists():
            raise ValueError(f"{self.path} is not there, and METACLIP_TAKEDOWNS names it: put it there, or unset that")
        return read_lines(self.path)
