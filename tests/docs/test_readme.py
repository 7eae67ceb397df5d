import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pyarrow as pa
import pytest
import yaml

import assets.coverage
import assets.entries
from commands import demo
from commands.flow import PICTURE, draw_flow
from commands.overview import read_score
from examples.notebook import build_notebook
from metaclip_dagster.schemas import SUBSETS
from resources.deployments import read_deployment
from resources.lake.resource import Lake
from tests.lakes import commit

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
README = ROOT.joinpath("README.md").read_text(encoding="utf-8")
ENTRIES = ROOT.joinpath("docs", "entries.md").read_text(encoding="utf-8")


def test_the_example_prints_what_the_readme_shows_without_dagster() -> None:
    script = (EXAMPLES / "metaclip.py").read_text("utf-8")
    guarded = f"{script}\nimport sys\nassert not {{'dagster', 'torch', 'resources'}} & set(sys.modules)\n"
    run = subprocess.run([sys.executable, "-c", guarded], cwd=ROOT, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert f"```\n{run.stdout}```\n" in README


def test_the_notebook_is_the_example() -> None:
    notebook = json.loads((EXAMPLES / "metaclip.ipynb").read_text("utf-8"))
    assert notebook == build_notebook((EXAMPLES / "metaclip.py").read_text("utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    _, *script = ast.parse((EXAMPLES / "metaclip.py").read_text("utf-8")).body  # but for its docstring
    assert [ast.dump(it) for it in ast.parse(code).body] == [ast.dump(it) for it in script]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_hugging_face_datasets_read_a_subset_as_it_lies_in_the_lake(tmp_path: Path) -> None:
    from datasets import load_dataset

    lake, row = Lake(root=str(tmp_path / "lake")), {"pair_id": 1, "url": "http://h.example/dog.png", "text": "a dog"}
    commit(lake, "subsets", "20", pa.RecordBatch.from_pylist([row], SUBSETS))
    files = lake.dataset("subsets", ["20"]).files
    subset = load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path))
    assert subset[0]["url"] == "http://h.example/dog.png"
    assert subset[0]["text"] == "a dog"


def test_what_the_first_picture_is_described_to_show_are_the_scores_of_the_benchmarks() -> None:
    described = README[README.index("![Left") : README.index("](docs/images/overview.png)")]
    assert re.findall(r"([\d.]+)%", described) == [f"{read_score(t, 'all')[0]:.1f}" for t in ("inf", "20")]


def test_the_targets_that_are_named_are_in_the_makefile() -> None:
    makefile = ROOT.joinpath("Makefile").read_text(encoding="utf-8")
    pages = README + ROOT.joinpath("CONTRIBUTING.md").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([\w-]+)", pages, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_flow_is_drawn_from_the_graph() -> None:
    assert PICTURE.read_text("utf-8") == draw_flow()


def test_the_version_to_cite_is_the_package_s() -> None:
    cited = yaml.safe_load(ROOT.joinpath("CITATION.cff").read_text("utf-8"))
    assert cited["version"] == tomllib.loads(ROOT.joinpath("pyproject.toml").read_text("utf-8"))["project"]["version"]


def test_what_the_demo_prints_has_the_rungs_and_rows_of_the_readme() -> None:
    printed = README[README.index("|D(t)|") :]
    for t in read_deployment({}).thresholds:
        assert re.search(rf"^{t} +[\d,]+ ", printed, re.MULTILINE)
    assert all(f"\n{says} " in README for says in demo.STAGES.values())


def test_the_configs_for_own_entries_are_there() -> None:
    configs = {"entries": assets.entries.Budget, "coverage": assets.coverage.Sampling}
    shown = [yaml.safe_load(line)["ops"] for line in re.findall(r"^ops: .*", ENTRIES, re.MULTILINE)]
    assert {name for ops in shown for name in ops} == set(configs)
    for ops in shown:
        for name, settings in ops.items():
            assert configs[name](**settings["config"])
