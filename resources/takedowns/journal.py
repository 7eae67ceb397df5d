"""Keep what a purge is about to delete until its receipts are written, so that one that was killed forgets nothing."""

from pathlib import Path
from typing import Any

from resources.files.local import append_line, read_lines


class Journal:
    """Notes by key, each written down before what it says is done; a later note of the same key takes its place.

    A key says which state of the data the note is of, as a partition's version does: what a purge was killed before it
    did is noted by the next one again under that key, and what it had done stays noted.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Take up the notes of a purge that did not end; without a path, keep them in memory alone."""
        self._path = path
        lines = read_lines(path) if path else []
        self.notes: dict[tuple[str, ...], dict[str, Any]] = {tuple(line["key"]): line["note"] for line in lines}

    def note(self, *key: str, **note: Any) -> None:
        """Add a note, and wait until the disk has it."""
        self.notes[key] = note
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            append_line(self._path, {"key": key, "note": note}, sync=True)

    def close(self) -> None:
        """Forget the notes: the receipts are written."""
        if self._path:
            self._path.unlink(missing_ok=True)
