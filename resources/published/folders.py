"""Change a folder as a whole, one writer at a time, and list its files with their SHA-256."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from resources.files.local import sync_folder, write_text

CHECKSUMS = "SHA256SUMS"
_CHANGED = f"is not as {CHECKSUMS} has it: somebody changed it"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Wait until nobody else holds the folder; the lock lies beside it and goes with its process."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def change_folder(folder: Path) -> Iterator[Path]:
    """A copy of the folder, by hard links, that takes its place with checksums when the block has ended well.

    Replace files in it, never write into them: they are the old folder's, too. Raises ValueError where one that is not
    replaced is no longer what its checksum says, for it would be vouched for. A folder to which nothing has changed
    stays as it is, with its times. Whoever is killed leaves the folder as it was; between the two renames at the end it
    is `<name>.previous`, which the next one puts back.
    """
    partial, previous = _name_leftovers(folder)
    with lock_folder(folder):
        mend_folder(folder)
        if folder.exists():
            shutil.copytree(folder, partial, copy_function=os.link)
        else:
            partial.mkdir()
        yield partial
        digests = digest_files(partial)
        checksums = read_checksums(folder) if (folder / CHECKSUMS).exists() else {}
        for name, listed in checksums.items():
            is_old = name in digests and (partial / name).samefile(folder / name)
            if is_old and digests[name] != listed:
                raise ValueError(f"{folder / name} {_CHANGED}: delete it, and publish again what it is of")
        if digests and digests == checksums == digest_files(folder):
            shutil.rmtree(partial)
            return
        sums = "".join(f"{digest}  {name}\n" for name, digest in digests.items())
        write_text(partial / CHECKSUMS, sums)
        if folder.exists():
            folder.rename(previous)
        partial.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(previous, ignore_errors=True)


def empty_folder(folder: Path) -> None:
    """Delete everything in a folder, for who writes all of it anew."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def remove_folder(folder: Path) -> None:
    """Delete the folder; whoever is killed on the way leaves no part of it under its name."""
    partial, _ = _name_leftovers(folder)
    shutil.rmtree(partial, ignore_errors=True)
    folder.rename(partial)
    shutil.rmtree(partial)


def mend_folder(folder: Path) -> None:
    """Put back what whoever was killed while changing the folder left of it, and delete the rest; hold its lock."""
    partial, previous = _name_leftovers(folder)
    if previous.exists() and not folder.exists():
        previous.rename(folder)
    for left in filter(Path.exists, (partial, previous)):
        shutil.rmtree(left)


def digest_files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below the folder but its checksums, by relative path, sorted."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: digest_file(folder / name) for name in names if name != CHECKSUMS}


def digest_file(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_folder(folder: Path) -> None:
    """Raise ValueError, naming a file, where the folder is not what its checksums say."""
    path = folder / CHECKSUMS
    if not path.exists():
        raise FileNotFoundError(f"{folder} has no {CHECKSUMS}: it is no published folder, or was never finished")
    listed, present = read_checksums(folder), digest_files(folder)
    for name in sorted({*listed, *present}):
        if listed.get(name) != present.get(name):
            raise ValueError(f"{folder / name} {_CHANGED}; publish again")


def read_checksums(folder: Path) -> dict[str, str]:
    """The SHA-256 that the folder's checksums give for each file, by relative path."""
    return dict(line.split("  ", 1)[::-1] for line in (folder / CHECKSUMS).read_text("utf-8").splitlines())


def _name_leftovers(folder: Path) -> tuple[Path, Path]:
    """What the folder is changed into, and what it was before."""
    return folder.with_name(f"{folder.name}.partial"), folder.with_name(f"{folder.name}.previous")
