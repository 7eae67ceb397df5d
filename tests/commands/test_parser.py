"""What `metaclip` says of itself: help without waiting, a page that is its parser's, one way to fail."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from commands.__main__ import main
from commands.parser import build_parser
from commands.reference import render_reference
from commands.verbs import GROUPS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
VERBS = {name: verb for group in GROUPS.values() for name, verb in group.items()}
LEAVES = [[name, *part] for name, verb in VERBS.items() for part in ([[key] for key in verb.parts] or [[]])]
IMPORTED = """
import json, sys
from metaclip_dagster.__main__ import main
try:
    main()
finally:
    print(json.dumps(sorted({*sys.argv[-1].split(",")} & {*sys.modules})), file=sys.stderr)
"""


def test_help_waits_for_no_heavy_library() -> None:
    heavy = "torch,dagster,duckdb,numpy,pyarrow,fsspec,assets,resources,definitions"
    command = [sys.executable, "-c", IMPORTED, "--help", heavy]
    run = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert json.loads(run.stderr) == []
    assert all(re.search(rf"^  {name} +\w", run.stdout, re.MULTILINE) for name in VERBS)


@pytest.mark.parametrize("leaf", LEAVES, ids=" ".join)
def test_a_command_has_its_place_in_the_page_and_an_example_that_parses(
    leaf: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"\n### metaclip {' '.join(leaf)}\n" in (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert main([*leaf, "--help"]) == 0
    [example] = re.findall(r"^example: metaclip (.*)", capsys.readouterr().out, re.MULTILINE)
    asked = build_parser().parse_args(shlex.split(example))
    assert [asked.verb, *([asked.part] if "part" in asked else [])] == leaf


def test_the_page_is_what_the_parser_prints() -> None:
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == render_reference()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_command_that_a_page_shows_parses(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert "python -c" not in text
    for line in re.findall(r"^ *(?:[A-Z_]+=\S+ )*(?:\.venv/bin/)?metaclip (.*)", text, re.MULTILINE):
        build_parser().parse_args(shlex.split(line, comments=True))
    for words in re.findall(r"`metaclip ([a-z][^`]*)`", text):
        verb, *rest = words.split()
        assert verb in VERBS, words
        assert not VERBS[verb].parts or not rest or rest[0] in VERBS[verb].parts, words


def test_a_command_that_a_message_names_is_there() -> None:
    for path in [*(ROOT / "assets").glob("**/*.py"), *(ROOT / "resources").glob("**/*.py")]:
        for verb in re.findall(r"`metaclip (\w+)", path.read_text(encoding="utf-8")):
            assert verb in VERBS, path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["swep"], "metaclip: argument VERB: invalid choice: 'swep'"),
        (["predict"], "metaclip predict: the following arguments are required: WHAT"),
        (["rung"], "metaclip rung: the following arguments are required: T; `metaclip rung --help` says what it takes"),
        (["explain", "pair", "x", "--limit", "many"], "metaclip explain pair: argument --limit: invalid int value"),
    ],
)
def test_what_cannot_be_parsed_is_said_in_a_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("sweep --t 7", "'7' is no training set of this deployment, which has 20, 100, inf, online-20"),
        ("export subset 7 out", "'7' is no t of this deployment, which has 20, 100, inf"),
        ("export subset 20 out", "subsets of 20 is not made yet; materialize it first"),
        ("export training-set 20 out", "training_sets of 20 is not made yet; materialize it first"),
        ("register Q", "'Q' is no snapshot id of this deployment"),
        ("rerun Q", "no Dagster web server answers at http://127.0.0.1:1"),
        ("explain pair x.png", "'x.png' is no pair_id"),
        ("purge", "takedowns.csv"),
    ],
)
def test_what_stands_in_the_way_is_said_in_a_line(
    arguments: str, message: str, nothing_made: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments.split()) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert said.err.startswith(f"metaclip {arguments.split(maxsplit=1)[0]}: ")
    assert message in said.err
    assert not Path("out").exists()


def test_ctrl_c_leaves_what_was_launched_and_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("commands.rerun.find_web_server", interrupt)
    assert main(["rerun", "SAMPLE-2026-01"]) == 130
    assert capsys.readouterr().err == "metaclip rerun: stopped; what was launched goes on: stop it in the UI\n"


def test_it_runs_from_any_folder_and_says_where_a_checkout_is_missing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "metaclip_dagster"]
    environment = os.environ | {"METACLIP_DATA": str(tmp_path), "METACLIP_DEPLOYMENT": "sample"}
    home = subprocess.run(
        [*command, "lake", "home"], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    assert home.stdout == f"{tmp_path}/sample/dagster_home\n"
    package = tmp_path / "site-packages"
    package.mkdir()
    (package / "metaclip_dagster").symlink_to(ROOT / "metaclip_dagster")
    alone = subprocess.run(
        [sys.executable, "-S", "-m", "metaclip_dagster"], cwd=package, check=False, capture_output=True, text=True
    )
    assert (alone.returncode, alone.stdout, alone.stderr.count("\n")) == (1, "", 1)
    assert "works in a checkout" in alone.stderr
