"""Zero-shot tasks and the models to score on them, as a resource of the graph."""

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from resources.deferred import Deferred

_MOST_BYTES = 64 << 10  # of a README.md


class ZeroShot(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Folders of tasks, the folder of our own checkpoints, and the device to score on."""

    deployed: list[str] = []
    """Folders of the deployment's tasks."""
    deployed_languages: list[str] = ["en"]
    """The deployment's languages, those of its lists of entries."""
    checkpoints: str
    """Folder of our own checkpoints."""
    folders: list[str] = []
    """Folders of other tasks to score on; none takes the deployment's."""
    languages: list[str] = []
    """Codes of other languages to score in where a task has them, or `all`; none takes the deployment's."""
    device: str = "cpu"
    """Where torch scores: cpu, or cuda."""

    @property
    def _folders(self) -> list[str]:
        return self.folders or self.deployed

    @property
    def scored_languages(self) -> list[str]:
        """Those that tasks are scored in beside their own."""
        return self.languages or self.deployed_languages

    def tasks(self, read: Callable[[str], Any], version: Callable[[str], str]) -> Mapping[str, Deferred]:
        """Each task by its folder's name, read by `read`. Raises dg.Failure for no task, and for two of one name."""
        if not self._folders:
            raise dg.Failure(
                "there is no zero-shot task: put folders into tasks/ at home, or name them in the resource zero_shot"
            )
        names = Counter(Path(folder).name for folder in self._folders)
        if alike := ", ".join(folder for folder in self._folders if names[Path(folder).name] > 1):
            raise dg.Failure(f"tasks go by their folders' names, and these are named alike: {alike}; rename one")
        return {Path(it).name: Deferred(read, (it,), declared=version(it)) for it in self._folders}

    def folder(self, task: str) -> str | None:
        """The folder of a task, by its name; None where there is none."""
        return next((folder for folder in self._folders if Path(folder).name == task), None)

    def model(self, load: Callable[..., Any], *name: str, version: str) -> Deferred:
        """A model, loaded by `load` on the device; `version` changes with its weights."""
        return Deferred(load, name, {"device": self.device}, declared=f"{' '.join(name)} {version}")

    def notes(self) -> dict[str, str]:
        """What each task's README.md says below its heading, in one line, by task; of a long one the start."""
        pages = {Path(folder).name: Path(folder, "README.md") for folder in self._folders}
        texts = {name: _read_start(page) for name, page in pages.items() if page.is_file()}
        return {name: " ".join(text.partition("\n")[2].split()) for name, text in texts.items()}


def _read_start(page: Path) -> str:
    with page.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", errors="replace")
