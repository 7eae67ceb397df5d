"""Add a request to the list of takedowns, all of it or nothing, and say what is to be run next."""

import argparse
from collections.abc import Iterable
from pathlib import Path

from metaclip_dagster.deduplicating.takedowns import read_value
from resources.deployments import Deployment, deployment
from resources.takedowns.intake import Added, RequestedLine, add_request, read_request
from resources.takedowns.listing import check_id
from resources.takedowns.resource import TakedownList

MOST_NAMED = 20


def main(asked: argparse.Namespace) -> None:
    """Add the file's lines; raises ValueError naming those that are bad."""
    where = deployment()
    lines, added = take_in(where, asked.file, asked.id or "")
    print(describe(where, lines, added))


def take_in(where: Deployment, file: Path, request: str = "") -> tuple[list[RequestedLine], Added]:
    """Add the lines of a file to the deployment's list under this id, or a new one; gives them and what became of them.

    Raises ValueError where a line or the id is bad, naming every line up to MOST_NAMED; nothing is added then.
    """
    if request:
        check_id(request, "--id")
    TakedownList(path=str(where.takedowns), named=bool(where.takedown_list)).lines()
    lines, problems = read_request(str(file))
    problems += _find_problems(lines)
    if problems:
        problems.sort(key=lambda problem: int(problem.removeprefix(f"{file}:").partition(":")[0]))
        num_more = len(problems) - MOST_NAMED
        more = [f"and {num_more:,} more"] if num_more > 0 else []
        raise ValueError(
            "\n".join([f"{len(problems):,} bad lines, so nothing was added", *problems[:MOST_NAMED], *more])
        )
    if request and (inside := [line.where for line in lines if line.value.lower() in request.lower()]):
        raise ValueError(f"--id {request}: it has the value of {inside[0]} in it, and receipts show it: choose another")
    used = [path.stem for path in (where.reports / "takedowns").glob("*.json")]
    return lines, add_request(where.takedowns, lines, request, used)


def describe(where: Deployment, lines: Iterable[RequestedLine], added: Added) -> str:
    """What was added, and what to do next, as lines of text."""
    urls = {line.value for line in lines if line.kind == "url"}
    one_scheme = sum(not urls & {f"http://{rest}", f"https://{rest}"} - {url} for url in urls for rest in [_cut(url)])
    receipt = where.reports / "takedowns" / f"{added.request}.html"
    said = [f"request {added.request}: {added.lines:,} lines added to {where.takedowns}"]
    if added.already:
        said.append(f"{added.already:,} lines were listed for it already")
    if added.elsewhere:
        said.append(f"{added.elsewhere:,} of them are listed by other lines too; each request has a receipt of its own")
    if one_scheme:
        said.append(f"{one_scheme:,} URLs are listed with http:// or https:// alone: these are two addresses")
    return "\n".join(
        [
            *said,
            "next:",
            "  metaclip purge --dry-run   says what would go",
            f"  metaclip purge             deletes it, with no run in progress, and writes {receipt}",
            "  and materialize exclusions and what follows from them, before or after: docs/operations/rights.md",
        ]
    )


def _find_problems(lines: Iterable[RequestedLine]) -> list[str]:
    problems = []
    for line in lines:
        try:
            read_value(line.where, line.kind, line.value)
        except ValueError as error:
            problems.append(str(error))
    return problems


def _cut(url: str) -> str:
    return url.partition("://")[2]
