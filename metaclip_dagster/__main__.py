"""Run the command `metaclip`, where this package lies in a checkout of the project."""

import importlib
import importlib.util
import sys

WITHOUT_CHECKOUT = (
    "metaclip: the command works in a checkout of the project, and this environment has the package alone: clone the "
    "project, then `make .venv/.ready` and `.venv/bin/metaclip`"
)


def main() -> int:
    """Run the verb that the command line names; gives the exit code, 1 where the checkout is missing."""
    if importlib.util.find_spec("commands") is None or importlib.util.find_spec("commands.parser") is None:
        print(WITHOUT_CHECKOUT, file=sys.stderr)  # noqa: T201
        return 1
    exit_code: int = importlib.import_module("commands.__main__").main()
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
