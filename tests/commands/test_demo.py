"""What `metaclip demo --quick` makes, and where it does not begin."""

import gzip
import os
import re
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from commands.__main__ import main
from commands.worldwide import ALL, ENGLISH, choose_variables, measure_share
from resources.crawl.mini import DUMP
from resources.deployments import SAMPLE, deployment, read_deployment

TOUR = Path(__file__).parents[2] / "docs" / "tour.md"
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("METACLIP_")}


def run_quick(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metaclip_dagster", "demo", "--quick"]
    environment = ENVIRONMENT | {"METACLIP_DATA": str(folder), "METACLIP_DEPLOYMENT": "sample"} | settings
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_few_pages_are_balanced_and_a_pair_of_them_goes_the_way_of_the_tour(tmp_path: Path) -> None:
    run = run_quick(tmp_path)
    assert run.returncode == 0, run.stderr
    data = {"METACLIP_DATA": str(tmp_path / "quick"), "METACLIP_CRAWL": str(tmp_path / "quick" / "mini" / "crawl")}
    commands, *shown = re.findall(r"^```\n(.*?)^```", TOUR.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    explain = [sys.executable, "-m", "metaclip_dagster", *commands.splitlines()[-1].split()[1:]]
    explained = subprocess.run(explain, env=ENVIRONMENT | data, capture_output=True, text=True, check=True).stdout
    wats = (gzip.decompress(path.read_bytes()).decode() for path in tmp_path.rglob("*.wat.gz"))
    printed = "\n".join([run.stdout, explained, *wats])
    assert [box for box in shown if box.rstrip() not in printed] == []
    sizes = [int(size.replace(",", "")) for size in re.findall(r"^(?:20|100|inf) +([\d,]+)", run.stdout, re.M)]
    assert sizes == sorted(set(sizes))
    assert len(sizes) == 3
    assert sizes[0] > 100
    assert "SAMPLE-2026-01  pairs  robots_txt  matches" in run.stdout
    assert " reused" not in run.stdout
    assert (tmp_path / "quick" / "sample" / "reports" / "data_card_t_20.html").exists()


def test_what_stops_a_run_is_said_in_the_last_line(
    nothing_made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dump = (SAMPLE / "wikipedia" / DUMP).read_bytes()
    (nothing_made.parent / DUMP).write_bytes(dump[: len(dump) // 2])
    monkeypatch.setenv("METACLIP_WIKIPEDIA", str(nothing_made.parent))
    assert main(["demo", "--no-training"]) == 1
    printed = capsys.readouterr().err
    assert "Traceback (most recent call last)" not in printed
    assert re.match(r"metaclip demo: ngram_parts/all: 1 of 1 shards failed", printed.splitlines()[-1])


@pytest.mark.parametrize(("flag", "part"), [("--quick", "a part"), ("--worldwide", "more")])
def test_it_is_of_the_sample_alone(
    flag: str, part: str, nothing_made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METACLIP_DEPLOYMENT", "commoncrawl")
    assert main(["demo", flag]) == 1
    assert capsys.readouterr().err == (
        f"metaclip demo: {flag} is {part} of the sample: unset METACLIP_DEPLOYMENT, which is commoncrawl\n"
    )
    assert list(nothing_made.parent.iterdir()) == []


def test_english_is_a_part_of_what_is_shown(
    nothing_made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("METACLIP_LANGUAGES", "de,pl")
    assert main(["demo", "--worldwide"]) == 1
    assert capsys.readouterr().err == (
        "metaclip demo: METACLIP_LANGUAGES=de,pl: a model of English is trained; add en\n"
    )


def test_quick_has_no_other_languages(nothing_made: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--quick", "--worldwide"]) == 1
    assert "leave it or --worldwide out" in capsys.readouterr().err


def test_all_languages_start_again_as_they_were_started_in_folders_of_their_own(
    nothing_made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[list[str], dict[str, str]]] = []

    def start(_: str, command: list[str], environment: dict[str, str]) -> None:
        started.append((command, environment))
        raise OSError("not now")

    monkeypatch.setattr(os, "execve", start)
    monkeypatch.setattr(sys, "orig_argv", ["python", "-X", "dev", "metaclip", "demo", "--worldwide", "--no-training"])
    monkeypatch.setenv("METACLIP_LAKE", str(nothing_made.parent / "tables"))
    monkeypatch.setenv("METACLIP_PICTURES", "off")
    assert main(["demo", "--worldwide", "--no-training"]) == 1
    [(command, environment)] = started
    assert command == [sys.executable, "-X", "dev", "metaclip", "demo", "--worldwide", "--no-training"]
    again, data = read_deployment(environment), deployment().home.parent
    assert again.home == data / "worldwide" / "sample"
    assert again.lake == str(nothing_made.parent / "tables" / "worldwide" / "sample")
    assert (again.languages, again.pictures, {*again.models} >= {ENGLISH, ALL}) == (("all",), "off", True)
    assert choose_variables(again, "").items() <= environment.items(), "what is printed is where it ran"


def test_a_share_of_draws_is_of_images_not_of_texts() -> None:
    languages = [["en"], ["en", "de", "de", "de"], ["ja"]]
    texts = [[{"language": language} for language in of_image] for of_image in languages]
    assert measure_share(pa.table({"texts": texts}), "en") == pytest.approx((1 + 1 / 4) / 3)
