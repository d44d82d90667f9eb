"""Where the nodes of a cluster find the driver."""

from __future__ import annotations

import ipaddress
import socket

import psutil

from orchestrator.errors import ProductionError

__all__ = ["addresses_of"]


def addresses_of(address: str | None) -> set[str]:
    """Return where the nodes may find the driver: an address, that of an interface, or all of this machine."""
    interfaces = {
        name: [entry.address for entry in entries if entry.family == socket.AF_INET]
        for name, entries in psutil.net_if_addrs().items()
    }
    if address is None:
        return {entry for entries in interfaces.values() for entry in entries}
    if interfaces.get(address):
        return set(interfaces[address])
    try:
        return {str(ipaddress.ip_address(address))}
    except ValueError:
        known = ", ".join(interfaces)
        msg = f"site.address: {address!r} is neither an address nor an interface of this machine ({known})"
        raise ProductionError(msg) from None
