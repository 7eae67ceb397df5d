"""The command that a data card prints, pasted into a new shell."""

import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from assets import cards
from metaclip_dagster.reporting.cards.card import render_card
from resources.deployments import Deployment, command_line
from resources.lake.resource import Lake


@pytest.mark.night
def test_the_command_of_a_data_card_makes_it_again_in_a_new_shell(
    curated: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "a folder" / "sample"
    shutil.copytree(curated.home, home)
    (home / "reports" / "data_card_t_20.html").unlink()
    environment = {
        "METACLIP_DATA": str(home.parent),
        "METACLIP_CRAWL": curated.crawl,
        "METACLIP_CONTACT": "x@y.example",
    }
    monkeypatch.setattr(cards, "command_line", lambda *command: command_line(*command, environment=environment))
    card, plots = cards.make_card(Lake(root=str(home / "lake")), "20")
    [printed] = re.findall(r"<pre>(.*?)</pre>", render_card(card, plots))
    assert "x@y.example" not in printed
    shell = ["bash", "--norc", "-c", unescape(printed)]
    bare = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    pasted = subprocess.run(shell, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False)
    assert pasted.returncode == 0, pasted.stderr[-3000:]
    assert (home / "reports" / "data_card_t_20.html").exists()
    again = Lake(root=str(home / "lake")).manifest("subsets", "20")
    assert again.version == card["provenance"]["subset"]
