"""Zero-shot tasks and the models to score on them, as calls that whoever scores makes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from resources.engines import Deferred


class ZeroShot(dg.ConfigurableResource):
    """Folders of tasks, the folder of our own checkpoints, and the device to score on."""

    folders: list[str]
    checkpoints: str
    device: str = "cpu"

    def tasks(self, read: Callable[[str], Any], version: Callable[[str], str]) -> Mapping[str, Deferred]:
        """Each task by its folder's name, read by `read`. Raises dg.Failure where there is none."""
        if not self.folders:
            raise dg.Failure("the deployment names no zero-shot task; give the resource zero_shot the folders of some")
        return {Path(f).name: Deferred(read, (f,), declared=version(f)) for f in self.folders}

    def model(self, load: Callable[..., Any], *name: str, version: str) -> Deferred:
        """A model, loaded by `load` on the device; `version` changes with its weights."""
        return Deferred(load, name, {"device": self.device}, declared=f"{' '.join(name)} {version}")

    def notes(self) -> dict[str, str]:
        """What each task says of itself in its README.md below the heading, by name."""
        pages = {Path(folder).name: Path(folder, "README.md") for folder in self.folders}
        texts = {name: page.read_text(encoding="utf-8") for name, page in pages.items() if page.is_file()}
        return {name: " ".join(text.partition("\n")[2].split()) for name, text in texts.items()}
