"""Format numbers as people read them: counts, shares and seconds, with a dash for what is not known."""


def share(part: int, whole: int) -> float | None:
    """The part as a share of the whole; None of nothing.

    >>> share(1, 4), share(0, 0)
    (0.25, None)
    """
    return part / whole if whole else None


def number(value: float | None, digits: int = 3) -> str:
    """A count with its thousands apart, a mean with few digits, or a dash.

    >>> number(1234567), number(3.51234), number(None)
    ('1,234,567', '3.51', '–')
    """
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.{digits}g}"


def compact_number(value: int) -> str:
    """A count for a tile: whole below ten millions, then rounded.

    >>> compact_number(1234567), compact_number(400_100_000)
    ('1,234,567', '400M')
    """
    return f"{value:,}" if value < 10_000_000 else shorten_number(value)


def shorten_number(number: float) -> str:
    """A number as an axis has room for it.

    >>> shorten_number(1_600_000_000), shorten_number(20_000), shorten_number(0.5)
    ('1.6B', '20k', '0.5')
    """
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g}{unit}"
    return f"{number:.3g}"


def percent(share: float | None) -> str:
    """A share with one decimal, small ones with two digits; only all reads 100% and only nothing 0%.

    >>> percent(0.54), percent(0.00321), percent(0.9999), percent(0.0), percent(None)
    ('54.0%', '0.32%', '>99.9%', '0%', '–')
    """
    if share is None:
        return "–"
    if share in (0, 1):
        return f"{100 * share:.0f}%"
    if share > 0.9995:
        return ">99.9%"
    if share < 1e-5:
        return "<0.001%"
    return f"{100 * share:.1f}%" if share >= 0.01 else f"{100 * share:.2g}%"


def duration(seconds: float) -> str:
    """Seconds as people read them.

    >>> duration(12.34), duration(300), duration(7200)
    ('12.3 s', '5.0 min', '2.0 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
