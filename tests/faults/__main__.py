"""Curate the mini sample again and again while something fails, and compare its tables with an undisturbed run's.

python -m tests.faults [--times N] [--seed S] [--only KIND] [--results]

Kinds of faults are taken in turn; when and where they strike is drawn. A round in which nothing was struck is drawn
again. Ctrl-C ends the campaign and tells what came of it so far. The exit code is 1 if a round ended otherwise than the
undisturbed run, or struck nothing however often drawn.
"""

import argparse
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

from tqdm import tqdm

from benchmarks.__main__ import RESULTS, keep_section, machine
from tests.faults.curations import Result
from tests.faults.kinds import KINDS, World

DRAWS = 6
HEAD = """\
| fault | rounds | strikes | runs that failed | drawn again | equal |
| --- | ---: | ---: | ---: | ---: | ---: |"""


def main() -> int:
    """Run the campaign, print what came of it and, if told to, keep it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=len(KINDS), metavar="N", help="rounds")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn")
    parser.add_argument("--only", action="append", choices=KINDS, metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--results", action="store_true", help="keep the table in benchmarks/RESULTS.md")
    asked = parser.parse_args()
    kinds, started = asked.only or list(KINDS), time.monotonic()
    results: dict[str, list[Result]] = defaultdict(list)
    missed: dict[str, int] = defaultdict(int)
    with tempfile.TemporaryDirectory(prefix="faults-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        world = World(Path(folder), stack)
        _ = world.reference  # without it, no round can be judged
        rounds = tqdm(islice(cycle(kinds), asked.times), total=asked.times, unit="round")
        with suppress(KeyboardInterrupt):
            for number, kind in enumerate(rounds):
                result, draws = play(world, kind, f"{asked.seed} {number}", Path(folder, str(number)))
                results[kind].append(result)
                missed[kind] += draws - 1
                tqdm.write(f"{number} {kind}: {result.difference or f'equal after {result.hits} strikes'}")
    played = sum(map(len, results.values()))
    equal = sum(not result.difference for of_kind in results.values() for result in of_kind)
    summary = f"{equal} of {played} equal, {time.monotonic() - started:,.0f} s"
    table = f"{HEAD}\n" + "\n".join(_line(kind, of_kind, missed[kind]) for kind, of_kind in results.items())
    print(f"{table}\n\n{summary}")  # noqa: T201
    if asked.results:
        command = shlex.join(["python", "-m", "tests.faults", *sys.argv[1:]])
        head = f"{datetime.now(UTC).date()}, {machine()}; `{command}`: {summary}"
        keep_section(RESULTS, "faults", f"{head}\n\n{table}")
    return int(equal < played)


def play(world: World, kind: str, seed: str, home: Path) -> tuple[Result, int]:
    """A round of a kind, drawn until the fault strikes; with how often it was drawn."""
    for draws in range(1, DRAWS + 1):
        try:
            result = KINDS[kind](world, random.Random(f"{seed} {draws}"), home / str(draws))
        except Exception as error:  # a round that cannot be played is one that is lost
            result = Result(0, difference=f"{type(error).__name__}: {error}")
        finally:
            world.end_round()
        if result.hits or result.difference:
            break
        shutil.rmtree(home, ignore_errors=True)  # not all have one
    else:
        result = Result(0, difference=f"nothing was struck in {DRAWS} draws")
    if not result.difference:
        shutil.rmtree(home, ignore_errors=True)  # not all have one
    return result, draws


def _line(kind: str, results: list[Result], missed: int) -> str:
    equal = sum(not result.difference for result in results)
    hits, failed = (sum(getattr(result, name) for result in results) for name in ("hits", "failed"))
    return f"| {kind} | {len(results)} | {hits} | {failed} | {missed} | {equal} |"


if __name__ == "__main__":
    sys.exit(main())
