"""A robots.txt means what RFC 9309 says, and none of them holds up its readers."""

import random
import re
import time
from collections import Counter
from urllib.parse import quote

import pytest

from metaclip_dagster.opting_out.robots import MAX_WILDCARD_RULES, RobotsTxt

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]")


def normalise(path: str, safe: str = "/?&=*$%") -> str:
    """Section 2.2.2: octets outside of ASCII as escapes, escapes of unreserved characters as these, in capitals."""

    def unescape(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return character if UNRESERVED.fullmatch(character) else match[0].upper()

    return re.sub("%([0-9A-Fa-f]{2})", unescape, quote(path, safe=safe))


def fits(pattern: str, path: str) -> bool:
    """Whether a path begins as the pattern says; `*` is anything, a last `$` the path's end. Slow, to the letter."""
    if not pattern:
        return True
    if pattern == "$":
        return not path
    if pattern[0] == "*":
        return any(fits(pattern[1:], path[at:]) for at in range(len(path) + 1))
    return path[:1] == pattern[0] and fits(pattern[1:], path[1:])


def is_allowed(text: str, agent: str, path: str) -> bool:
    """Section 2.2, in so many words: the agent's groups or else those of `*`, then the longest rule, allow at a tie."""
    groups: list[tuple[set[str], list[tuple[bool, str]]]] = []
    for line in text.split("\n"):
        field, _, value = (part.strip() for part in line.partition("#")[0].partition(":"))
        if field.lower() == "user-agent":
            if not groups or groups[-1][1]:
                groups.append((set(), []))
            groups[-1][0].add(value.lower())
        elif field.lower() in {"allow", "disallow"} and groups:
            groups[-1][1].append((field.lower() == "allow", normalise(value)))
    of_agent = [rules for names, rules in groups if agent.lower() in names]
    chosen = of_agent if any(agent.lower() in names for names, _ in groups) else [r for n, r in groups if "*" in n]
    fitting = [(len(p), allows) for rules in chosen for allows, p in rules if p and fits(p, normalise(path))]
    return max(fitting)[1] if fitting else True


AGENTS = ["CCBot", "GPTBot", "Google-Extended", "Google", "anthropic-ai", "*"]
PIECES = ["/", "a", "b", "ab", "/a/", "*", ".png", "%61", "%7e", "~", "ü", "%C3%BC", "%2F", "?q=", "&", "-"]


def draw_rules(draw: random.Random) -> str:
    lines = []
    for _ in range(draw.randint(1, 4)):
        lines += [
            f"{draw.choice(['User-agent', 'USER-AGENT '])}: {draw.choice(AGENTS)}"
            for _ in range(draw.choice([1, 1, 2]))
        ]
        lines += [draw.choice(["", "# nothing", "Sitemap: http://h/s.xml", "Crawl-delay: 3", "nonsense"])]
        for _ in range(draw.randint(0, 5)):
            pattern = "/" + "".join(draw.choices(PIECES, k=draw.randint(0, 5))) + draw.choice(["", "", "$"])
            field, value = draw.choice(["Allow", "disallow"]), draw.choice([pattern, pattern, ""])
            lines.append(f"{field}: {value} {draw.choice(['', '# so'])}")
    return "\n".join(lines)


def test_a_thousand_random_rule_sets_are_read_as_the_rfc_says() -> None:
    draw = random.Random(17)
    disallowed = 0
    for _ in range(1000):
        text = draw_rules(draw)
        rules = {agent: RobotsTxt(text, [agent], Counter()) for agent in AGENTS}
        for _ in range(8):
            path = "/" + "".join(draw.choices([piece for piece in PIECES if piece != "*"], k=draw.randint(0, 6)))
            agent = draw.choice(AGENTS)
            expected = is_allowed(text, agent, path)
            assert (not rules[agent].list_disallowed(path)) == expected, (text, agent, path)
            disallowed += not expected
    assert disallowed > 500


@pytest.mark.parametrize(
    ("rule", "path", "is_disallowed"),
    [
        ("Disallow: /a%3Db", "/a=b", True),  # an escape of a reserved character is that character
        ("Disallow: /a$", "/a$", True),  # an end is also a dollar
        ("Disallow: /\nAllow: /index.html", "/", False),  # index.html is its folder too
        ("Disalow: /", "/a", True),  # what was meant
    ],
)
def test_protego_departs_from_the_rfc_where_other_readers_do(rule: str, path: str, is_disallowed: bool) -> None:
    assert bool(RobotsTxt(f"User-agent: *\n{rule}", ["*"], Counter()).list_disallowed(path)) == is_disallowed


def test_groups_that_bind_an_agent_are_named_once() -> None:
    text = "User-agent: GPTBot/1.1\nUser-agent: ccbot\nDisallow: /\n\nUser-agent: *\nDisallow: /private/"
    robots = RobotsTxt(text, ["CCBot", "GPTBot", "ClaudeBot", "*"], Counter())
    assert robots.list_disallowed("/") == ["ccbot", "gptbot"]
    assert robots.list_disallowed("/private/x") == ["ccbot", "gptbot", "*"]
    assert RobotsTxt("", ["*"], Counter()).list_disallowed("/") == []
    digits = RobotsTxt("User-agent: img2dataset\nDisallow: /", ["img2dataset", "CCBot"], Counter())
    assert digits.list_disallowed("/") == ["img2dataset"]


def test_the_content_usage_of_the_longest_path_counts() -> None:
    text = "User-agent: *\nAllow: /\nContent-Usage: train-ai=n\nContent-Usage: /free/ train-ai=y\n"
    text += "User-agent: b\nAllow: /"
    robots = RobotsTxt(text, ["a"], Counter())
    assert robots.list_unusable("/x") == ["*"]
    assert robots.list_unusable("/free/x") == robots.list_disallowed("/x") == []
    assert RobotsTxt(text, ["b"], Counter()).list_unusable("/x") == []


def test_no_robots_txt_holds_up_its_readers() -> None:
    path = "/" + "a" * 8000
    hostile = {
        "many rules": "".join(f"Disallow: /x{i}\n" for i in range(100_000)),
        "wildcards": "Disallow: /*ab\n" * 30_000,
        "many wildcards": f"Disallow: /{'*a' * 1000}b$\n" * 250,
        "agents": "".join(f"User-agent: x{i}\n" for i in range(15_000)) + "Disallow: /x\n" * 15_000,
        "one line": "Disallow: /" + "a" * 10_000_000,
    }
    for name, rules in hostile.items():
        counts: Counter[str] = Counter()
        begun = time.process_time()
        RobotsTxt(f"User-agent: *\n{rules}", ["*", "CCBot"], counts).list_disallowed(path)
        assert time.process_time() - begun < 5, name
        assert counts["rules_left_out"] == {"wildcards": 30_000 - MAX_WILDCARD_RULES, "many wildcards": 250}.get(
            name, 0
        )
