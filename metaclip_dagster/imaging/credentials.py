"""Read out of an image's C2PA manifest whether it may be trained on, in a process that may die of it."""

import io
import json
import subprocess
import sys

SIGNAL = "c2pa_training_mining"
MAX_SECONDS = 20.0


class CredentialsError(Exception):
    """The image's manifest cannot be read."""


def read_training_mining(data: bytes) -> str | None:
    """What an image's own manifest disallows (CAWG training and data mining 1.1), as `cawg.ai_training: notAllowed`.

    Only an image that holds the assertion's name is looked at: others cost a search through their bytes. Nothing is
    fetched, so a manifest that lies elsewhere is not seen, nor one that is compressed. The signature is not judged: a
    no need not be proven. c2pa's native code runs in a process of its own, for it may end it.

    Raises:
        CredentialsError: it cannot be read, or not within 20 seconds.

    """
    if _ASSERTION not in data:
        return None
    command = [sys.executable, "-P", __file__]  # alone, which starts in a tenth of the time that the package takes
    try:
        answer = subprocess.run(command, input=data, capture_output=True, timeout=MAX_SECONDS, check=True)  # noqa: S603
        entries = json.loads(answer.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        raise CredentialsError(str(error)) from None
    return ", ".join(f"{name}: {use}" for name, use in entries if use in _NO and name.endswith(_USES)) or None


_ASSERTION = b"training-mining"
_LABELS = ("cawg.training-mining", "c2pa.training-mining")
_USES = (".ai_training", ".ai_generative_training", ".data_mining")
"""Entries that training CLIP falls under, of either vocabulary."""
_NO = ("notAllowed", "constrained")
"""What is constrained has to be asked for."""
_MAX_MEMORY = 2 << 30
_OFFLINE = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_trust": False}}


def _main() -> None:
    """Print the entries of the active manifest of the image on standard input, each with its use."""
    import resource  # noqa: PLC0415  # these are the child's alone

    import c2pa  # noqa: PLC0415

    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    image = io.BytesIO(sys.stdin.buffer.read())
    with c2pa.Reader(None, image, context=c2pa.Context.from_dict(_OFFLINE)) as reader:
        manifest = reader.get_active_manifest() or {}
    entries = [
        (str(name), str(entry.get("use")))
        for assertion in manifest.get("assertions", [])
        if str(assertion.get("label", "")).startswith(_LABELS)
        for name, entry in assertion["data"]["entries"].items()
    ]
    sys.stdout.write(json.dumps(entries))


if __name__ == "__main__":
    _main()
