"""Tasks by their folders' names, and what they say of themselves."""

from pathlib import Path

import dagster as dg
import pytest

from resources.tasks.resource import ZeroShot


def test_two_tasks_of_one_name_are_refused_by_both_their_folders() -> None:
    with pytest.raises(dg.Failure, match=r"named alike: /a/birds, /b/birds/; rename one"):
        ZeroShot(folders=["/a/birds", "/a/cars", "/b/birds/"], checkpoints="").tasks(str, str)


def test_a_readme_that_is_long_or_no_text_is_told_as_far_as_it_goes(tmp_path: Path) -> None:
    for name, content in (("odd", b"# odd\n\xff\xfe birds\n"), ("long", b"# long\n" + b"word " * 1_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "README.md").write_bytes(content)
    notes = ZeroShot(folders=[str(tmp_path / name) for name in ("odd", "long")], checkpoints="").notes()
    assert notes["odd"] == "\ufffd\ufffd birds"
    assert notes["long"].startswith("word word")
    assert len(notes["long"]) < 100_000
