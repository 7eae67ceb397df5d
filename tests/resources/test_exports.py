"""Folders for other tools say themselves what they hold."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from webdataset.writer import TarWriter

from resources.exports import write_webdataset


def samples(number: int) -> Iterator[dict[str, Any]]:
    return ({"__key__": f"{image:04d}", "webp": b"image", "txt": "text"} for image in range(number))


def count_images(path: Path) -> int:
    with tarfile.open(path) as tar:
        return sum(name.endswith(".webp") for name in tar.getnames())


@pytest.mark.parametrize("number", [0, 1, 3, 4, 7])
def test_sizes_are_those_of_the_tars_however_large_the_images_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write = TarWriter.write
    monkeypatch.setattr(TarWriter, "write", lambda tar, sample: write(tar, sample) * 2_000_000)  # 2 GB an image
    assert write_webdataset(samples(number), tmp_path, images_per_tar=3) == number
    sizes = json.loads((tmp_path / "sizes.json").read_text("utf-8"))
    assert sizes == {path.name: count_images(path) for path in tmp_path.glob("*.tar")}
    assert sorted(sizes.values(), reverse=True) == [3] * (number // 3) + [number % 3] * (number % 3 > 0 or not number)


@pytest.mark.parametrize("images_per_tar", [0, -1])
def test_a_tar_of_no_image_is_refused(tmp_path: Path, images_per_tar: int) -> None:
    with pytest.raises(ValueError, match="a tar holds at least one image"):
        write_webdataset(samples(1), tmp_path, images_per_tar=images_per_tar)
