"""Print the tree of docs/design.md: every package and module, with the first line of its docstring."""

import ast
from collections.abc import Iterator
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
ROOTS = ("commands", "assets", "metaclip_dagster", "resources")
MARGIN = 30


def render_tree() -> str:
    """The tree as text: folders before modules, each in alphabetical order."""
    return "\n".join(
        [*(line for root in ROOTS for line in _lines(REPOSITORY / root, 0)), _line(0, REPOSITORY / "definitions.py")]
    )


def _lines(folder: Path, depth: int) -> Iterator[str]:
    yield _line(depth, folder)
    parts = [path for path in folder.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"]
    for path in sorted(parts, key=lambda path: (path.is_file(), path.name)):
        if path.is_dir():
            yield from _lines(path, depth + 1)
        elif path.name != "__init__.py":
            yield _line(depth + 1, path)


def _line(depth: int, path: Path) -> str:
    docstring = ast.get_docstring(ast.parse((path / "__init__.py" if path.is_dir() else path).read_text("utf-8"))) or ""
    name = f"{'  ' * depth}{path.name}{'/' if path.is_dir() else ''}"
    return f"{name:{MARGIN}} {docstring.partition(chr(10))[0]}".rstrip()


if __name__ == "__main__":
    print(render_tree())
