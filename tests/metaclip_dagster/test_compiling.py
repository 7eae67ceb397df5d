"""What is compiled runs where nothing can be kept, too."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
MODULE = """
from metaclip_dagster.compiling import compiled, inlined

@inlined
def twice(number: int) -> int:
    return 2 * number

@compiled
def add_up(number: int) -> int:
    return sum([twice(i) for i in range(number)])
"""


def test_a_loop_is_compiled_where_no_folder_can_keep_it(tmp_path: Path) -> None:
    (tmp_path / "loops.py").write_text(MODULE, "utf-8")
    (tmp_path / "__pycache__").touch()  # no folder can be made there, nor below /proc
    nowhere = dict.fromkeys(("HOME", "XDG_CACHE_HOME"), "/proc/nowhere")
    env = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"} | nowhere
    script = f"import sys; sys.path[:0] = {[str(tmp_path), str(ROOT)]}; import loops; print(loops.add_up(4))"
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, env=env)
    assert run.stdout == "12\n", run.stderr
