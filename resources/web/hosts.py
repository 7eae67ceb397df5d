"""Share among a machine's processes which connections to a host are open, and which hosts refuse more."""

import fcntl
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BLOCKED_SECONDS = 3600.0


@contextmanager
def hold_connection(folder: Path, purpose: str, *, num_slots: int, seconds: float) -> Iterator[None]:
    """Hold one of the host's connections, the locked files in its `folder`; a process that dies gives its own back.

    Raises TimeoutError naming the holders and their purposes if none is free after so many `seconds`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    slots = [folder / str(number) for number in range(num_slots)]
    until = time.monotonic() + seconds
    while True:
        for path in slots:
            with path.open("a", encoding="utf-8") as slot:
                try:
                    fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                slot.truncate(0)
                slot.write(f"process {os.getpid()}: {purpose}")
                slot.flush()
                yield
                return
        if time.monotonic() > until:
            holders = "; ".join(path.read_text("utf-8", "replace") for path in slots)
            raise TimeoutError(
                f"{purpose}: no connection to {folder.name} was free for {seconds:g} s ({holders}); try again later"
            )
        time.sleep(random.uniform(0.05, 0.2))  # noqa: S311


def block_host(folder: str, host: str, why: str) -> PermissionError:
    """Note in the folder that the host refuses this machine; gives the error to raise."""
    note = Path(folder, "blocked", host)
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text(why, encoding="utf-8")
    return _refusal(host, why)


def refuse_blocked(folder: str, host: str) -> None:
    """Raise PermissionError if the host refused this machine less than an hour ago."""
    note = Path(folder, "blocked", host)
    if note.exists() and time.time() - note.stat().st_mtime < _BLOCKED_SECONDS:
        raise _refusal(host, note.read_text("utf-8"))


def _refusal(host: str, why: str) -> PermissionError:
    return PermissionError(
        f"{host} refuses us ({why}). Asking on makes that worse, so nothing is asked of it for an hour. Give fewer "
        "connections, name a contact, or read from S3; what was read so far is kept"
    )
