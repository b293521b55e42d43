"""The address that the app listens on, tried before Gradio does: why it cannot be had is one sentence."""

from __future__ import annotations

import errno
import os
import socket

from models.errors import InputError


def usable_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0. Raises InputError where the app cannot listen on it."""
    try:
        found = socket.getaddrinfo(bare_host(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise InputError(
            f"--host {host!r} is no address of a machine; give 127.0.0.1 for this machine alone, 0.0.0.0 for a network, "
            "or :: for one of IPv6."
        ) from None
    for family, kind, protocol, _, place in found:
        with socket.socket(family, kind, protocol) as tried:
            if os.name == "posix":  # there a port that was in use until now would be refused for a minute
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                tried.bind((place[0], port, *place[2:]))
            except OSError as error:
                raise _refused(host, port, error) from error
            port = int(tried.getsockname()[1])
    return port


def bare_host(host: str) -> str:
    """Return a host without the brackets that an IPv6 address has in a URL."""
    return host[1:-1] if host.startswith("[") and host.endswith("]") else host


def url_host(host: str) -> str:
    """Return a host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{bare_host(host)}]" if ":" in host else host


def _refused(host: str, port: int, error: OSError) -> InputError:
    where = f"{url_host(host)}:{port}"
    if error.errno in (errno.EACCES, errno.EPERM):
        return InputError(
            f"{where} may not be listened on by this user: ports below 1024 are the system's; choose another --port, such as "
            "7860."
        )
    if error.errno == errno.EADDRNOTAVAIL:
        return InputError(
            f"{host} is not an address of this machine, so {where} cannot be listened on; choose another --host, such as "
            "127.0.0.1 or 0.0.0.0."
        )
    if error.errno == errno.EAFNOSUPPORT:
        return InputError(f"This machine has no IPv6, so {where} cannot be listened on; choose an IPv4 --host.")
    return InputError(
        f"{where} cannot be listened on ({error.strerror}); stop what uses it, or choose another --port; 0 takes a free one."
    )
