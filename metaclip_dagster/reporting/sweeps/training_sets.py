"""Read from the name of a training set its t, its place in the order of t, and its label."""

import math

from metaclip_dagster.reporting.html.text import reveal

CONTROL = "inf"
"""The unbalanced set, which balanced ones are compared with."""
FINITE, ONLINE = 0, 2
"""What `rank_set` begins with for a finite t, and for a set that is drawn anew at every epoch."""


def rank_set(training_set: str) -> tuple[int, float, str]:
    """Sort key of a training set: finite t ascending, inf, online ones, filtered ones by t, then any other by name.

    >>> sorted(["online-20", "inf", "100-clip28", "100", "20-clip28", "random", "20"], key=rank_set)
    ['20', '100', 'inf', 'online-20', '20-clip28', '100-clip28', 'random']
    """
    t = read_t(training_set)
    if t is None:
        t, name = split_filters(training_set)
        return (3, t, name) if t else (4, 0.0, training_set)
    return (ONLINE if training_set.startswith("online-") else FINITE + math.isinf(t)), t, training_set


def read_t(training_set: str) -> float | None:
    """The t of a training set, online or not; None where its name is no t.

    >>> read_t("online-20"), read_t("inf"), read_t("random")
    (20.0, inf, None)
    """
    try:
        t = float(training_set.removeprefix("online-"))
    except ValueError:
        return None
    return t if t > 0 else None


def split_filters(training_set: str) -> tuple[float | None, str]:
    """The t of a training set with filters of its own, and their name; None for any other.

    >>> split_filters("20-clip28"), split_filters("20"), split_filters("online-20")
    ((20.0, 'clip28'), (None, ''), (None, ''))
    """
    t, dash, name = training_set.partition("-")
    return (read_t(t), name) if dash and read_t(t) else (None, "")


def label_set(training_set: str) -> str:
    """A training set in words.

    >>> label_set("20000"), label_set("inf"), label_set("online-20"), label_set("20-clip28")
    ('t = 20,000', 'unbalanced (t = inf)', 'online, t = 20', 't = 20, clip28')
    """
    t = read_t(training_set)
    if t is None:
        t, name = split_filters(training_set)
        return reveal(training_set) if t is None else f"t = {t:,.10g}, {reveal(name)}"
    if training_set == CONTROL:
        return "unbalanced (t = inf)"
    return f"{'online, ' if training_set.startswith('online-') else ''}t = {t:,.10g}"
