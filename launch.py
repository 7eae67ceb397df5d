"""The front door for whole plans: a sweep over t, a snapshot all the way downstream, older snapshots for the pool."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

import dagster as dg
from tqdm import tqdm

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, register_snapshots, rings_up_to
from resources.common_crawl import open_crawl
from resources.deployments import Deployment, deployment
from resources.graphql import Progress, WebServer

POLL_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""How long a web server or daemon may be away before nobody waits for it any more."""

Targets = Mapping[str, Sequence[str] | None]


def sweep_targets(training_sets: Sequence[str], models: Sequence[str]) -> Targets:
    """The partitions of a sweep from images to its report; a set needs the rings of images up to its t."""
    highest = max(THRESHOLDS.index("inf" if name.startswith("online-") else name) for name in training_sets)
    cells = [Cell(name, model).key for name in training_sets for model in models]
    return {
        "images": rings_up_to(THRESHOLDS[highest]),
        "training_sets": training_sets,
        "checkpoints": cells,
        "scores": cells,
        "sweep": None,
    }


def snapshot_targets(web: WebServer, snapshot: str) -> Targets:
    """The partitions that a snapshot's rerun moves: its own, and all of what is counted over the whole pool."""
    registered, made = web.partitions("matches")
    if snapshot not in registered:
        raise ValueError(
            f"{snapshot} is not in the pool; `.venv/bin/python launch.py register {snapshot}` puts it there"
        )
    return {
        "pairs": [snapshot],
        "matches": [snapshot],
        "exclusions": None,
        "entry_counts": None,
        # One that is registered and not made yet would fail here, and take every subset with it.
        "admissions": [key for key in registered if key == snapshot or key in made],
        "subsets": None,
        "data_cards": None,
    }


def launch_sweep(web: WebServer, training_sets: Sequence[str], models: Sequence[str], *, wait: bool) -> bool:
    """Train and score the cells and report; gives whether nothing failed. The report takes the cells that are there."""
    told = launch(web, sweep_targets(training_sets, models), "t-sweep", wait=wait)
    if told and told.status == "COMPLETED_FAILED" and "sweep" in told.unmade:
        # Dagster leaves out whatever lies below a failure, and the report lies below every cell.
        launch(web, {"sweep": None}, "report of the t-sweep", wait=wait)
    return told is None or told.succeeded


def launch(web: WebServer, targets: Targets, title: str, *, wait: bool) -> Progress | None:
    """Launch a backfill and, told to wait, show it to its end and give how it ended."""
    web.check_daemon()
    backfill = web.launch(targets, title)
    print(f"{title}: {_link(web, backfill)}", flush=True)
    return follow(web, backfill, title) if wait else None


def follow(web: WebServer, backfill: str, title: str) -> Progress:
    """Show a backfill until it ends, and print what failed with the run to look at.

    Raises what was heard last, with the link, when web server or daemon give no answer for longer than a minute.
    """
    told, heard = web.progress(backfill), time.monotonic()
    with tqdm(total=told.targeted, desc=title, unit="partition", disable=None) as bar:
        while True:
            bar.total, bar.n = told.targeted, told.targeted - sum(told.unmade.values())
            bar.set_postfix(failed_runs=len(told.failures))
            if told.ended:
                break
            time.sleep(POLL_SECONDS)
            try:
                told = web.progress(backfill)
                web.check_daemon()
                heard = time.monotonic()
            except (ConnectionError, RuntimeError) as error:  # away, or its database is for a moment
                if time.monotonic() - heard > PATIENCE_SECONDS:
                    raise type(error)(f"{error}; then look at {_link(web, backfill)}") from None
    for name, run in told.failures.items():
        print(f"failed: {name}, {web.url}/runs/{run}", file=sys.stderr)
    left = sum(told.unmade.values())
    unmade = f"; failed or not run: {', '.join(f'{count} of {name}' for name, count in told.unmade.items())}"
    print(f"{title}: {told.targeted - left} of {told.targeted} partitions made{unmade if left else ''}", flush=True)
    if not told.succeeded and not told.failures:
        print(f"{title} ended as {told.status}: {told.error}", file=sys.stderr)
    return told


def _link(web: WebServer, backfill: str) -> str:
    return f"{web.url}/runs/b/{backfill}"


def register(where: Deployment, keys: Sequence[str]) -> list[str]:
    """Put snapshots, older ones too, into the pool; gives those that are new. Needs no web server."""
    crawl = open_crawl(where)
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        return register_snapshots(instance, crawl, list(keys))


def main() -> int:
    """Parse the command line and run it; 1 if something failed."""
    asked = _parser().parse_args()
    where = deployment()
    web = WebServer(f"http://127.0.0.1:{where.port}")
    try:
        if asked.what == "register":
            print(f"new in the pool: {', '.join(register(where, asked.keys)) or 'none, all were there'}")
            return 0
        if asked.what == "sweep":
            sets, models = asked.t or TRAINING_SETS, asked.model or where.models
            return 0 if launch_sweep(web, sets, models, wait=not asked.no_wait) else 1
        told = launch(web, snapshot_targets(web, asked.key), f"rerun of {asked.key}", wait=not asked.no_wait)
        return 0 if told is None or told.succeeded else 1
    except (ValueError, FileNotFoundError, ConnectionError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("What was launched goes on; stop it in the UI.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    sweep = commands.add_parser("sweep", help="train and score training sets, and report: from images to sweep")
    sweep.add_argument("--t", action="append", choices=TRAINING_SETS, help="one training set; may be repeated")
    sweep.add_argument("--model", action="append", choices=deployment().models, help="one model; may be repeated")
    snapshot = commands.add_parser("snapshot", help="make one snapshot again, and all that follows from it")
    snapshot.add_argument("key", help="a snapshot of the pool")
    for command in (sweep, snapshot):
        command.add_argument("--no-wait", action="store_true", help="launch it and leave")
    added = commands.add_parser("register", help="put snapshots into the pool, older ones too")
    added.add_argument("keys", nargs="+", metavar="KEY", help="an id of collinfo.json")
    return parser


if __name__ == "__main__":
    sys.exit(main())
