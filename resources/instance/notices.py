"""Send a notice of what happened to a webhook or a command."""

import http.client
import json
import shlex
import subprocess
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

SECONDS = 20.0


def notify(content: Mapping[str, Any], *, webhook: str = "", command: str = "") -> None:
    """Post the content as JSON to a webhook and hand it to a command's standard input, to whichever there is.

    Where one of them fails the other is still told. Raises RuntimeError, which names neither the webhook nor the
    command: whoever knows the address may post to it.
    """
    document = json.dumps(content).encode()
    failures = []
    for send, to in ((_post, webhook), (_run, command)):
        try:
            if to:
                send(to, document)
        except (ConnectionError, RuntimeError) as error:
            failures.append(str(error))
    if failures:
        raise RuntimeError("; ".join(failures))


def _run(command: str, document: bytes) -> None:
    try:
        run = subprocess.run(shlex.split(command), input=document, timeout=SECONDS, check=False)  # noqa: S603  # the owner's
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise RuntimeError(f"METACLIP_FAILURE_COMMAND cannot be run: {type(error).__name__}") from None
    if run.returncode:
        raise RuntimeError(f"METACLIP_FAILURE_COMMAND ended with {run.returncode}")


def _post(url: str, document: bytes) -> None:
    if not url.startswith(("http://", "https://")):
        raise ConnectionError("METACLIP_FAILURE_WEBHOOK is no address of the web")
    request = urllib.request.Request(url, document, {"Content-Type": "application/json"})  # noqa: S310  # checked above
    try:
        with urllib.request.urlopen(request, timeout=SECONDS):  # noqa: S310
            pass
    except urllib.error.HTTPError as error:
        raise ConnectionError(f"METACLIP_FAILURE_WEBHOOK answers {error.code}") from None
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectionError(f"METACLIP_FAILURE_WEBHOOK cannot be reached: {type(error).__name__}") from None
