"""The published resource: the folders of what is given away, and the file of what only their publisher knows."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import dagster as dg

from resources.files.local import write_text
from resources.published.folders import change_folder


class Published(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Folders that are repositories as they stand: one of the dataset, one of each model."""

    root: str
    """Where they lie."""
    publisher: str
    """The file with title, licence, contact and answers, which need not be there."""
    of_sample: bool = False
    """Whether all of it is made of the sample, and has to say so."""

    def change(self, *names: str) -> AbstractContextManager[Path]:
        """A copy of a folder that takes its place, with checksums, when the block has ended well."""
        return change_folder(self.folder(*names))

    def folder(self, *names: str) -> Path:
        """The place of a folder, such as `dataset`, whether there or not."""
        return Path(self.root, *names)

    def read_publisher(self) -> bytes:
        """The publisher's file, nothing where there is none."""
        path = Path(self.publisher)
        return path.read_bytes() if path.exists() else b""

    def write_example(self, text: str) -> None:
        """Write the template of the publisher's file beside it, as `<name>.example`."""
        write_text(Path(f"{self.publisher}.example"), text)

    def describe(self, *names: str) -> dict[str, Any]:
        """Path, files and bytes of a folder, as metadata."""
        folder = self.folder(*names)
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        return {"folder": dg.MetadataValue.path(str(folder)), "files": len(sizes), "bytes": sum(sizes)}
