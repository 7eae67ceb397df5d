"""Name zero-shot tasks by their folders, and read what each says of itself in its README."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

_MOST_BYTES = 64 << 10  # of a README.md


def name_tasks(folders: Sequence[str]) -> dict[str, str]:
    """The tasks' folders by their names; raises ValueError if there is none, or if two have one name."""
    if not folders:
        raise ValueError(
            "there is no zero-shot task: put folders into tasks/ at home, or name them in the resource zero_shot"
        )
    names = Counter(Path(folder).name for folder in folders)
    if alike := [folder for folder in folders if names[Path(folder).name] > 1]:
        raise ValueError(f"tasks go by their folders' names, and these are named alike: {', '.join(alike)}; rename one")
    return {Path(folder).name: folder for folder in folders}


def read_notes(folders: Sequence[str]) -> dict[str, str]:
    """What each task's README.md says below its heading, in one line, by the task's name; of a long one, its start."""
    pages = {Path(folder).name: Path(folder, "README.md") for folder in folders}
    texts = {name: _read_start(page) for name, page in pages.items() if page.is_file()}
    return {name: " ".join(text.partition("\n")[2].split()) for name, text in texts.items()}


def _read_start(page: Path) -> str:
    with page.open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", errors="replace")
