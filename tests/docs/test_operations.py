"""Commands of the documentation are those that work in a checkout."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMAND = re.compile(r"(?:^|`|\$\()((?:[\w./-]*/)?(?:python|dagster|dagster-webserver|uv)) (?!=)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_is_of_the_checkouts_environment(page: Path) -> None:
    named = COMMAND.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not name.startswith(".venv/bin/")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_and_module_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#:]+)(?:#[\w-]*)?\)", text):
        assert (page.parent / target).exists(), target
    for module in re.findall(r"python -m ((?:benchmarks|resources|metaclip_dagster|data|tests)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


def test_pictures_are_wide_enough_to_read_and_small_enough_to_load() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert len(pictures) >= 4
    for path in pictures:
        content = path.read_bytes()
        assert int.from_bytes(content[16:20], "big") >= 1400, path  # the width, in a PNG's first chunk
        assert len(content) < 300_000, path
