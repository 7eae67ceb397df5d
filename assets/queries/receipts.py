"""Write a receipt for each request of the list of takedowns: what purges did for it, without what they removed."""

import hashlib
import hmac
import json
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metaclip_dagster.reporting.receipts.page import NOT_REMOVED, render_receipt
from resources.files.local import write_text
from resources.takedowns.journal import Journal
from resources.takedowns.listing import ListedLine


def describe_purge(journal: Journal) -> dict[str, dict[str, Any]]:
    """What the purge's journal says of each request for which anything went."""
    purges: dict[str, dict[str, Any]] = defaultdict(_begin_entry)
    for (part, *key), note in sorted(journal.notes.items()):
        for request, count in note.get("requests", {}).items():
            if part == "matched":
                purges[request]["matched"].append({"snapshot": key[0], **count})
            elif part == "tar":
                purges[request]["tars"].append({"tar": key[0], "images": count})
            elif part == "table":
                places = dict(zip(("table", "partition", "before"), key, strict=True))
                purges[request]["tables"].append({**places, "after": note["after"], "rows": count})
            elif part == "training":
                purges[request]["trainings"].append({"training": key[0], "pairs": count})
            elif part == "published":
                purges[request]["published"].append({"t": key[0], "pairs": count})
    return purges


def write_receipts(folder: Path, lines: Iterable[ListedLine], journal: Journal) -> list[Path]:
    """Add the purge to the receipt of each request, as HTML and JSON; gives the pages that were written.

    A receipt that is there is added to where anything went, or the request has other lines than at the purge before.
    Adding the same purge again, as one that was killed here does, changes nothing.
    """
    by_request: dict[str, list[ListedLine]] = defaultdict(list)
    for line in lines:
        if line.request:
            by_request[line.request].append(line)
    purges, pages = describe_purge(journal), []
    attempts = sorted(key[0] for part, *key in journal.notes if part == "attempt")
    began = attempts[0]
    whole = {
        "began": began,
        "ended": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "attempts": len(attempts),
        "runs_forgotten": sum(part == "run" for part, *_ in journal.notes),
        "reports_deleted": sorted(key[0] for part, *key in journal.notes if part == "report"),
        "trainings_unknown": _list_unknown(journal),
    }
    for request in sorted(by_request.keys() | purges.keys()):
        named = dict(Counter(line.kind for line in by_request[request]))
        receipt = _read_receipt(folder, request)
        before = [purge for purge in receipt["purges"] if purge["began"] != began]
        if before and request not in purges and before[-1]["named"] == named:
            continue
        digests = _digest_lines(folder / f"{request}.key", by_request[request])
        receipt["purges"] = [
            *before,
            {**whole, "named": named, "lines": digests, **purges.get(request, _begin_entry())},
        ]
        document = json.dumps(receipt, indent=1)
        write_text(folder / f"{request}.html", render_receipt(receipt))
        write_text(folder / f"{request}.json", document)
        pages.append(folder / f"{request}.html")
    return pages


def _read_receipt(folder: Path, request: str) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / f"{request}.json").read_text("utf-8")))
    except FileNotFoundError:
        return {"request": request, "purges": [], "not_removed": NOT_REMOVED}


def _digest_lines(key_file: Path, lines: Iterable[ListedLine]) -> list[dict[str, str]]:
    """The kind of each line, and a digest by which only those who have the request's key can tell which it is.

    Without a key anybody who guesses a URL could find it in the receipt.
    """
    if not key_file.exists():
        write_text(key_file, secrets.token_hex(16))
        key_file.chmod(0o600)
    key = key_file.read_bytes()
    digests = ((line.kind, hmac.new(key, f"{line.kind} {line.value}".encode(), hashlib.sha256)) for line in lines)
    return sorted(({"kind": kind, "hmac_sha256": digest.hexdigest()} for kind, digest in digests), key=str)


def _list_unknown(journal: Journal) -> list[str]:
    """Trainings whose sets are gone, unless the purge had counted one before it was killed."""
    trainings: Mapping[str, set[str]] = defaultdict(set)
    for part, *key in journal.notes:
        if part == "training":
            trainings[key[0]].add(key[1])
    return sorted(name for name, known in trainings.items() if "counted" not in known)


def _begin_entry() -> dict[str, Any]:
    return {name: [] for name in ("matched", "tables", "tars", "published", "trainings")}
