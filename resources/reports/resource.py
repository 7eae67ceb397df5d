"""The reports resource: write pages as HTML and JSON files, each whole or not there."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal
from urllib.parse import quote

import dagster as dg

from resources.files.local import create, write_text


class Reports(dg.ConfigurableResource, use_attribute_docstrings=True):
    """A folder of reports, one name a report, HTML for reading and JSON for machines."""

    root: str
    """Where the reports lie."""
    url: str = ""
    """Where they are served; none gives their paths alone."""
    pictures: Literal["shown", "blurred", "off"] = "shown"
    """How reports show a crawl's pictures: as they are, blurred until pointed at, or by their texts alone."""

    def write(self, name: str, html: str, content: Mapping[str, Any]) -> dict[str, dg.MetadataValue]:
        """Replace the report's page and its data; gives links to both, and the page's path, as metadata.

        Raises ValueError for a NaN or infinity.
        """
        page, data = Path(self.root, f"{name}.html"), Path(self.root, f"{name}.json")
        document = json.dumps(content, allow_nan=False, ensure_ascii=False, indent=1)
        for path, text in ((data, document), (page, html)):
            write_text(path, text)
        paths = {"page": page, "json": data}
        if not self.url:
            return {kind: dg.MetadataValue.path(str(path)) for kind, path in paths.items()}
        links = {kind: dg.MetadataValue.url(f"{self.url}/{quote(path.name)}") for kind, path in paths.items()}
        return {**links, "page_path": dg.MetadataValue.path(str(page))}

    def read(self, name: str) -> tuple[str, dict[str, Any]]:
        """The page and the data of a report; raises FileNotFoundError where it was never written."""
        page, data = Path(self.root, f"{name}.html"), Path(self.root, f"{name}.json")
        if not (page.exists() and data.exists()):
            raise FileNotFoundError(f"{page} is not there; materialize the asset that writes it first")
        return page.read_text("utf-8"), json.loads(data.read_text("utf-8"))

    @contextlib.contextmanager
    def create(self, file_name: str) -> Iterator[BinaryIO]:
        """A file beside a report, which appears when the block has ended well."""
        with create(Path(self.root, file_name)) as file:
            yield file
