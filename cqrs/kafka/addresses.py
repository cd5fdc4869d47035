"""Check the brokers' addresses before aiokafka stumbles over one."""

import ipaddress
import re

from cqrs.exceptions import ConfigurationException

_LARGEST_PORT = 65_535
_FOREIGN = re.compile(r"[\s/\[\]]")


def checked_addresses(bootstrap_servers: str) -> str:
    """Return `bootstrap_servers` when each of its addresses can be read.

    Raises:
        ConfigurationException: one cannot; names every one that cannot, and what to write.
    """
    problems = [
        f"KAFKA_BOOTSTRAP_SERVERS: {address.strip()!r} {problem}; write host:port, several with commas between them, "
        "such as kafka-1:9092,kafka-2:9092 or [::1]:9092"
        for address in bootstrap_servers.split(",")
        if (problem := _problem(address.strip()))
    ]
    if problems:
        raise ConfigurationException(problems)
    return bootstrap_servers


def _problem(address: str) -> str | None:
    if not address:
        return "is empty"
    if "://" in address:
        return "has a scheme, which is not part of a broker's address"
    if ("%" not in address and _is_ipv6(address)) or _is_bracketed(address):
        return None
    host, colon, port = address.rpartition(":")
    return _host_problem(host if colon else address) or (_port_problem(port) if colon else None)


def _host_problem(host: str) -> str | None:
    if not host:
        return "names no host"
    if host.startswith("[") or ":" in host:
        return None if _is_bracketed(host) else "is no host and no IPv6 address in brackets"
    return "has a character that no host's name has" if _FOREIGN.search(host) else None


def _port_problem(port: str) -> str | None:
    if not (port.isascii() and port.isdecimal()):
        return f"has the port {port!r}, which is no number"
    return None if 0 < int(port) <= _LARGEST_PORT else f"has the port {port}, which is not within 1 to {_LARGEST_PORT}"


def _is_bracketed(host: str) -> bool:
    return host.startswith("[") and host.endswith("]") and _is_ipv6(host[1:-1])


def _is_ipv6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True
