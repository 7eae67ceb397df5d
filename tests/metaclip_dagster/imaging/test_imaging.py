"""A ring fetches what the store lacks, once."""

import hashlib
import io
import resource
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from metaclip_dagster.imaging import gather_images
from metaclip_dagster.imaging.checking import check_image
from metaclip_dagster.imaging.fetching import FetchImages
from metaclip_dagster.imaging.forms import Form
from metaclip_dagster.schemas import IMAGE_TEXTS, IMAGES
from resources.images.store import ImageStore
from tests.metaclip_dagster.imaging.test_checking import encode


def texts_of(*texts: tuple[int, str, float]) -> pa.RecordBatch:
    """IMAGE_TEXTS of (number of the image, language, admitted_at)."""
    columns = {
        "bucket": [0] * len(texts),
        "image_id": [image_id(number) for number, _, _ in texts],
        "url": [url(number) for number, _, _ in texts],
        "pair_id": range(len(texts)),
        "text": ["text"] * len(texts),
        "language": [language for _, language, _ in texts],
        "entry_ids": [[0]] * len(texts),
        "admitted_at": [at for _, _, at in texts],
        "pool_address": [None] * len(texts),
    }
    return pa.RecordBatch.from_pydict(columns, schema=IMAGE_TEXTS)


def url(number: int) -> str:
    return f"http://images.example/{number}"


def image_id(number: int) -> str:
    return hashlib.sha224(url(number).encode()).hexdigest()[:24]


