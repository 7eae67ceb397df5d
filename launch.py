"""The front door for whole plans: a sweep over t, a new rung, a snapshot all the way downstream, who is in the pool."""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence

import dagster as dg
from tqdm import tqdm

from assets.partitions import THRESHOLDS, TRAINING_SETS, Cell, register_snapshots, rings_up_to
from assets.provenance import find_outdated
from assets.waiting import drop_snapshots
from metaclip_dagster.balancing import parse_threshold
from resources.crawl.resource import open_crawl
from resources.deployments import Deployment, deployment
from resources.instance.graphql import Progress, WebServer
from resources.lake.resource import Lake, open_lake

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


def check_subsets(web: WebServer, training_sets: Sequence[str]) -> None:
    """Raise ValueError, naming the command, unless every ring of images that the sets need has its subset."""
    _, made = web.partitions("subsets")
    if missing := [t for t in sweep_targets(training_sets, [])["images"] or () if t not in made]:
        commands = "; ".join(f"`.venv/bin/python launch.py rung {t}`" for t in missing)
        raise ValueError(f"t = {', '.join(missing)} has no subset yet; {commands} makes it")


def rung_targets(web: WebServer, t: str) -> Targets:
    """The partitions that a new rung adds or changes: its subset and card, its ring of images and the one above.

    The ring above begins at the new rung from now on. Rings that nobody has asked for yet are left to the sweep.
    Raises ValueError for what is no rung, saying how it becomes one.
    """
    if t not in THRESHOLDS:
        rungs = ",".join(sorted({t, *THRESHOLDS}, key=parse_threshold))
        raise ValueError(
            f"t = {t} is no rung of this deployment, which has {', '.join(THRESHOLDS)}: "
            f"set METACLIP_THRESHOLDS={rungs}, start `make ui` again with it, "
            f"then `.venv/bin/python launch.py rung {t}`"
        )
    registered, made = web.partitions("subsets")
    if t not in registered:
        raise ValueError(f"{web.url} was started without the rung {t}; start `make ui` again")
    _, fetched = web.partitions("images")
    above = THRESHOLDS[THRESHOLDS.index(t) + 1 :]
    # The next one up may be a new rung too, whose own command comes later.
    images = [t, *(ring for ring in above[:1] if ring in made)] if any(ring in fetched for ring in above) else []
    return {"subsets": [t], "data_cards": [t], **({"images": images} if images else {})}


def launch_rung(web: WebServer, lake: Lake, t: str, *, wait: bool) -> bool:
    """Make a new rung, then print what is outdated by it; gives whether nothing failed."""
    progress = launch(web, rung_targets(web, t), f"rung t = {t}", wait=wait)
    if progress:
        print_outdated(lake)
    return progress is None or progress.succeeded


def print_outdated(lake: Lake) -> None:
    """A line for each partition that is made of what is no longer there, and how it is made again."""
    outdated = {asset: reasons for asset, reasons in find_outdated(lake).items() if reasons}
    for asset, reasons in outdated.items():
        for key, why in reasons.items():
            print(f"outdated: {asset} of {key}: {why}")
    sets, models = outdated.get("training_sets", {}), {Cell.of(key).model for key in outdated.get("checkpoints", {})}
    if sets and models:
        options = " ".join([*(f"--t {key}" for key in sets), *(f"--model {model}" for model in sorted(models))])
        print(
            f"`.venv/bin/python launch.py sweep {options}` makes the training sets again, and what is trained on them"
        )
    elif sets:
        print(f"materialize training_sets of {', '.join(sets)} again")


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
    check_subsets(web, training_sets)
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


def drop(where: Deployment, keys: Sequence[str]) -> list[str]:
    """Take snapshots out of the pool; gives those whose pairs it still holds. Needs no web server."""
    with dg.DagsterInstance.from_config(str(where.dagster_home)) as instance:
        return drop_snapshots(instance, open_lake(where), list(keys))


def main() -> int:
    """Parse the command line and run it; 1 if something failed."""
    asked = _parser().parse_args()
    try:
        return 0 if _run(asked) else 1
    except (ValueError, FileNotFoundError, ConnectionError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("What was launched goes on; stop it in the UI.", file=sys.stderr)
        return 130


def _run(asked: argparse.Namespace) -> bool:
    """Do what was asked; gives whether nothing failed."""
    where = deployment()
    web = WebServer(f"http://127.0.0.1:{where.port}")
    if asked.what == "register":
        print(f"new in the pool: {', '.join(register(where, asked.keys)) or 'none, all were there'}")
        return True
    if asked.what == "drop":
        held = drop(where, asked.keys)
        print(f"no longer in the pool: {', '.join(asked.keys)}; their tables stay")
        if held:
            print(f"subsets still hold pairs of {', '.join(held)} until exclusions and all below it are made again")
        return True
    if asked.what == "rung":
        return launch_rung(web, open_lake(where), asked.t, wait=not asked.no_wait)
    if asked.what == "sweep":
        sets, models = asked.t or TRAINING_SETS, asked.model or where.models
        return launch_sweep(web, sets, models, wait=not asked.no_wait)
    told = launch(web, snapshot_targets(web, asked.key), f"rerun of {asked.key}", wait=not asked.no_wait)
    return told is None or told.succeeded


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="what", required=True)
    sweep = commands.add_parser("sweep", help="train and score training sets, and report: from images to sweep")
    sweep.add_argument("--t", action="append", choices=TRAINING_SETS, help="one training set; may be repeated")
    sweep.add_argument("--model", action="append", choices=deployment().models, help="one model; may be repeated")
    snapshot = commands.add_parser("snapshot", help="make one snapshot again, and all that follows from it")
    snapshot.add_argument("key", help="a snapshot of the pool")
    rung = commands.add_parser("rung", help="make a rung that was added to the deployment's thresholds")
    rung.add_argument("t", help="a t of the deployment, as in METACLIP_THRESHOLDS")
    for command in (sweep, snapshot, rung):
        command.add_argument("--no-wait", action="store_true", help="launch it and leave")
    added = commands.add_parser("register", help="put snapshots into the pool, older ones too")
    added.add_argument("keys", nargs="+", metavar="KEY", help="an id of collinfo.json")
    dropped = commands.add_parser("drop", help="take snapshots out of the pool, wrong keys too; their tables stay")
    dropped.add_argument("keys", nargs="+", metavar="KEY", help="a key of the pool")
    return parser


if __name__ == "__main__":
    sys.exit(main())
