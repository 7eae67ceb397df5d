"""Laws of `metaclip publish`: what is uploaded is the folder, and whatever stands in the way is one line."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from commands.__main__ import main
from resources.deployments import Deployment, deployment
from tests.graphs import copy_home
from tests.hub import TOKEN, Hub, serve_hub

pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")  # huggingface_hub's own


@pytest.fixture(scope="module")
def home(curated: Deployment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_home(curated, tmp_path_factory.mktemp("data") / "sample", copied=("lake", "reports")).home


@pytest.fixture
def hub(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("METACLIP_DATA", str(home.parent))
    deployment.cache_clear()
    with serve_hub() as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield hub
    deployment.cache_clear()


def test_the_folder_arrives_byte_for_byte_and_once(home: Path, hub: Hub, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["publish", "dataset", "20", "inf", "--to", "hub:org/pairs"]
    assert main(asked) == 0
    folder = home / "published" / "dataset"
    says = capsys.readouterr().out.splitlines()
    assert says[0] == str(folder)
    assert says[1].startswith(f"open, for {home / 'publisher.yaml'} to say: title, description,")
    assert says[2] == f"uploaded: {hub.url}/datasets/org/pairs"
    files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert hub.repositories["datasets/org/pairs"] == {**files, ".gitattributes": b""}
    received = hub.received
    assert main(asked) == 0
    assert hub.received == received


def test_lists_are_made_first_where_they_are_missing_and_arrive(
    home: Path, hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(home / "lake" / "entries")
    assert main(["publish", "lists", "--to", "hub:org/lists"]) == 0
    folder = home / "published" / "lists"
    first, path, unanswered, uploaded = capsys.readouterr().out.splitlines()
    assert (first, path) == ("entries is made first", str(folder))
    assert unanswered.startswith(f"open, for {home / 'publisher.yaml'} to say: homepage, version,")
    assert unanswered.endswith(" and 3 questions")
    assert uploaded == f"uploaded: {hub.url}/datasets/org/lists"
    assert hub.repositories["datasets/org/lists"].keys() > {"README.md", "data/en.parquet", "text/en.txt"}


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (["dataset", "21"], "'21' is no t of this deployment"),
        (["dataset", "20", "--to", "org/pairs"], "write hub:ORG/NAME"),
        (["dataset", "20", "--to", "hub:org/pairs"], "log in with `hf auth login`"),
        (["model", "20", "huge"], "'huge' is no model of this deployment"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_a_refusal_is_one_line(
    asked: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_Wrong")
    assert main(["publish", *asked]) == 1
    [line] = capsys.readouterr().err.splitlines()
    assert says in line
    assert "hf_Wrong" not in line


@pytest.mark.usefixtures("hub")
def test_a_failed_run_is_one_line(home: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (home / "publisher.yaml").write_text("licence: mit\n")
    assert main(["publish", "dataset", "20"]) == 1
    (home / "publisher.yaml").unlink()
    assert capfd.readouterr().err.splitlines() == [
        f"metaclip publish: {home / 'publisher.yaml'}: unknown key licence; did you mean license?"
    ]


@pytest.mark.usefixtures("hub")
def test_a_folder_that_was_touched_is_not_uploaded(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from commands.publish import upload

    assert main(["publish", "dataset", "20", "inf"]) == 0
    folder = home / "published" / "dataset"
    [rows, *_] = sorted((folder / "data" / "tinf").iterdir())
    fewer = pq.read_table(rows)[1:]
    rows.unlink()
    pq.write_table(fewer, rows)
    assert main(["publish", "dataset", "20", "--to", "hub:org/other"]) == 1
    assert f"{rows} is not as SHA256SUMS has it" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"is not as SHA256SUMS has it"):
        upload(folder, "org/other", part="dataset", private=False)
    assert main(["publish", "dataset", "inf"]) == 0
    capsys.readouterr()
