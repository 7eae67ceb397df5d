"""The page on publishing says what the command and publisher.yaml take."""

import re
import shlex
from pathlib import Path

from commands.parser import build_parser
from metaclip_dagster.publishing.publisher import read_publisher

PAGE = Path(__file__).parents[2].joinpath("docs", "publishing.md").read_text(encoding="utf-8")


def test_its_commands_are_those_of_the_parser() -> None:
    lines = re.findall(r"^metaclip (publish [^#\n]*)", PAGE, re.MULTILINE)
    lines += re.findall(r"`metaclip (publish [^`]* [^`]*)`", PAGE)
    assert len(lines) == 5
    for line in lines:
        assert build_parser().parse_args(shlex.split(line)).verb == "publish"


def test_its_example_is_a_publisher_who_has_said_something() -> None:
    [example] = re.findall(r"```\n(title: .*?)```", PAGE, re.DOTALL)
    publisher = read_publisher(example.encode(), "publisher.yaml")
    assert publisher.license == "cc-by-4.0"
    assert {"version", "authors"} < set(publisher.list_open())
