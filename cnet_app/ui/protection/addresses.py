"""Who sends a request, and whether a page of this app made it: read off an ASGI scope."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers

PORTS = {"http": 80, "https": 443}
IPV6_NETWORK = 64
"""Bits of an IPv6 address that one household has."""


def address_of(scope: MutableMapping[str, Any], proxies: int) -> str:
    """Return the network address that a request comes from.

    Each of `proxies` reverse proxies adds the address it was called from to X-Forwarded-For; what stands before them
    is the caller's own invention. Addresses of one IPv6 network are one.
    """
    client: tuple[str, int] | None = scope.get("client")
    address = client[0] if client else ""
    if proxies:
        told = [part.strip() for value in Headers(scope=scope).getlist("x-forwarded-for") for part in value.split(",")]
        address = told[-proxies] if len(told) >= proxies else address
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(known, ipaddress.IPv6Address) and not known.ipv4_mapped:
        return str(ipaddress.ip_network((known, IPV6_NETWORK), strict=False))
    return str(known)


def name_of_host(host: str) -> str:
    """Return the name or address in a Host header, in lower case and without port and brackets."""
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def is_known_host(host: str, names: Iterable[str]) -> bool:
    """Return whether a Host header names this machine: a plain address, localhost, or one of the names.

    Another name leads here only by a DNS entry that somebody else made, which is how pages of other sites get in.
    """
    name = name_of_host(host)
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name == "localhost" or name.endswith(".localhost") or name in names
    return True


def is_own_origin(headers: Headers, names: Iterable[str]) -> bool:
    """Return whether a request was made by a page of this app, or by no page: other programs send no origin."""
    origin = headers.get("origin")
    if origin is None:
        return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    hosts = [headers.get("host", ""), headers.get("x-forwarded-host", "")]
    try:
        parts = urlsplit(origin)
        port = parts.port or PORTS.get(parts.scheme)
        own = {(name_of_host(host), urlsplit(f"//{host}").port or port) for host in hosts if host}
    except ValueError:
        return False
    return bool(parts.hostname) and ((parts.hostname, port) in own or parts.hostname in names)
