"""No request reaches an address that is not public: decided on the address of every socket, just before it connects.

A resolver is the wrong place: IP literals never ask it, and a name may resolve twice to different addresses.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, Final

_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all that was ever given out for use on the Internet
_RELAYS: Final = ipaddress.IPv4Network("192.88.99.0/24")  # 6to4 anycast, RFC 7526


refusals: Final[ContextVar[list[str]]] = ContextVar("refusals")
"""Addresses that were refused to the exchange under way. A connector that tried several addresses raises an error of
its own making, so the exception alone does not tell."""


class BlockedAddress(OSError):
    """The address is not public. An OSError, because that is what a connector may meet when it opens a socket."""


def is_public(address: str) -> bool:
    """Whether a literal IPv4 or IPv6 address, and every IPv4 address embedded in it, is globally reachable."""
    found = ipaddress.ip_address(address.split("%", 1)[0])
    if found.is_multicast:
        return False
    if isinstance(found, ipaddress.IPv4Address):
        return found.is_global and found not in _RELAYS
    embedded = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
    if found in _NAT64:
        embedded.append(ipaddress.IPv4Address(found.packed[-4:]))
    inner = [part for part in embedded if part is not None]
    if inner:
        return all(part.is_global and part not in _RELAYS for part in inner)
    return found.is_global and found in _UNICAST


def guarded_socket(*, allow_private: bool) -> Callable[[Any], socket.socket]:
    """A socket factory for aiohttp's TCPConnector; it raises BlockedAddress instead of making a socket."""

    def make(info: Any) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allow_private and not is_public(address[0]):
            refusals.get().append(address[0])
            raise BlockedAddress(f"{address[0]} is not a public address")
        return socket.socket(family=family, type=kind, proto=protocol)

    return make
