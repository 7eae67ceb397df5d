"""Laws of uploads: what arrives is the folder, twice sends nothing, and every refusal is one line without a secret."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.hub.uploading import parse_target, upload_folder
from tests.hub import TOKEN, Hub, serve_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own
NAME = "datasets/org/pairs"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dataset"
    (folder / "data" / "t20").mkdir(parents=True)
    for number in range(3):
        (folder / "data" / "t20" / f"{number:05d}.parquet").write_bytes(b"%d" % number * 5000)
    (folder / "README.md").write_text("---\nlicense: unknown\n---\n# Pairs\n")
    return folder


def read_folder(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def upload(folder: Path) -> str:
    return upload_folder(folder, "org/pairs", kind="dataset", replaced=["data/*"], wait_seconds=0)


def test_what_arrives_is_the_folder_and_a_second_upload_sends_nothing(hub: Hub, folder: Path) -> None:
    assert upload(folder) == f"uploaded: {hub.url}/{NAME}"
    assert hub.repositories[NAME] == {**read_folder(folder), ".gitattributes": b""}
    received = hub.received
    assert upload(folder) == f"nothing has changed: {hub.url}/{NAME}"
    assert (hub.received, hub.commits, hub.private) == (received, 1, set())


def test_a_changed_part_sends_itself_alone_and_what_it_lost_goes(hub: Hub, folder: Path) -> None:
    upload(folder)
    hub.repositories[NAME]["notes.txt"] = b"somebody's own"
    received = hub.received
    (folder / "data" / "t20" / "00002.parquet").unlink()
    (folder / "data" / "t20" / "00001.parquet").write_bytes(b"new")
    upload(folder)
    assert hub.received == received + 3
    assert hub.repositories[NAME] == {**read_folder(folder), ".gitattributes": b"", "notes.txt": b"somebody's own"}


def test_a_repository_is_private_where_that_is_asked_for(hub: Hub, folder: Path) -> None:
    upload_folder(folder, "org/pairs", kind="dataset", private=True)
    assert hub.private == {NAME}


@pytest.mark.parametrize(
    ("plan", "num_files"),
    [([("PUT /objects/", 0)], 4), ([("POST .*/commit/", 429)], 4), ([("POST .*/commit/", 409)], 4)],
    ids=["cut", "too many requests", "conflict"],
)
def test_what_passes_is_tried_again_and_no_file_is_sent_twice(
    hub: Hub, folder: Path, plan: list[tuple[str, int]], num_files: int
) -> None:
    hub.plan = plan
    upload(folder)
    assert hub.repositories[NAME] == {**read_folder(folder), ".gitattributes": b""}
    assert len([kind for kind, _, _ in hub.asked if kind == "file"]) == num_files


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ([("repos/create", 401), ("GET /api/datasets", 401)], "log in with `hf auth login`, or set HF_TOKEN"),
        ([("repos/create", 403), ("GET /api/datasets", 403)], "the token may not write to org/pairs"),
        ([("commit", 403)], "the token may not write to org/pairs"),
        ([("commit", 404)], "org/pairs is not at 127.0.0.1"),
        ([("commit", 409)] * 3, "somebody else changed org/pairs"),
        ([("commit", 429)] * 3, "takes no more requests for now"),
        ([("commit", 418)], "answered 418 for org/pairs"),
        ([("repos/create", 0)] * 3, "does not answer, or broke off"),
    ],
    ids=lambda value: value[-1][1] if isinstance(value, list) else None,
)
def test_a_refusal_is_one_line_without_the_token(
    hub: Hub, folder: Path, plan: list[tuple[str, int]], says: str
) -> None:
    hub.plan = plan
    with pytest.raises(RuntimeError, match=says) as refused:
        upload(folder)
    assert "\n" not in str(refused.value)
    assert TOKEN not in str(refused.value)


def test_a_model_goes_where_models_are(hub: Hub, folder: Path) -> None:
    for path in (folder / "data" / "t20").iterdir():
        path.unlink()
    assert upload_folder(folder, "org/clip", kind="model") == f"uploaded: {hub.url}/org/clip"
    assert hub.repositories["models/org/clip"]["README.md"] == (folder / "README.md").read_bytes()


def test_no_token_and_a_wrong_one_say_how_to_log_in(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_Wrong")
    with pytest.raises(RuntimeError, match="hf auth login") as refused:
        upload(folder)
    assert "hf_Wrong" not in str(refused.value)
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(folder / "none"))
    with pytest.raises(RuntimeError, match="hf auth login"):
        upload(folder)


def test_a_host_that_is_not_there_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://somebody:secret@127.0.0.1:9")
    with pytest.raises(RuntimeError, match=r"127\.0\.0\.1:9 does not answer") as refused:
        upload(folder)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("text", ["org/pairs", "hub:pairs", "hub:", "hub:a/b/c", "s3:a/b", "hub:a/b c"])
def test_a_place_that_is_not_the_hubs_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write hub:ORG/NAME"):
        parse_target(text)
