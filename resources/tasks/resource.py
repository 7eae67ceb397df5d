"""Zero-shot tasks and the models to score on them, as a resource of the graph."""

from collections.abc import Callable, Mapping
from typing import Any

import dagster as dg

from resources.deferred import Deferred
from resources.tasks.folders import name_tasks, read_notes


class ZeroShot(dg.ConfigurableResource, use_attribute_docstrings=True):
    """Folders of tasks, the folder of our own checkpoints, and the device to score on."""

    deployed: list[str] = []
    """Folders of the deployment's tasks."""
    checkpoints: str
    """Folder of our own checkpoints."""
    folders: list[str] = []
    """Folders of other tasks to score on; none takes the deployment's."""
    device: str = "cpu"
    """Where torch scores: cpu, or cuda."""

    @property
    def _folders(self) -> list[str]:
        return self.folders or self.deployed

    def tasks(self, read: Callable[[str], Any], version: Callable[[str], str]) -> Mapping[str, Deferred]:
        """Each task by its folder's name, read by `read`. Raises dg.Failure for no task, and for two of one name."""
        try:
            folders = name_tasks(self._folders)
        except ValueError as error:
            raise dg.Failure(str(error)) from None
        return {name: Deferred(read, (folder,), declared=version(folder)) for name, folder in folders.items()}

    def model(self, load: Callable[..., Any], *name: str, version: str) -> Deferred:
        """A model, loaded by `load` on the device; `version` changes with its weights."""
        return Deferred(load, name, {"device": self.device}, declared=f"{' '.join(name)} {version}")

    def notes(self) -> dict[str, str]:
        """What each task says of itself in its README.md, by name."""
        return read_notes(self._folders)
