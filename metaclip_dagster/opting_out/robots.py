"""Answer by a host's robots.txt which agents may fetch a path, and whether it may be trained on."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import quote

from protego import Protego

from metaclip_dagster.signals import read_content_usage

ANYBODY = "*"
MAX_WILDCARD_RULES = 1000
"""Of a group: each costs a search through every URL."""
MAX_WILDCARDS = 100
"""Of one rule."""


class RobotsTxt:
    """The rules of RFC 9309, section 2.2, that some agents are held to: groups are chosen here, Protego matches paths.

    Protego itself takes `User-agent: Google` for Google-Extended, and ends a group at lines that it does not know.
    `seen` counts `rules_left_out`: wildcard rules beyond the bounds, with which a robots.txt would hold up its readers.
    """

    def __init__(self, text: str, agents: Sequence[str], seen: Counter[str]) -> None:
        tokens = dict.fromkeys(agent.lower() for agent in (*agents, ANYBODY))
        groups = _read_groups(text, tokens, seen)
        chosen = dict.fromkeys(token if token in groups else ANYBODY for token in map(str.lower, agents))
        compiled = {lines: _compile(lines) for token in chosen for lines in _list_lines(groups.get(token, []))}
        rules = {token: [compiled[lines] for lines in _list_lines(groups.get(token, []))] for token in chosen}
        self._access = {token: access for token, (access, _) in rules.items()}
        self._usage = {token: usage for token, (_, usage) in rules.items()}

    def list_disallowed(self, path: str) -> list[str]:
        """The groups, `*` among them, that bind one of the agents and keep it from the path; in the agents' order."""
        return [token for token, rules in self._access.items() if not _allows(rules, path)]

    def list_unusable(self, path: str) -> list[str]:
        """The groups whose Content-Usage disallows training on the path (draft-ietf-aipref-attach)."""
        return [token for token, rules in self._usage.items() if not _allows(rules, path)]


def compile_disallow(pattern: str) -> Protego | None:
    """The rule that disallows one pattern; None for one beyond the bounds, or with a newline or half a character."""
    is_rule = pattern.isprintable() and pattern.count("*") <= MAX_WILDCARDS
    return _compile((f"Disallow: {_spell(pattern)}",)) if is_rule else None


def _allows(rules: Protego | None, path: str) -> bool:
    # With a host, or a path that begins with // would be read as one.
    return rules is None or rules.can_fetch(f"http://h{path}", ANYBODY)


Group = list[tuple[str, str]]
"""Field in lower case, and value, of each rule."""

_NEWLINE = re.compile(r"\r\n|\r|\n")
_TOKEN = re.compile(r"[a-z0-9_-]+")
"""RFC 9309 knows no digits; img2dataset and others have them all the same."""
_RULE = ("allow", "dis", "dia", "content-usage")
"""How fields of rules begin; Protego reads five misspellings of disallow."""
_BREAKS = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
"""Where Protego would end a line, and RFC 9309 does not."""


def _read_groups(text: str, tokens: dict[str, None], seen: Counter[str]) -> dict[str, Group]:
    """The rules of each of these agents that has a group, those of several groups put together."""
    groups: dict[str, Group] = {}
    num_wildcards: Counter[str] = Counter()
    current: list[str] = []
    in_rules = False
    for line in _NEWLINE.split(text):
        field, colon, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        field = field.lower()
        if field in {"user-agent", "useragent"}:
            current, in_rules = ([] if in_rules else current), False
            name = _TOKEN.match(value.lower())
            token = ANYBODY if value.split()[:1] == [ANYBODY] else name[0] if name else ""
            if token in tokens and token not in current:
                current.append(token)
                groups.setdefault(token, [])
        elif colon and field.startswith(_RULE):
            in_rules = True
            if "*" in value or "$" in value:
                num_wildcards.update(current)
                beyond = [token for token in current if num_wildcards[token] > MAX_WILDCARD_RULES]
                if beyond or value.count("*") > MAX_WILDCARDS:
                    seen["rules_left_out"] += bool(current)
                    continue
            for token in current:
                groups[token].append((field, value))
    return groups


def _list_lines(group: Group) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What Protego is to read of a group: its rules on access, and its lines of Content-Usage as such rules."""
    return _list_access(group), _list_usage(group)


def _list_access(group: Group) -> tuple[str, ...]:
    return tuple(f"{field}: {_spell(value)}" for field, value in group if value and field != "content-usage")


def _list_usage(group: Group) -> tuple[str, ...]:
    """Lines of Content-Usage as rules on access: of several for one path, one that disallows is enough."""
    is_disallowed: dict[str, bool] = {}
    for path, usage in _split_usages(group):
        is_disallowed[path] = is_disallowed.get(path, False) or read_content_usage(usage)
    return tuple(f"{'Disallow' if no else 'Allow'}: {_spell(path)}" for path, no in is_disallowed.items())


def _split_usages(group: Group) -> Iterator[tuple[str, str]]:
    for field, value in group:
        if field == "content-usage":
            path, _, usage = value.partition(" ") if value.startswith("/") else ("/", "", value)
            yield path, usage.strip()


def _spell(pattern: str) -> str:
    return _BREAKS.sub(lambda match: quote(match[0]), pattern)


def _compile(lines: tuple[str, ...]) -> Protego | None:
    return Protego.parse("\n".join([f"User-agent: {ANYBODY}", *lines])) if lines else None
