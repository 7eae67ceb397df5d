"""Laws of a crawl's pictures: those of the store come with URL and thumbnail, all others with what became of them."""

import shutil
from pathlib import Path

import pyarrow.compute as pc

from assets.queries.pictures import read_pictures
from resources.deployments import Deployment
from resources.lake.resource import open_lake


def test_an_image_of_the_store_has_a_thumbnail_and_any_other_says_why_not(imaged: Deployment, tmp_path: Path) -> None:
    lake = open_lake(imaged)
    rows = lake.read("images", ["20", "100", "inf"])
    stored = rows.filter(pc.is_valid(rows["tar"])).to_pylist()[:3]
    failed = rows.filter(pc.is_null(rows["tar"])).to_pylist()[:3]
    texts = {row["image_id"]: f"text {number}" for number, row in enumerate([*stored, *failed])}
    pictures = read_pictures(lake, imaged.images, texts | {"0" * 24: "nowhere"})
    for row in stored:
        picture = pictures[row["image_id"]]
        assert (picture.url, picture.text) == (row["url"], texts[row["image_id"]])
        assert (picture.thumbnail or b"").startswith(b"\xff\xd8")
    assert [(pictures[row["image_id"]].note, pictures[row["image_id"]].url) for row in failed] == [
        (row["reason"], row["url"]) for row in failed
    ]
    assert pictures["0" * 24].note == "not fetched"

    images = tmp_path / "images"
    shutil.copytree(imaged.images, images)
    (images / stored[0]["tar"]).write_bytes(b"cut short")
    [picture] = read_pictures(lake, str(images), {stored[0]["image_id"]: "a"}).values()
    assert (picture.thumbnail, picture.note) == (None, "no longer in the store")
