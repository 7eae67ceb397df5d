"""Writes small fastText models: by hand, of a few words of each label, or drawn at random, of every kind there is."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Kind:
    """What a model is like."""

    loss: int = 3
    """1 for the hierarchical softmax, 2 for negative sampling, 3 for the flat softmax, 4 for one label against all."""
    dimensions: int = 16
    letters: tuple[int, int] = (2, 4)
    """The fewest and the most of a part of a word."""
    word_ngrams: int = 1
    buckets: int = 1000
    is_quantized: bool = False
    has_norms: bool = False
    num_pruned: int = -1
    """How many buckets have a vector; -1: all."""
    is_output_quantized: bool = False
    version: int = 12


def write_random_model(path: Path, kind: Kind, words: Sequence[bytes], num_labels: int, *, seed: int = 0) -> str:
    """A model of a kind whose numbers are drawn."""
    random = np.random.default_rng(seed)
    labels = [f"__label__{number}".encode() for number in range(num_labels)]
    counts = sorted(random.integers(1, 1000, num_labels).tolist(), reverse=True)
    entries = [
        *((word, 1, 0) for word in words),
        *((label, count, 1) for label, count in zip(labels, counts, strict=True)),
    ]
    arguments = (kind.dimensions, 5, 1, 1, 5, kind.word_ngrams, kind.loss, 3, kind.buckets, *kind.letters, 100)
    content = struct.pack("<2i", 793712314, kind.version) + struct.pack("<12id", *arguments, 0.0)
    content += struct.pack("<3i2q", len(entries), len(words), num_labels, 1000, kind.num_pruned)
    content += b"".join(word + b"\0" + struct.pack("<qb", count, which) for word, count, which in entries)
    num_hashed = kind.buckets if kind.num_pruned < 0 else kind.num_pruned
    if kind.num_pruned > 0:
        pairs = np.stack([random.permutation(kind.buckets)[:num_hashed], random.permutation(num_hashed)], axis=1)
        content += pairs.astype("<i4").tobytes()
    content += struct.pack("<?", kind.is_quantized)
    content += _draw_matrix(random, len(words) + num_hashed, kind.dimensions, kind.is_quantized, kind.has_norms)
    content += struct.pack("<?", kind.is_output_quantized)
    content += _draw_matrix(random, num_labels, kind.dimensions, kind.is_output_quantized, kind.has_norms)
    path.write_bytes(content)
    return str(path)


def _draw_matrix(random: np.random.Generator, rows: int, columns: int, is_quantized: bool, has_norms: bool) -> bytes:
    if not is_quantized:
        return struct.pack("<2q", rows, columns) + random.normal(size=(rows, columns)).astype("<f4").tobytes()
    part = 3
    num_parts = -(-columns // part)
    content = struct.pack("<?2qi", has_norms, rows, columns, rows * num_parts) + random.bytes(rows * num_parts)
    content += struct.pack("<4i", columns, num_parts, part, columns - (num_parts - 1) * part)
    content += random.normal(size=256 * columns).astype("<f4").tobytes()
    if has_norms:
        content += random.bytes(rows) + struct.pack("<4i", 1, 1, 1, 1) + random.normal(size=256).astype("<f4").tobytes()
    return content
