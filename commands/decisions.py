"""Print docs/decisions/README.md from the pages beside it: each decision's number and title, the newest last.

.venv/bin/python -m commands.decisions > docs/decisions/README.md
"""

from pathlib import Path

DECISIONS = Path(__file__).parents[1] / "docs" / "decisions"


def list_decisions() -> str:
    """The page, with a link to each decision."""
    titles = [(path.name, path.read_text("utf-8").partition("\n")[0]) for path in sorted(DECISIONS.glob("[0-9]*.md"))]
    lines = [f"- [{title.removeprefix('# ')}]({name})" for name, title in titles]
    return "\n".join(["# Decisions", "", "Why things are as they are, and what was turned down.", "", *lines, ""])


if __name__ == "__main__":
    print(list_decisions(), end="")
