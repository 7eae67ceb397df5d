"""Laws of words: a name says what it holds, and a docstring stands alone."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SAYS_NOTHING = {"found", "held", "kept", "made", "own", "told"}
"""Whatever a variable holds was found, made or told by somebody: call it by what it is, `headers`, `missing_rings`."""

FOLDERS = ("assets", "benchmarks", "commands", "data/builder", "metaclip_dagster", "resources", "tests")


def list_files() -> list[Path]:
    return [ROOT / "definitions.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]


def find_odd_words(source: str) -> Iterator[str]:
    """Every name that is bound in the source and says nothing, and every docstring that does not stand alone."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.id if isinstance(node, ast.Name) else node.attr
        elif isinstance(node, ast.arg):
            name = node.arg
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name = node.name
        else:
            name = ""
        if name.strip("_") in SAYS_NOTHING:
            yield f"line {getattr(node, 'lineno', 0)}: {name}"
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or "none at all"
            if " " not in text or text.startswith("The same"):
                yield f"docstring of {getattr(node, 'name', 'the module')}: {text}"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def f(told): ...", ["line 1: told"]),
        ('def found():\n    """Rows of the page."""', ["line 1: found"]),
        ("made, rows = 1, 2\nrow.kept = made", ["line 1: made", "line 2: kept"]),
        ("for _own in ():\n    with x as held: ...", ["line 1: _own", "line 2: held"]),
        ('"""Yes."""', ["docstring of the module: Yes."]),
        ('class C:\n    """The same, of classes."""', ["docstring of C: The same, of classes."]),
        ('"""What was found."""\nf(found=told)\nfound_rows = found.made', []),
    ],
)
def test_the_lint_sees_what_is_bound_and_nothing_else(source: str, words: list[str]) -> None:
    assert sorted(find_odd_words(source)) == sorted(words)


def test_names_say_what_they_hold_and_docstrings_stand_alone() -> None:
    odd = [f"{path.relative_to(ROOT)}, {word}" for path in list_files() for word in find_odd_words(path.read_text())]
    assert not odd, "\n".join(["say what it is (docs/glossary.md has the words):", *odd])
