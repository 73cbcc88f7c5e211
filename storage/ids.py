"""The ids that everything is found by: plain SHA-256 over bytes that anybody can put together again."""

from __future__ import annotations

import hashlib


def digest(data: bytes) -> bytes:
    """SHA-256, 32 bytes: page_id of a payload, doc_id of a text's UTF-8, name of a blob."""
    return hashlib.sha256(data).digest()


def capture_id(bundle: bytes, offset: int) -> bytes:
    """SHA-256(bundle digest as 32 bytes + record offset as 8 bytes, big-endian): the identity of a row everywhere."""
    if len(bundle) != 32:
        raise ValueError(f"a bundle's digest has 32 bytes, not {len(bundle)}")
    return hashlib.sha256(bundle + offset.to_bytes(8, "big")).digest()
