"""Laws of searching: every image is embedded once or counted, and the nearest are those of a full sort."""

import io
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from metaclip_dagster.evaluation import LoadedModel, embed_images, load_model
from metaclip_dagster.evaluation.embedding import check_text, embed_picture, embed_text, read_picture
from metaclip_dagster.evaluation.images import decode_bytes
from metaclip_dagster.evaluation.searching import find_nearest
from metaclip_dagster.schemas import IMAGE_EMBEDDINGS, TRAINING_SETS
from tests.metaclip_dagster.zero_shot import draw, export_model


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_model(f"local-dir:{export_model(tmp_path_factory.mktemp('models') / 'tiny')}")


class Tars(dict[str, dict[str, bytes]]):
    """Images by tar and id."""

    def members(self, tar: str) -> Iterator[tuple[str, bytes]]:
        yield from ((f"{image_id}.png", data) for image_id, data in self[tar].items())


def rows_of(*names: tuple[str, str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([{"tar": tar, "image_id": it, "texts": []} for tar, it in names], TRAINING_SETS)


def unpack(batch: pa.RecordBatch) -> dict[str, np.ndarray]:
    vectors = [np.frombuffer(value, "<f2").astype(np.float32) for value in batch["embedding"].to_pylist()]
    return dict(zip(batch["image_id"].to_pylist(), vectors, strict=True))


def pack(ids: list[str], vectors: Sequence[Sequence[int]]) -> pa.RecordBatch:
    values = [np.array(vector, "<f2").tobytes() for vector in vectors]
    return pa.RecordBatch.from_arrays(
        [pa.array(ids, pa.string()), pa.array(values, pa.binary())], schema=IMAGE_EMBEDDINGS
    )


def test_every_image_of_the_set_is_embedded_as_alone_or_counted(loaded: LoadedModel) -> None:
    pictures = {f"{tar}{at}": draw(at + 10 * (tar == "b")) for tar in "ab" for at in range(5)}
    store = Tars({tar: {it: data for it, data in pictures.items() if it[0] == tar} for tar in "ab"})
    store["a"]["a1"] = pictures["a1"][:60]
    names = [("a", "a0"), ("a", "a1"), ("a", "a2"), ("a", "gone"), ("b", "b3"), ("b", "b4")]
    dropped = Counter[str]()
    training_set = [rows_of(*names[:2]), rows_of(*names[2:])]
    batches = list(embed_images(training_set, store=store, model=loaded, batch_size=2, dropped=dropped))
    assert {batch.schema for batch in batches} == {IMAGE_EMBEDDINGS}
    vectors = {image_id: vector for batch in batches for image_id, vector in unpack(batch).items()}
    assert list(vectors) == ["a0", "a2", "b3", "b4"]
    assert dropped == {"undecodable": 1, "not_in_store": 1}
    for image_id, vector in vectors.items():
        [alone] = embed_picture(decode_bytes(pictures[image_id]), loaded)
        assert vector == pytest.approx(alone, abs=1e-3)
        assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-3)


def test_a_set_without_images_has_no_embeddings(loaded: LoadedModel) -> None:
    assert list(embed_images([], store=Tars(), model=loaded, dropped=Counter())) == []


@given(st.lists(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=9), max_size=5), st.integers(1, 8))
def test_the_nearest_are_those_of_a_full_sort_equal_ones_by_id(
    batches: list[list[tuple[int, int]]], limit: int
) -> None:
    query, embeddings = np.array([[2.0, 1.0]], np.float32), []
    rows = list[tuple[int, str]]()
    for vectors in batches:
        ids = [f"{7919 * (len(rows) + at) % 97:02}" for at in range(len(vectors))]
        embeddings.append(pack(ids, vectors))
        rows += [(-(2 * x + y), image_id) for image_id, (x, y) in zip(ids, vectors, strict=True)]
    hits, num_images = find_nearest(query, embeddings, limit=limit)
    assert num_images == len(rows)
    assert [(-hit.similarity, hit.image_id) for hit in hits] == sorted(rows)[:limit]


def test_a_slice_is_read_where_it_lies_and_other_sizes_are_refused() -> None:
    batch = pack(list("abcde"), [(at, 0) for at in range(5)])
    [hit, *_], num_images = find_nearest(np.array([[1.0, 0.0]], np.float32), [batch.slice(1, 2)], limit=3)
    assert (hit.image_id, hit.similarity, num_images) == ("c", 2.0, 2)
    with pytest.raises(ValueError, match="not of 3 numbers"):
        find_nearest(np.zeros((1, 3), np.float32), [batch], limit=1)


def test_a_text_is_bounded_and_whatever_it_holds_has_a_finite_embedding(loaded: LoadedModel) -> None:
    for text in ("<script>alert(1)</script>", "\x1b[2J\u202e\x00", "\udcff", "猫 " * 400):
        assert np.isfinite(embed_text(check_text(text), loaded)).all()
    for text in ("", " \n\t"):
        with pytest.raises(ValueError, match="there is no text to search by"):
            check_text(text)
    with pytest.raises(ValueError, match="has 1,048,576 characters, and at most 1,000"):
        check_text("x" * (1 << 20))


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it is that large, with pixels of a few bytes."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\x00\x00\x00"
    chunks = ((b"IHDR", size), (b"IDAT", zlib.compress(bytes(99))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in chunks
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "none of their formats"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "none of their formats"),
        (draw(1)[:60], "cannot be read as a picture"),
        (png_of_size(60_000, 60_000), "3600000000 pixels"),
        (draw(1, "jpg") + b"\xff\xda" * 200, "more than 100 scans"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "none of their formats"),
    ],
)
def test_a_file_that_is_no_picture_is_refused_by_name(content: bytes, why: str, tmp_path: Path) -> None:
    path = tmp_path / "query.png"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"query\.png: .*{why}"):
        read_picture(path)


def test_a_picture_must_be_a_file_of_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "none.png", Path("/dev/zero")):
        with pytest.raises(ValueError, match="is no file"):
            read_picture(path)
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "red").save(file, "WEBP")
    (tmp_path / "red.webp").write_bytes(file.getvalue())
    assert read_picture(tmp_path / "red.webp").size == (8, 8)
    monkeypatch.setattr("metaclip_dagster.evaluation.embedding.MAX_BYTES", 10)
    with pytest.raises(ValueError, match="has more than 10 bytes"):
        read_picture(tmp_path / "red.webp")
