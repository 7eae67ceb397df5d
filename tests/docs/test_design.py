"""The design page holds the tree as it is, and the list of decisions all of them."""

from pathlib import Path

from commands.decisions import DECISIONS, list_decisions
from commands.tree import render_tree

PAGE = Path(__file__).parents[2].joinpath("docs", "design.md").read_text(encoding="utf-8")


def test_the_tree_is_printed_from_the_modules_docstrings() -> None:
    assert f"```\n{render_tree()}\n```" in PAGE, "print it anew: .venv/bin/python -m commands.tree"


def test_every_decision_is_in_their_list() -> None:
    assert (DECISIONS / "README.md").read_text("utf-8") == list_decisions(), "print it anew: see commands/decisions.py"
