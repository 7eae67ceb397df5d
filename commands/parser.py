"""Build the command line's parser from the verbs, with help in groups."""

import argparse
from typing import Any, NoReturn

from commands.verbs import GROUPS, Verb

PROGRAM = "metaclip"
DESCRIPTION = "CLIP training data from Common Crawl, balanced by metadata: what is done and asked from a terminal."


class Parser(argparse.ArgumentParser):
    """A command line that fails as all commands do: with a message on standard error and exit code 1."""

    overview: str = ""

    def format_help(self) -> str:
        """Help in groups for the command itself, argparse's for its verbs."""
        return self.overview or super().format_help()

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where help is, and exit with 1."""
        self.exit(1, f"{self.prog}: {message}; `{self.prog} --help` says what it takes\n")


def build_parser() -> Parser:
    """The parser of all verbs: `verb` and `part` say what was asked, `stopped` what Ctrl-C leaves."""
    parser = Parser(prog=PROGRAM, usage=f"{PROGRAM} VERB ...", description=DESCRIPTION)
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, prog=PROGRAM)
    for group in GROUPS.values():
        for name, verb in group.items():
            _add_verb(verbs, name, verb)
    parser.overview = _overview()
    return parser


def _add_verb(verbs: Any, name: str, verb: Verb) -> None:  # argparse names no type for it
    example = f"example: {PROGRAM} {verb.example}" if verb.example else None
    parser = verbs.add_parser(
        name,
        help=verb.does,
        description=f"{verb.does[:1].upper()}{verb.does[1:]}.",
        epilog=example,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(stopped=verb.stopped)
    for names, options in verb.arguments:
        parser.add_argument(*names, **options)
    if verb.parts:
        parts = parser.add_subparsers(dest="part", metavar="WHAT", required=True)
        for part, said in verb.parts.items():
            _add_verb(parts, part, said)


def _overview() -> str:
    width = max(len(name) for group in GROUPS.values() for name in group)
    lines = [f"usage: {PROGRAM} VERB ...", "", DESCRIPTION]
    for title, group in GROUPS.items():
        lines += ["", f"{title}:", *(f"  {name:{width}}  {verb.does}" for name, verb in group.items())]
    return "\n".join([*lines, "", f"`{PROGRAM} VERB --help` says what a verb takes, with an example.", ""])
