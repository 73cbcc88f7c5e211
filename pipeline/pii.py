"""E-mail and public IP addresses, replaced by addresses that belong to nobody. Stateless: one text, one result.

The replacements are reserved for documentation (RFC 2606, 5737, 3849), so replacing twice changes nothing, and a
text that had them already is not counted.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final, NamedTuple

EMAIL: Final = "email@example.com"
IPV4: Final = "192.0.2.1"
IPV6: Final = "2001:db8::1"

_ATOM: Final = r"[A-Za-z0-9!#$%&*+/=?^_`{|}~'-]"
_EMAIL: Final = re.compile(
    rf"(?<!{_ATOM})(?P<local>{_ATOM}{{1,64}}(?:\.{_ATOM}{{1,64}}){{0,8}})"
    r"@(?P<domain>(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(?:[A-Za-z]{2,63}|xn--[A-Za-z0-9-]{1,59})|\[?\d{1,3}(?:\.\d{1,3}){3}\]?)"
    r"(?![A-Za-z0-9@])"
)
_RESERVED: Final = re.compile(r"(?:^|\.)(?:example\.(?:com|net|org)|example|test|invalid|localhost)$", re.IGNORECASE)

_OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
_IPV4: Final = re.compile(rf"(?<!\w)(?<!\d\.){_OCTET}(?:\.{_OCTET}){{3}}(?!\.?\w)", re.ASCII)
_DOTTED: Final = re.compile(r"\d\.\d{1,3}\.\d{1,3}\.\d")  # every IPv4 has it, and it is found 5 times as fast
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")  # all that was ever given out: "a::b" is code, not an address
_IPV6: Final = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:]|\.\d)", re.ASCII)


class Redacted(NamedTuple):
    """The text without addresses, and how many of each were replaced."""

    text: str
    emails: int
    ips: int


def redact(text: str) -> Redacted:
    """Replace e-mail addresses and IP addresses that are globally routable, version 4 and 6.

    Private, loopback, reserved and documentation addresses stay: they name nobody.
    """
    counts = {"email": 0, "ip": 0}

    def email(found: re.Match[str]) -> str:
        if _RESERVED.search(found["domain"]):
            return found[0]
        counts["email"] += 1
        return EMAIL

    def address(found: re.Match[str]) -> str:
        try:
            parsed = ipaddress.ip_address(found[0])
        except ValueError:  # "12:30:45" and "::" are no addresses, or nobody's
            return found[0]
        if not parsed.is_global or (parsed.version == 6 and parsed not in _UNICAST):
            return found[0]
        counts["ip"] += 1
        return IPV4 if parsed.version == 4 else IPV6

    if "@" in text:
        text = _EMAIL.sub(email, text)
    if _DOTTED.search(text):
        text = _IPV4.sub(address, text)
    if "::" in text or text.count(":") >= 7:
        text = _IPV6.sub(address, text)
    return Redacted(text, counts["email"], counts["ip"])
