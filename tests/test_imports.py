"""Whoever loads the graph pays for no model library, and little else: code servers, every run and every check do."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAVY = (
    "torch",
    "torchvision",
    "open_clip",
    "numba",
    "nltk",
    "matplotlib",
    "PIL",
    "safetensors",
    "webdataset",
    "huggingface_hub",
    "fasttext",
    "ray",
)
LOAD = """
import json, sys, time
import definitions
print(json.dumps({"cpu": time.process_time(), "heavy": sorted(set(sys.argv[1:]) & set(sys.modules))}))
"""


def test_the_code_location_loads_in_ten_seconds_of_cpu_and_imports_no_heavy_library() -> None:
    run = subprocess.run([sys.executable, "-c", LOAD, *HEAVY], cwd=ROOT, check=True, capture_output=True, text=True)
    measured = json.loads(run.stdout.splitlines()[-1])
    assert measured["heavy"] == []
    assert measured["cpu"] < 10
    assert "Warning" not in run.stderr