class Host:
    """Every fifth image is missing, every seventh broken; the others are of one colour for each number modulo 4."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_well = False

    def __call__(self, urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        for url in reversed(urls):
            self.asked.append(url)
            number = int(url.rsplit("/", 1)[1])
            if number % 5 == 0 and not self.is_well:
                yield url, "not_found"
            elif number % 7 == 0:
                yield url, b"broken"
            else:
                yield url, encode(Image.new("RGBA", (8, 8), (number % 4 * 60, 0, 0, 200)), "PNG")


def gather(
    store: ImageStore,
    host: FetchImages,
    texts: Sequence[pa.RecordBatch],
    below: Mapping[str, float] | None = None,
    form: str = "",
) -> tuple[pa.Table, Counter[str], Counter[str]]:
    dropped: Counter[str] = Counter()
    seen: Counter[str] = Counter()
    batches = gather_images(
        texts,
        store=store,
        fetch=host,
        bucket=0,
        thresholds_below=below or {},
        dropped=dropped,
        seen=seen,
        form=form,
    )
    return pa.Table.from_batches(batches, IMAGES), dropped, seen


TEXTS = st.lists(st.tuples(st.sampled_from(["en", "de"]), st.floats(0, 50)), min_size=1, max_size=3)


@settings(max_examples=15)
@given(
    st.dictionaries(st.integers(0, 40), TEXTS, max_size=30),
    st.lists(st.floats(0, 60), min_size=1, max_size=3, unique=True),
    st.integers(1, 20),
)
def test_the_rings_of_nested_subsets_hold_each_image_once_and_fetch_it_once(
    tmp_path_factory: pytest.TempPathFactory,
    images: dict[int, list[tuple[str, float]]],
    rungs: list[float],
    segment: int,
) -> None:
    host, store = Host(), ImageStore(tmp_path_factory.mktemp("store"), segment_images=segment)
    pairs = [(number, language, at) for number, texts in images.items() for language, at in texts]
    below: dict[str, float] = {}
    gathered: list[str] = []
    for t in sorted(rungs):
        of_language = {"en": t, "de": t / 2}
        subset = [pair for pair in pairs if pair[2] < of_language[pair[1]]]
        rows, dropped, seen = gather(store, host, [texts_of(pair) for pair in subset], below)
        gathered += rows["image_id"].to_pylist()
        assert rows["image_id"].to_pylist() == sorted(rows["image_id"].to_pylist())
        assert sorted(gathered) == sorted({image_id(number) for number, _, _ in subset})
        assert seen["images"] == seen["fetched"] == rows.num_rows
        assert seen["held"] == 0
        assert sum(dropped.values()) == rows.num_rows - len(rows["tar"].drop_null())
        below = of_language
    assert Counter(host.asked) == Counter(url(number) for number in images if image_id(number) in gathered)


def test_a_rerun_tells_the_same_and_fetches_nothing(tmp_path: Path) -> None:
    host, store = Host(), ImageStore(tmp_path, segment_images=7)
    texts = [texts_of(*((number, "en", 1.0) for number in range(40)))]
    first = gather(store, host, texts)
    again = gather(store, host, texts)
    assert again[:2] == first[:2]
    assert first[1] == {"not_found": 8, "not_an_image": 4}
    assert first[2] == {"images": 40, "fetched": 40, "held": 0}
    assert again[2] == {"images": 40, "fetched": 0, "held": 40}
    assert len(host.asked) == 40


def test_an_inserted_rung_fetches_nothing(tmp_path: Path) -> None:
    host, store = Host(), ImageStore(tmp_path, segment_images=7)
    pairs = [(number, "en", float(number)) for number in range(40)]
    small, middle, large = ([texts_of(*(pair for pair in pairs if pair[2] < t))] for t in (10.0, 20.0, 50.0))
    gather(store, host, small)
    gather(store, host, large, {"en": 10.0})
    rows, _, seen = gather(store, host, middle, {"en": 10.0})
    assert len(host.asked) == 40
    assert seen == {"images": 10, "fetched": 0, "held": 10}
    assert set(rows["image_id"].to_pylist()) == {image_id(number) for number in range(10, 20)}


def test_failures_alone_are_retried_and_each_once(tmp_path: Path) -> None:
    host, texts = Host(), [texts_of(*((number, "en", 1.0) for number in range(40)))]
    before, _, _ = gather(ImageStore(tmp_path, segment_images=7), host, texts)
    host.asked.clear()
    host.is_well = True
    after, dropped, seen = gather(ImageStore(tmp_path, retry_failed=True, segment_images=5), host, texts)
    failed = [number for number in range(40) if number % 5 == 0 or number % 7 == 0]
    assert sorted(host.asked) == sorted(map(url, failed))
    assert dropped == {"not_an_image": 6}  # 0 and 35 were not found before
    assert seen == {"images": 40, "fetched": 12, "held": 28}
    assert after.filter(pa.compute.is_valid(before["tar"])) == before.filter(pa.compute.is_valid(before["tar"]))


def test_what_many_urls_share_is_stored_under_each_with_its_own_bytes(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    rows, _, _ = gather(store, Host(), [texts_of(*((number, "en", 1.0) for number in range(1, 5)))])
    images = rows.to_pylist()
    assert len({row["sha256"] for row in images}) == 4
    for row in images:
        [(_, came)] = Host()([row["url"]])
        assert isinstance(came, bytes)
        assert hashlib.sha256(came).hexdigest() == row["fetched_sha256"] != row["sha256"]
        data = store.read(row["tar"], row["offset"], row["size"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        assert check_image(data).data == data
        with Image.open(io.BytesIO(data)) as image:
            assert (image.width, image.height, image.mode) == (row["width"], row["height"], "RGB")


def test_a_payload_that_many_urls_share_is_checked_once(tmp_path: Path) -> None:
    data = encode(Image.new("RGBA", (2000, 2000), (1, 2, 3, 4)), "PNG")

    def fetch(urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        return ((url, data[:-12] if url.endswith("0") else data) for url in urls)

    spent = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    check_image(data)
    one = resource.getrusage(resource.RUSAGE_SELF).ru_utime - spent
    seen: Counter[str] = Counter()
    texts = [texts_of(*((number, "en", 1.0) for number in range(200)))]
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": seen}
    list(gather_images(texts, store=ImageStore(tmp_path), fetch=fetch, **options))
    assert seen["fetched"] == 200
    assert resource.getrusage(resource.RUSAGE_SELF).ru_utime - spent < 50 * one


def test_a_host_that_leaves_urls_unanswered_writes_nothing(tmp_path: Path) -> None:
    store = ImageStore(tmp_path)
    options: dict[str, Any] = {"bucket": 0, "thresholds_below": {}, "dropped": Counter(), "seen": Counter()}
    with pytest.raises(ValueError, match="1 of 1 URLs unanswered"):
        list(gather_images([texts_of((1, "en", 1.0))], store=store, fetch=lambda urls: iter(()), **options))
    with store.bucket(0, IMAGES) as bucket:
        assert bucket.index().num_rows == 0


class Photos:
    """A host of photos of 96 x 64, whose colours go with their number; it counts who asks, and may be down."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.is_down = False
        self.missing: set[str] = set()

    def __call__(self, urls: Sequence[str]) -> Iterator[tuple[str, bytes | str]]:
        for url in urls:
            self.asked.append(url)
            picture = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
            picture.putpixel((0, 0), (int(url.rsplit("/", 1)[1]), 0, 0))
            yield url, "timeout" if self.is_down or url in self.missing else encode(picture, "JPEG", quality=90)


def sizes(rows: pa.Table, store: ImageStore) -> list[tuple[int, int]]:
    """Of each image, as its bytes say, and as its row says."""
    image_sizes = []
    for row in rows.to_pylist():
        data = store.read(row["tar"], row["offset"], row["size"])
        assert hashlib.sha256(data).hexdigest() == row["sha256"]
        with Image.open(io.BytesIO(data)) as image:
            assert (image.size, image.format) == ((row["width"], row["height"]), FORMATS[row["format"]])
            image_sizes.append(image.size)
    return image_sizes


FORMATS = {"jpg": "JPEG", "webp": "WEBP"}
ENOUGH = [
    ("", "32,jpg,95"),
    ("32,jpg,95", "16,webp,80"),
    ("32,jpg,80", "32,jpg,60"),
    ("64,jpg,90", ""),
    ("64,jpg,50", "64,jpg,95"),
]
TOO_LITTLE = [("32,jpg,95", ""), ("16,jpg,95", "32,jpg,95"), ("32,jpg,60", "32,jpg,80")]


