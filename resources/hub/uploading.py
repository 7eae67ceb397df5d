"""Upload a folder as it stands to a repository of the Hub, and say in one line what stands in the way."""

import os
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

SCHEME = "hub:"
TRIES = 3
CONFLICTS = {409, 412}
_FOR_NOW = {*CONFLICTS, 429, 500, 502, 503, 504}
"""What the Hub answers that may pass."""


def parse_target(text: str) -> str:
    """The repository of `hub:ORG/NAME`; raises ValueError for what is written otherwise."""
    repository = text.removeprefix(SCHEME)
    if repository == text or not re.fullmatch(r"[\w.\-]+/[\w.\-]+", repository, re.ASCII):
        raise ValueError(f"{text!r} is no place to upload to: write {SCHEME}ORG/NAME")
    return repository


def upload_folder(
    folder: Path,
    repository: str,
    *,
    kind: Literal["dataset", "model"],
    private: bool = False,
    replaced: Sequence[str] = (),
    wait_seconds: float = 5.0,
) -> str:
    """Make the repository if it is not there and bring it to what the folder holds; gives one line about it.

    Files that the Hub has already are not sent again, so that a cut upload goes on where it was. Files of the
    repository that match `replaced` and are not in the folder are deleted from its head, not from its history. The
    token is that of HF_TOKEN or `hf auth login`. Raises RuntimeError, in one line and without the token, for whatever
    the Hub or the network does not allow; what may pass is tried again.
    """
    import huggingface_hub  # noqa: PLC0415  # slow to import
    from huggingface_hub.utils.tqdm import disable_progress_bars  # noqa: PLC0415

    huggingface_hub.logging.set_verbosity_error()  # type: ignore[no-untyped-call]  # it has no types
    if not sys.stderr.isatty():
        disable_progress_bars()
    endpoint = os.environ.get("HF_ENDPOINT") or huggingface_hub.constants.ENDPOINT
    api = huggingface_hub.HfApi(endpoint=endpoint, library_name="metaclip_dagster")
    for attempt in range(1, TRIES + 1):
        try:
            api.create_repo(repository, repo_type=kind, private=private or None, exist_ok=True)
            before = api.repo_info(repository, repo_type=kind).sha
            commit = api.upload_folder(
                repo_id=repository,
                folder_path=folder,
                repo_type=kind,
                commit_message=f"Publish {folder.name}",
                delete_patterns=[*replaced] or None,
            )
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a panic of hf_xet's Rust is no Exception
            status = _find_status(error)
            if attempt == TRIES or (status not in _FOR_NOW and not _is_cut(error)):
                raise RuntimeError(_explain(error, status, repository, endpoint)) from error
            time.sleep(wait_seconds * attempt)
        else:
            address = f"{endpoint}/{'datasets/' if kind == 'dataset' else ''}{repository}"
            return f"{'nothing has changed' if commit.oid == before else 'uploaded'}: {address}"
    raise AssertionError("the last try returns or raises")


def _find_status(error: BaseException | None) -> int | None:
    """The Hub's answer, which may stand behind an error of a thread that uploaded a file."""
    while error is not None:
        if (response := getattr(error, "response", None)) is not None:
            return int(response.status_code)
        error = error.__cause__
    return None


def _is_cut(error: BaseException | None) -> bool:
    """Whether a connection did not come about, or broke."""
    import httpx2  # noqa: PLC0415  # what huggingface_hub asks with

    while error is not None:
        if isinstance(error, httpx2.TransportError | ConnectionError):
            return True
        error = error.__cause__
    return False


def _explain(error: BaseException, status: int | None, repository: str, endpoint: str) -> str:
    """One line: what stands in the way, and the way out."""
    address = urlsplit(endpoint)
    host = f"{address.hostname}:{address.port}" if address.port else str(address.hostname)
    known = {
        401: f"{host} knows nobody by this token, or there is none: log in with `hf auth login`, or set HF_TOKEN",
        403: f"the token may not write to {repository}: make one that may, in the settings of {host}",
        404: f"{repository} is not at {host}, or the token may not see it",
        429: f"{host} takes no more requests for now: wait, then upload again; it goes on where it was",
        **dict.fromkeys(
            CONFLICTS, f"somebody else changed {repository} at the same time, {TRIES} times: look at it, then try again"
        ),
    }
    if status is not None:
        return known.get(status) or f"{host} answered {status} for {repository}: {_shorten(error)}"
    if _is_cut(error):
        return f"{host} does not answer, or broke off ({_shorten(error)}): upload again; it goes on where it was"
    return f"{repository} was not uploaded: {_shorten(error)}"


def _shorten(error: BaseException) -> str:
    """The words of the error at the root in one line, without addresses, which may be signed."""
    while error.__cause__ is not None and getattr(error, "server_message", None) is None:
        error = error.__cause__
    says = getattr(error, "server_message", None) or f"{type(error).__name__}: {error}"
    return re.sub(r"https?://\S+", "...", " ".join(says.split()))[:300]
