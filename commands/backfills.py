"""Launch a backfill through a running web server, and follow it to its end."""

import sys
import time
from collections.abc import Mapping, Sequence

from tqdm import tqdm

from resources.deployments import deployment
from resources.instance.graphql import Progress, WebServer

POLL_SECONDS = 2.0
PATIENCE_SECONDS = 60.0
"""How long a web server or daemon may be away before nobody waits for it any more."""

Targets = Mapping[str, Sequence[str] | None]
"""Partitions by asset; None is an asset without partitions, or all of one's."""


def find_web_server() -> WebServer:
    """The web server of `metaclip ui` in this deployment, whether it answers or not."""
    return WebServer(f"http://127.0.0.1:{deployment().port}")


def launch(web: WebServer, targets: Targets, title: str, *, wait: bool) -> Progress | None:
    """Launch a backfill and, where it is to be waited for, show it to its end and give how it ended."""
    web.check_daemon()
    backfill = web.launch(targets, title)
    print(f"{title}: {_link(web, backfill)}", flush=True)
    return follow(web, backfill, title) if wait else None


def follow(web: WebServer, backfill: str, title: str) -> Progress:
    """Show a backfill until it ends, and print what failed with the run to look at.

    Raises the last error, with the link, when web server or daemon give no answer for longer than a minute.
    """
    progress, last_answer = web.progress(backfill), time.monotonic()
    with tqdm(total=progress.targeted, desc=title, unit="partition", disable=None) as bar:
        while True:
            bar.total, bar.n = progress.targeted, progress.targeted - sum(progress.unmade.values())
            bar.set_postfix(failed_runs=len(progress.failures))
            if progress.ended:
                break
            time.sleep(POLL_SECONDS)
            try:
                progress = web.progress(backfill)
                web.check_daemon()
                last_answer = time.monotonic()
            except (ConnectionError, RuntimeError) as error:  # away, or its database is for a moment
                if time.monotonic() - last_answer > PATIENCE_SECONDS:
                    raise type(error)(f"{error}; then look at {_link(web, backfill)}") from None
    for name, run in progress.failures.items():
        print(f"failed: {name}, {web.url}/runs/{run}", file=sys.stderr)
    num_unmade = sum(progress.unmade.values())
    unmade = f"; failed or not run: {', '.join(f'{count} of {name}' for name, count in progress.unmade.items())}"
    print(
        f"{title}: {progress.targeted - num_unmade} of {progress.targeted} partitions made"
        f"{unmade if num_unmade else ''}",
        flush=True,
    )
    if not progress.succeeded and not progress.failures:
        print(f"{title} ended as {progress.status}: {progress.error}", file=sys.stderr)
    return progress


def _link(web: WebServer, backfill: str) -> str:
    return f"{web.url}/runs/b/{backfill}"
