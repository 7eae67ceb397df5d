"""Make a snapshot again, and everything that follows from it, down to the data cards and the what-if page."""

import argparse

from commands.backfills import Targets, find_web_server, launch
from resources.instance.graphql import WebServer


def main(asked: argparse.Namespace) -> int:
    """Launch the rerun; 1 if something failed."""
    web = find_web_server()
    progress = launch(web, snapshot_targets(web, asked.key), f"rerun of {asked.key}", wait=not asked.no_wait)
    return 0 if progress is None or progress.succeeded else 1


def snapshot_targets(web: WebServer, snapshot: str) -> Targets:
    """The partitions that a snapshot's rerun moves: its own, and all of what is counted over the whole pool.

    Raises ValueError for a snapshot that is not registered, with the command that does it.
    """
    registered, with_matches = web.partitions("matches")
    _, with_robots = web.partitions("robots_txt")
    if snapshot not in registered:
        raise ValueError(f"{snapshot} is not in the pool; `metaclip register {snapshot}` puts it there")
    return {
        "pairs": [snapshot],
        # Tens of thousands of archives, which not everybody wants read.
        **({"robots_txt": [snapshot]} if snapshot in with_robots else {}),
        "matches": [snapshot],
        "opt_out_signals": [snapshot],
        "exclusions": None,
        "entry_counts": None,
        # One that is registered and not made yet would fail here, and take every subset with it.
        "admissions": [key for key in registered if key == snapshot or key in with_matches],
        "subsets": None,
        "data_cards": None,
        "what_if": None,
    }
