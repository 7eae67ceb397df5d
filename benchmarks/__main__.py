"""Run the benchmarks one after the other, print what each gives and keep it in RESULTS.md.

python -m benchmarks [NAME ...] [-- OPTION ...]

NAME  of those to run, as in `counting matching`; without one, all but `images`, which takes an hour on two cores.
OPTION  handed to each of them, as in `matching -- --entries F --texts F`. A benchmark's rows replace its last ones as
soon as it is done; where it fails, they stay, and the exit code is 1.
"""

import argparse
import itertools
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Row, print_rows

BENCHMARKS = (
    "parsing",
    "wikipedia",
    "entries",
    "lists",
    "matching",
    "language_id",
    "counting",
    "balancing",
    "deduplicating",
    "images",
    "images_at_size",
    "filtering",
    "near_images",
    "graph",
    "engines",
    "scaling",
    "demo",
    "exploring",
    "training",
    "loader",
    "sweep",
    "worldwide",
    "searching",
)
BY_NAME = ("images",)
"""Run only where they are named: they want the environment of another program."""
RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# Results

What `make bench` measured. A ratio above 1 means that ours is faster or smaller than the baseline; where the baseline
of peak memory is the same at one times the input, 1 is flat. Times are taken by turns in one process, and equal results
are asserted on the way; each benchmark's first lines say what its baseline is. In `sweep` and `worldwide`, values are
scores, and ratios are over the unbalanced pool's and the English model's. Trust ratios: the machine may have been
shared.
"""


def main() -> int:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(BENCHMARKS))
    words_before = list(itertools.takewhile(lambda word: word != "--", sys.argv[1:]))
    names, passed = parser.parse_args(words_before).names, sys.argv[len(words_before) + 2 :]
    if unknown := set(names) - set(BENCHMARKS):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}; there are {', '.join(BENCHMARKS)}")
    names = names or [name for name in BENCHMARKS if name not in BY_NAME]
    failed = []
    for name in names:
        command = ["-m", f"benchmarks.bench_{name}", *passed]
        print(f"python {' '.join(command)}", flush=True)
        ran = subprocess.run(
            [sys.executable, *command, "--json"],
            check=False,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        if ran.returncode:
            failed.append(name)
            continue
        rows: list[Row] = [{"input": "the files that it reads by default", **row} for row in json.loads(ran.stdout)]
        print_rows(rows, as_json=False)
        keep(RESULTS, name, command, rows)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def keep(results: Path, name: str, command: list[str], rows: list[Row]) -> None:
    """Put the rows in the place of the benchmark's last ones."""
    keep_section(results, name, _section(command, rows))


def keep_section(results: Path, name: str, text: str) -> None:
    """Put the text in the place of the section of that name, or at the end."""
    texts = results.read_text("utf-8").split("\n## ")[1:] if results.exists() else []
    sections = {section.split("\n", 1)[0]: section.split("\n", 1)[1].strip("\n") for section in texts}
    sections[name] = text
    order = sorted(
        sections,
        key=lambda section_name: BENCHMARKS.index(section_name) if section_name in BENCHMARKS else len(BENCHMARKS),
    )
    results.write_text(
        "\n".join([HEAD, *(f"## {section_name}\n\n{sections[section_name]}\n" for section_name in order)]), "utf-8"
    )


def _section(command: list[str], rows: list[Row]) -> str:
    today = datetime.now(UTC).date()
    inputs = list(dict.fromkeys(row["input"] for row in rows))
    lines = [f"{today}, {machine()}; `python {' '.join(command)}`", ""]
    lines += [f"- Input {number}: {described}" for number, described in enumerate(inputs, 1)]
    lines += ["", "| what | value | unit | baseline | ratio | input |", "| --- | ---: | --- | ---: | ---: | ---: |"]
    for row in rows:
        number = inputs.index(row["input"]) + 1
        numbers = [_figures(row["value"]), row["unit"], _figures(row["baseline"]), _figures(row["ratio"]), str(number)]
        lines.append(f"| {row['name']} | {' | '.join(numbers)} |")
    return "\n".join(lines)


def _figures(number: float | None) -> str:
    return "" if number is None else f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}"


def machine() -> str:
    """What it ran on."""
    models = [line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines()
              if line.startswith("model name")]  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return f"{models[0] if models else platform.machine()}, {cores} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main())
