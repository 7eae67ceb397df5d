"""Commands of the documentation are those that work in a checkout."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPERATIONS = sorted((ROOT / "docs" / "operations").glob("*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")), *OPERATIONS]
COMMAND = re.compile(r"(?:^|`|\$\()((?:[\w./-]*/)?(?:python|dagster|dagster-webserver|uv)) (?!=)", re.MULTILINE)


def list_headings(page: Path) -> set[str]:
    """The headings of a page, as the addresses of links spell them."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {
        re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_is_of_the_checkouts_environment(page: Path) -> None:
    named = COMMAND.findall(page.read_text(encoding="utf-8"))
    assert [name for name in named if not name.startswith(".venv/bin/")] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_heading_and_module_that_a_page_names_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target, heading in re.findall(r"\]\(([^)#:]*)(?:#([\w-]*))?\)", text):
        linked = page.parent / target if target else page
        assert linked.exists(), target
        assert not heading or heading in list_headings(linked), f"{target}#{heading}"
    for module in re.findall(r"python -m ((?:benchmarks|resources|metaclip_dagster|data|tests)[\w.]*)", text):
        path = ROOT / module.replace(".", "/")
        assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), module


@pytest.mark.parametrize("page", OPERATIONS, ids=lambda page: page.name)
def test_a_page_begins_with_its_sections_and_stands_in_the_list_of_pages(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    sections = {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in re.findall(r"^## (.+)$", text, re.M)}
    assert set(re.findall(r"\(#([\w-]+)\)", text[: text.index("\n## ")])) == sections
    assert f"(operations/{page.name})" in (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")


def test_pictures_are_wide_enough_to_read_and_small_enough_to_load() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert len(pictures) >= 4
    for path in pictures:
        content = path.read_bytes()
        assert int.from_bytes(content[16:20], "big") >= 1400, path  # the width, in a PNG's first chunk
        assert len(content) < 300_000, path
