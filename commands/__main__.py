"""Run the verb that was typed after `metaclip`, with one way to fail for all verbs."""

import importlib
import sys
from collections.abc import Sequence

from commands.parser import build_parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that these arguments name, or those of the process; gives the exit code.

    Whatever stands in the way is a message on standard error and 1. Ctrl-C is 130, as shells have it.
    """
    try:
        asked = build_parser().parse_args((sys.argv[1:] if arguments is None else arguments) or ["--help"])
    except SystemExit as ended:  # argparse has printed help, or what is wrong
        return int(ended.code or 0)
    name = f"metaclip {asked.verb}"
    try:
        # Imported only now, for help must not wait for Dagster and torch.
        return importlib.import_module(f"commands.{asked.verb}").main(asked) or 0
    except ModuleNotFoundError as error:
        message = f"{error}: `make .venv/.ready` in the checkout installs all that is needed"
    except (OSError, RuntimeError, ValueError) as error:
        message = str(error) or type(error).__name__
    except KeyboardInterrupt:
        print(f"{name}: stopped; {asked.stopped}", file=sys.stderr)
        return 130
    print(f"{name}: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
