"""Embed the images of a training set, and what they are searched by: TRAINING_SETS -> IMAGE_EMBEDDINGS."""

from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from metaclip_dagster.clip_models import Embeddings, LoadedModel, encode
from metaclip_dagster.evaluation.images import FORMATS, MAX_BYTES, decode_bytes
from metaclip_dagster.schemas import IMAGE_EMBEDDINGS, writes

if TYPE_CHECKING:
    import torch
    from PIL import Image

MAX_CHARACTERS = 1000
"""Of a text to search by: a model reads 77 tokens, which are fewer."""


class Store(Protocol):
    """The image store, as far as embedding reads it."""

    def members(self, tar: str) -> Iterable[tuple[str, bytes]]: ...  # noqa: D102


@writes(IMAGE_EMBEDDINGS, name="evaluation.embedding:embed_images", rows_together=8192)
def embed_images(
    training_set: Iterable[pa.RecordBatch],
    *,
    store: Store,
    model: LoadedModel,
    batch_size: int = 256,
    dropped: Counter[str],
) -> Iterator[pa.RecordBatch]:
    """Embed every image of one bucket of a training set, tar by tar.

    Memory holds the bucket's ids and one batch of images. `dropped` counts the images that are `not_in_store`, because
    they were taken down since the set was made, and those that are `undecodable`.
    """
    images = _read_images(training_set, store, dropped)
    with ThreadPoolExecutor() as threads:
        while batch := list(islice(images, batch_size)):
            inputs = list(threads.map(lambda image: _try_to_prepare(image[1], model), batch))
            ids = [image_id for (image_id, _), input_ in zip(batch, inputs, strict=True) if input_ is not None]
            dropped["undecodable"] += len(batch) - len(ids)
            if ids:
                embeddings = encode(model.model.encode_image, [it for it in inputs if it is not None], model)
                vectors = [row.tobytes() for row in embeddings.astype("<f2")]
                yield pa.RecordBatch.from_arrays([pa.array(ids), pa.array(vectors)], schema=IMAGE_EMBEDDINGS)


def embed_text(text: str, model: LoadedModel) -> Embeddings:
    """One row for the text, of which the model reads its first tokens alone, 77 in most."""
    return encode(model.model.encode_text, model.tokenizer([text]), model)


def embed_picture(picture: "Image.Image", model: LoadedModel) -> Embeddings:
    """One row for the picture."""
    return encode(model.model.encode_image, [model.preprocess(picture)], model)


def check_text(text: str) -> str:
    r"""The text to search by, in one line; raises ValueError where there is none, or too much of it.

    >>> check_text(" a red\n bicycle")
    'a red bicycle'
    """
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the text has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are searched by")
    if not (words := text.encode("utf-8", "replace").decode("utf-8").split()):
        raise ValueError("there is no text to search by: describe the picture in a few words, or name one with --image")
    return " ".join(words)


def read_picture(path: Path) -> "Image.Image":
    """Decode a picture to search by; raises ValueError, naming the file, for what is none or has too many pixels."""
    if not path.is_file():
        raise ValueError(f"{path}: is no file; name a picture, one of {', '.join(FORMATS)}")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ValueError(f"{path}: has more than {MAX_BYTES:,} bytes; is it a picture?")
    try:
        return decode_bytes(data)
    except Exception as error:  # a decoder raises whatever it meets
        reason = "it is none of their formats" if type(error).__name__ == "UnidentifiedImageError" else str(error)
        raise ValueError(f"{path}: cannot be read as a picture ({reason}); {', '.join(FORMATS)} are read") from error


def _read_images(
    training_set: Iterable[pa.RecordBatch], store: Store, dropped: Counter[str]
) -> Iterator[tuple[str, bytes]]:
    of_tar: dict[str, set[str]] = {}
    for batch in training_set:
        for tar, image_id in zip(batch["tar"].to_pylist(), batch["image_id"].to_pylist(), strict=True):
            of_tar.setdefault(tar, set()).add(image_id)
    for tar, missing in of_tar.items():
        for name, data in store.members(tar):
            image_id = name.partition(".")[0]
            if image_id in missing:
                missing.remove(image_id)
                yield image_id, data
        dropped["not_in_store"] += len(missing)


def _try_to_prepare(data: bytes, model: LoadedModel) -> "torch.Tensor | None":
    try:
        return model.preprocess(decode_bytes(data))
    except MemoryError:
        raise
    except Exception:  # whatever a decoder meets
        return None
