"""Print docs/commands.md from the parser: every command with its arguments and an example."""

from collections.abc import Iterator

from commands.parser import DESCRIPTION, PROGRAM
from commands.verbs import GROUPS, Verb

HEAD = f"""# Commands

{DESCRIPTION}
`. .venv/bin/activate` in the checkout puts `{PROGRAM}` on the path; `.venv/bin/{PROGRAM}` and
`.venv/bin/python -m metaclip_dagster` are the same, from any folder. [Operations](operations.md) says when to use each.

What cannot be done is said in a line on standard error, with the way out; the exit code is 1, after Ctrl-C 130.

This page is printed by `.venv/bin/python -m commands.reference`; a test holds it to the parser.
"""


def render_reference() -> str:
    """The page as Markdown."""
    sections = [HEAD]
    for title, verbs in GROUPS.items():
        sections += [
            f"## {title}\n",
            *(_describe(*leaf) for name, verb in verbs.items() for leaf in _leaves(name, verb)),
        ]
    return "\n".join(sections)


def _leaves(name: str, verb: Verb) -> Iterator[tuple[str, Verb]]:
    if not verb.parts:
        yield name, verb
    for part, leaf in verb.parts.items():
        yield from _leaves(f"{name} {part}", leaf)


def _describe(name: str, verb: Verb) -> str:
    arguments = [f"- `{_spell(names, options)}`: {options['help']}" for names, options in verb.arguments]
    says = f"{verb.does[:1].upper()}{verb.does[1:]}."
    example = f"    {PROGRAM} {verb.example}"
    return "\n".join([f"### {PROGRAM} {name}", "", says, "", example, "", *([*arguments, ""] if arguments else [])])


def _spell(names: tuple[str, ...], options: dict[str, object]) -> str:
    metavar = "" if options.get("action") == "store_true" else str(options.get("metavar", ""))
    repeated = " ..." if options.get("nargs") == "+" or options.get("action") == "append" else ""
    return f"{names[0]} {metavar}{repeated}".strip() if names[0].startswith("-") else f"{metavar}{repeated}"


if __name__ == "__main__":
    print(render_reference(), end="")
