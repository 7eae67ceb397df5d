"""Check a name on the command line against the names that the deployment has."""

from collections.abc import Sequence


def check_choice(name: str, choices: Sequence[str], kind: str) -> str:
    """The name as it is; raises ValueError, which lists the choices, where the deployment has no such thing.

    >>> check_choice("20", ["20", "inf"], "t")
    '20'
    """
    if name not in choices:
        raise ValueError(f"{name!r} is no {kind} of this deployment, which has {', '.join(choices)}")
    return name
