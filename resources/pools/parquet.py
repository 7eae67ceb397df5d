"""Read Parquet of sets that others made, with or without a column of images."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, groupby, repeat
from typing import Any, BinaryIO, cast

import pyarrow as pa
import pyarrow.parquet as pq

from resources.pools.rows import Names, Row, pool_address


def read_parquet(file: BinaryIO, path: str, names: Names, pool: str) -> Iterator[Row]:
    """A row a row; a list of texts gives several.

    Raises ValueError naming file, column and type for a column that holds no text, and for a row group that claims more
    than 4 GiB.
    """
    parquet = pq.ParquetFile(file)
    schema, size = parquet.schema_arrow, file.seek(0, 2)
    images = _find_images(schema)
    columns = names.find_columns(schema.names, path, has_images=images is not None)
    for column, what in zip(columns, ("url", "text", "page"), strict=True):
        if column and not _holds_text(schema.field(column).type, lists=what == "text"):
            raise ValueError(
                f"{path}: column {column} is of type {schema.field(column).type}, which is no {what}; "
                f"name another for {what} in pools.json"
            )
    numbers = names.check_numbers(schema.names, path)
    for column in numbers:
        if not _holds_numbers(schema.field(column).type):
            raise ValueError(
                f"{path}: column {column} is of type {schema.field(column).type}, which is no number; mend `numbers` "
                "in pools.json"
            )
    read = list(dict.fromkeys(column for column in (*columns, *numbers) if column))
    _check_sizes(parquet, path, [*read, images] if images else read)
    has_image = _have_images(parquet, path, images) if images else iter(())
    number = 0
    for batch in parquet.iter_batches(8192, columns=read):
        values = [_values(batch[column]) if column else [None] * batch.num_rows for column in columns]
        of_columns = [batch[column].to_pylist() for column in numbers]
        of_rows = zip(*of_columns, strict=True) if numbers else repeat(())
        for (url, text, page), of_row in zip(zip(*values, strict=True), of_rows, strict=False):
            address = pool_address(pool, path, str(number), size, "image") if next(has_image, False) else None
            texts = text if isinstance(text, list) else [text]
            by_column = dict(zip(numbers, of_row, strict=True))
            yield Row(url, [text for text in texts if text], page, number, address, by_column)
            number += 1


def read_images(
    file: BinaryIO, path: str, asked: Sequence[tuple[int, str]], max_bytes: int
) -> Iterator[tuple[str, bytes | str]]:
    """The image of each row that is asked for, by row and address, or `not_found`, `too_large`.

    Reads every row group that holds one of them, and of it the images' column alone.
    """
    parquet = pq.ParquetFile(file, buffer_size=1 << 20)
    ends = list(accumulate(parquet.metadata.row_group(at).num_rows for at in range(parquet.num_row_groups)))
    images = _find_images(parquet.schema_arrow)
    for group, rows in groupby(sorted(asked), key=lambda one: bisect_right(ends, one[0])):
        addresses = dict(rows)
        if group < len(ends) and images:
            _check_sizes(parquet, path, [images], [group])
            row = ends[group] - parquet.metadata.row_group(group).num_rows
            for batch in parquet.iter_batches(_IMAGES_AT_ONCE, row_groups=[group], columns=[images]):
                for value in _image_bytes(batch):
                    if address := addresses.pop(row, None):
                        data = value.as_buffer()
                        is_large = data is not None and data.size > max_bytes
                        yield address, "too_large" if is_large else data.to_pybytes() if data else "not_found"
                    row += 1
                if not addresses:
                    break
        yield from ((address, "not_found") for address in addresses.values())


_IMAGE_COLUMNS = ("image", "jpg", "jpeg", "png", "webp")
_IMAGES_AT_ONCE = 32
_MAX_ROW_GROUP = 4 << 30


def _holds_text(type_: pa.DataType, *, lists: bool) -> bool:
    """Whether its values are texts; bytes are, for not every writer marks UTF-8 as such."""
    if pa.types.is_dictionary(type_):
        type_ = type_.value_type
    if lists and (pa.types.is_list(type_) or pa.types.is_large_list(type_)):
        return _holds_text(type_.value_type, lists=False)
    kinds = (pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view())
    return type_ in (*kinds, pa.null())


def _holds_numbers(type_: pa.DataType) -> bool:
    """Whether its values are numbers, or there are none."""
    is_number = pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null
    return any(kind(type_) for kind in is_number)


def _find_images(schema: pa.Schema) -> str | None:
    """The column of images' bytes: Hugging Face's struct of bytes and path, or img2dataset's, named by the format."""
    structs = {field.name: f"{field.name}.bytes" for field in schema if _has_bytes(field.type)}
    columns = structs | {field.name: field.name for field in schema if _is_bytes(field.type)}
    return next((columns[name] for name in (*_IMAGE_COLUMNS, *structs) if name in columns), None)


def _has_bytes(type_: pa.DataType) -> bool:
    return pa.types.is_struct(type_) and any(field.name == "bytes" and _is_bytes(field.type) for field in type_)


def _is_bytes(type_: pa.DataType) -> bool:
    return bool(pa.types.is_binary(type_) or pa.types.is_large_binary(type_))


def _image_bytes(batch: pa.RecordBatch) -> pa.Array:
    column = batch.column(0)
    return column.field("bytes") if pa.types.is_struct(column.type) else column


def _have_images(parquet: pq.ParquetFile, path: str, images: str) -> Iterator[bool]:
    """Which rows have an image: by the footer where it says that all do, else by a look at them."""
    for at in range(parquet.num_row_groups):
        group = parquet.metadata.row_group(at)
        [column] = [c for c in map(group.column, range(group.num_columns)) if c.path_in_schema == images]
        if column.statistics is not None and column.statistics.has_null_count and not column.statistics.null_count:
            yield from (True for _ in range(group.num_rows))
            continue
        for batch in parquet.iter_batches(_IMAGES_AT_ONCE, row_groups=[at], columns=[images]):
            yield from _image_bytes(batch).is_valid().to_pylist()


def _check_sizes(
    parquet: pq.ParquetFile, path: str, columns: Sequence[str], groups: Sequence[int] | None = None
) -> None:
    for number in range(parquet.num_row_groups) if groups is None else groups:
        group = parquet.metadata.row_group(number)
        of_group = [group.column(at) for at in range(group.num_columns)]
        is_read = [c for c in of_group if any(f"{c.path_in_schema}.".startswith(f"{name}.") for name in columns)]
        if sum(column.total_uncompressed_size for column in is_read) > _MAX_ROW_GROUP:
            raise ValueError(
                f"{path}: row group {number} claims more than {_MAX_ROW_GROUP:,} bytes; write smaller ones"
            )


def _values(column: Any) -> list[Any]:
    """A column's values; what is no UTF-8 in a text is replaced."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_list(column.type):
        column = column.cast(pa.list_(pa.binary()))
    elif pa.types.is_large_list(column.type):
        column = column.cast(pa.large_list(pa.large_binary()))
    try:
        values = cast(list[Any], column.to_pylist())
    except UnicodeDecodeError:
        values = column.cast(pa.binary()).to_pylist()
    return [[_decode(item) for item in value] if isinstance(value, list) else _decode(value) for value in values]


def _decode(value: Any) -> Any:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
