"""Digest a table's rows to 128 bits that do not depend on batches, files, compression, times or paths."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash


class RowDigest:
    """Hash of rows in their order; every buffer has a hash of its own, so that batch boundaries do not show."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._buffers: defaultdict[str, xxhash.xxh3_128] = defaultdict(xxhash.xxh3_128)

    def update(self, rows: pa.Table | pa.RecordBatch) -> None:
        """Add the next rows."""
        for field, column in zip(self._schema, rows.columns, strict=True):
            for array in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
                self._feed(field.name, array)

    def hexdigest(self) -> str:
        """32 hexadecimal digits, which also depend on the columns' names and types."""
        whole = xxhash.xxh3_128("\n".join(f"{field.name}:{field.type}" for field in self._schema).encode())
        for name in sorted(self._buffers):
            whole.update(name.encode() + self._buffers[name].digest())
        return whole.hexdigest()

    def _feed(self, name: str, array: pa.Array) -> None:
        nulls = pc.is_null(array).to_numpy(zero_copy_only=False)
        self._buffers[f"{name}?"].update(nulls.tobytes())
        kind = array.type
        if pa.types.is_list(kind):
            self._buffers[f"{name}#"].update(
                pc.list_value_length(array).fill_null(0).cast(pa.uint32()).to_numpy().tobytes()
            )
            self._feed(f"{name}[]", array.flatten())
        elif pa.types.is_struct(kind):
            for field, child in zip(kind, array.flatten(), strict=True):
                self._feed(f"{name}.{field.name}", child)
        elif pa.types.is_string(kind) or pa.types.is_binary(kind) or pa.types.is_fixed_size_binary(kind):
            values = array.cast(pa.large_binary()).fill_null(b"")
            self._buffers[f"{name}#"].update(pc.binary_length(values).cast(pa.uint64()).to_numpy().tobytes())
            offsets = np.frombuffer(values.buffers()[1], np.int64)[values.offset : values.offset + len(values) + 1]
            if len(values) and values.buffers()[2] is not None:
                self._buffers[name].update(memoryview(values.buffers()[2])[offsets[0] : offsets[-1]])
        else:
            nothing = False if pa.types.is_boolean(kind) else 0
            self._buffers[name].update(array.fill_null(nothing).to_numpy(zero_copy_only=False).tobytes())


def combine(digests: Iterable[str]) -> str:
    """One digest for a list of digests, in their order."""
    return xxhash.xxh3_128("\n".join(digests).encode()).hexdigest()
