"""One byte form for every JSON text whose hash is a name: RFC 8785, so that anybody computes the same name.

Invariant: `dumps(loads(data)) == data` for every JSON blob, log entry and receipt body in a store.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any, Final

import rfc8785

from storage.errors import Corrupt

JSON = Any
"""null, bool, int within +-(2^53 - 1), float, str, list, or dict with str keys."""

_HEX64: Final = re.compile(r"[0-9a-f]{64}")


def dumps(value: JSON) -> bytes:
    """RFC 8785 bytes of a value; ValueError for what JSON can not carry exactly."""
    return rfc8785.dumps(value)


def loads(data: bytes, name: str = "JSON") -> JSON:
    """The value of canonical bytes; Corrupt (naming `name`) when they are no JSON or not in canonical form."""
    try:
        value = json.loads(data)
        if dumps(value) == data:
            return value
    except (ValueError, RecursionError) as error:
        raise Corrupt("read", name, f"not JSON: {error}") from error
    raise Corrupt("read", name, "JSON that is not in canonical form (RFC 8785)")


def is_hex64(text: object) -> bool:
    """Whether this is a SHA-256 in the form in which blobs and ids are written: 64 lower-case hex digits."""
    return isinstance(text, str) and _HEX64.fullmatch(text) is not None


def format_time(at: datetime) -> str:
    """`2026-11-23T04:05:06.000007Z`; ValueError for a time without a zone."""
    if at.tzinfo is None:
        raise ValueError(f"a time without a zone: {at}")
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """The inverse of `format_time`; ValueError for any other form."""
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
