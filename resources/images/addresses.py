"""Decide which addresses images may be fetched from: public ones at web ports, and those a user allows."""

import ipaddress


def read_allowed(text: str) -> tuple[str, int]:
    """An address and a port out of `address:port`; raises ValueError for anything else, names of hosts too.

    >>> read_allowed("10.0.0.7:8080")
    ('10.0.0.7', 8080)
    """
    address, _, port = text.rpartition(":")
    try:
        return str(ipaddress.ip_address(address.strip("[]"))), int(port)
    except ValueError:
        raise ValueError(f"{text!r} is no address:port, as in 10.0.0.7:8080") from None


def why_not_dialled(address: str, port: int, allowed: frozenset[tuple[str, int]] = frozenset()) -> str | None:
    """Why nothing is asked of this address and port; None where it is public and a web server's.

    >>> why_not_dialled("169.254.169.254", 80)
    'blocked_address'
    >>> why_not_dialled("93.184.215.14", 443) is None
    True
    """
    ip = ipaddress.ip_address(address.partition("%")[0])
    ip = getattr(ip, "ipv4_mapped", None) or ip
    if (str(ip), port) in allowed:
        return None
    if not ip.is_global or ip.is_multicast or any(ip in network for network in _TUNNELS if ip.version == 6):
        return "blocked_address"
    return None if port in {80, 443} else "blocked_port"


# These carry an IPv4 address, which may be anything: NAT64, 6to4 and Teredo.
_TUNNELS = [ipaddress.ip_network(name) for name in ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")]
