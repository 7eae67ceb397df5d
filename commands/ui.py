"""Serve Dagster and the deployment's reports on this machine's loopback."""

import argparse
import contextlib
import sys

from resources.deployments import deployment
from resources.instance import ui
from resources.reports.server import serve_reports
from resources.web.client import NO_CONTACT


def main(_: argparse.Namespace) -> int:
    """Serve until Ctrl-C; METACLIP_PORT moves Dagster and the reports from ports 3000 and 3001."""
    where = deployment()
    if where.images_from_web and not where.contact:
        print(f"metaclip ui: {NO_CONTACT}", file=sys.stderr, flush=True)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(serve_reports(where.reports, int(where.port) + 1))
        except (OSError, ValueError, OverflowError) as error:
            port = f"the port after {where.port}"
            print(f"reports are not served: {port} cannot be opened ({error})", file=sys.stderr, flush=True)
        return ui.serve("definitions.py", where.dagster_home, where.port)