@pytest.mark.parametrize(("before", "after"), ENOUGH)
def test_another_form_is_made_of_what_is_stored_where_that_has_enough(before: str, after: str, tmp_path: Path) -> None:
    host, store = Photos(), ImageStore(tmp_path, segment_images=3)
    texts = [texts_of(*((number, "en", 0.0) for number in range(7)))]
    first, _, _ = gather(store, host, texts, form=before)
    old = {(row["tar"], row["offset"]): store.read(row["tar"], row["offset"], row["size"]) for row in first.to_pylist()}
    came = ["image_id", "url", "fetched_sha256", "fetched_size", "fetched_width", "fetched_height", "opt_outs"]
    for num_rewritten in (7, 0):
        rows, _, seen = gather(store, host, texts, form=after)
        assert (seen["rewritten"], seen["fetched"], seen["in_another_form"]) == (num_rewritten, 0, 0)
        assert rows.select(came) == first.select(came)
        assert set(rows["form"].to_pylist()) == {after}
        assert set(sizes(rows, store)) == {(Form.parse(after) or Form(64)).size_of(96, 64)}
    assert len(host.asked) == 7
    for tar in store.tars():
        store.check(tar)
    assert all(store.read(tar, offset, len(data)) == data for (tar, offset), data in old.items())


def test_tars_whose_images_were_written_again_go_once_no_table_names_them(tmp_path: Path) -> None:
    host, store = Photos(), ImageStore(tmp_path, segment_images=4)
    host.missing = {url(3)}
    first, _, _ = gather(store, host, [texts_of(*((number, "en", 0.0) for number in range(9)))], form="48,jpg,95")
    texts = [texts_of(*((number, "en", 0.0) for number in range(8)))]  # the ninth is in no ring any more
    rows, dropped, _ = gather(store, host, texts, form="32,jpg,95")
    old, new = (set(table["tar"].drop_null().to_pylist()) for table in (first, rows))
    [kept_whole] = {row["tar"] for row in first.to_pylist() if row["image_id"] == image_id(8)}
    assert store.drop_superseded({*old, *new}) == store.drop_superseded(new, older_than_seconds=3600) == []
    assert set(store.drop_superseded(new)) == old - {kept_whole}
    assert not any((tmp_path / tar).exists() for tar in old - {kept_whole})
    again, dropped_again, seen = gather(store, host, texts, form="32,jpg,95")
    assert (again, dropped_again, seen["fetched"]) == (rows, dropped, 0)
    assert set(store.tars()) == {*new, kept_whole}
    for tar in store.tars():
        store.check(tar)
    by_digest = store.find(set(first["sha256"].drop_null().to_pylist()))
    in_tars = {row["image_id"] for row in first.to_pylist() if row["tar"]}
    assert set().union(*by_digest.values()) == in_tars, "a takedown may name an image by what was stored"


@pytest.mark.parametrize(("before", "after"), TOO_LITTLE)
def test_what_has_too_little_for_another_form_stays_until_it_is_fetched_again(
    before: str, after: str, tmp_path: Path
) -> None:
    host, texts = Photos(), [texts_of(*((number, "en", 0.0) for number in range(5)))]
    first, _, _ = gather(ImageStore(tmp_path), host, texts, form=before)
    rows, _, seen = gather(ImageStore(tmp_path), host, texts, form=after)
    assert (rows, seen["in_another_form"], len(host.asked)) == (first, 5, 5)
    asking, host.is_down = ImageStore(tmp_path, fetch_again=True, segment_images=2), True
    rows, _, seen = gather(asking, host, texts, form=after)
    assert (rows, seen["in_another_form"], len(host.asked)) == (first, 5, 10)
    host.is_down = False
    rows, dropped, seen = gather(asking, host, texts, form=after)
    assert (dropped, seen["in_another_form"], len(host.asked)) == (Counter(), 0, 15)
    assert set(sizes(rows, asking)) == {(Form.parse(after) or Form(64)).size_of(96, 64)}


def test_an_index_from_before_there_were_forms_is_of_images_as_they_came(tmp_path: Path) -> None:
    host, store, texts = Photos(), ImageStore(tmp_path), [texts_of((1, "en", 0.0))]
    gather(store, host, texts)
    [path] = tmp_path.glob("*/*.parquet")
    columns = ["fetched_size", "fetched_width", "fetched_height", "form"]
    pq.write_table(pq.read_table(path).drop_columns(columns), path)
    [row] = gather(store, host, texts)[0].to_pylist()
    assert [row[name] for name in columns] == [None] * 4
    [row] = gather(store, host, texts, form="32,jpg,95")[0].to_pylist()
    assert [row[name] for name in columns] == [None, 96, 64, "32,jpg,95"]
    assert (row["width"], row["height"], len(host.asked)) == (48, 32, 1)
