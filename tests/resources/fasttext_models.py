"""Writes small fastText models by hand: each knows a few words of each label, and nothing else."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np


def write_model(path: Path, words: Mapping[str, Sequence[str]], *, model: int = 3, version: int = 12) -> str:
    """A model whose labels are the keys; a text is of the label most of whose words it has."""
    known = [(word, label) for label, of in enumerate(words.values()) for word in of]
    size = len(words)
    entries = [*((word, 0) for word, _ in known), *((f"__label__{label}", 1) for label in words)]
    arguments = struct.pack("<12id", size, 5, 1, 1, 5, 1, 3, model, 0, 0, 0, 100, 0.0)
    dictionary = struct.pack("<3i2q", len(entries), len(known), size, 1000, -1)
    dictionary += b"".join(word.encode() + b"\0" + struct.pack("<qb", 10, kind) for word, kind in entries)
    vectors = 10 * np.eye(size, dtype="<f4")
    matrices = [vectors[[label for _, label in known]], vectors]
    content = struct.pack("<2i", 793712314, version) + arguments + dictionary
    content += b"".join(struct.pack("<?2q", False, *it.shape) + it.tobytes() for it in matrices)
    path.write_bytes(content)
    return str(path)
