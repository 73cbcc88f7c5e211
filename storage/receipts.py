"""A node's signed word about a bundle: what it fetched, under which leases, and what each payload's hash was.

Bytes are signed, never objects: the envelope carries the canonical JSON text of the body as a string, and the
signature covers that text after a fixed prefix, so it can be used for nothing else.
Invariant: `open_receipt` returns only what the holder of the key signed in exactly this form.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from storage import canonical
from storage.canonical import JSON
from storage.errors import BadReceipt, Corrupt

FORMAT: Final = "thresher-receipt-1"
PREFIX: Final = FORMAT.encode() + b"\n"
MAX_BYTES: Final = 16 << 20
"""Of an envelope: about 200,000 payloads."""

_KEYS: Final = frozenset(
    {"format", "node", "public_key", "bundle", "bytes", "leases", "payloads", "sealed_at", "agent"}
)
_LEASE_KEYS: Final = frozenset({"lease", "fence", "done"})


@dataclass(frozen=True, slots=True)
class LeaseUse:
    """A lease that exchanges of the bundle belong to; `done` when the node will send no more of it."""

    lease: str
    fence: int
    done: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """Body of a receipt. Digests and keys are raw bytes; `payloads` holds the SHA-256 of each response record's
    payload as stored, in the order of offsets; `size` is that of the bundle in bytes."""

    public_key: bytes
    bundle: bytes
    size: int
    leases: tuple[LeaseUse, ...]
    payloads: tuple[bytes, ...]
    sealed_at: datetime
    agent: str

    @property
    def node(self) -> bytes:
        return node_id(self.public_key)


def node_id(public_key: bytes) -> bytes:
    """SHA-256 of the 32 raw bytes of an Ed25519 public key."""
    return hashlib.sha256(public_key).digest()


def encode(receipt: Receipt, sign: Callable[[bytes], bytes]) -> bytes:
    """The envelope: what is stored as a blob. `sign` gives the 64-byte Ed25519 signature of the bytes it gets."""
    body = canonical.dumps(
        {
            "format": FORMAT,
            "node": receipt.node.hex(),
            "public_key": receipt.public_key.hex(),
            "bundle": receipt.bundle.hex(),
            "bytes": receipt.size,
            "leases": [{"lease": use.lease, "fence": use.fence, "done": use.done} for use in receipt.leases],
            "payloads": [payload.hex() for payload in receipt.payloads],
            "sealed_at": canonical.format_time(receipt.sealed_at),
            "agent": receipt.agent,
        }
    )
    return canonical.dumps({"body": body.decode(), "signature": sign(PREFIX + body).hex()})


def open_receipt(envelope: bytes) -> Receipt:
    """The receipt in an envelope from anybody; BadReceipt unless form, node id and signature are right."""
    name = hashlib.sha256(envelope).hexdigest()
    if len(envelope) > MAX_BYTES:
        raise BadReceipt("open receipt", name, f"larger than {MAX_BYTES} bytes")
    try:
        outer = _object(canonical.loads(envelope, name), frozenset({"body", "signature"}))
        body = _text(outer["body"]).encode()
        receipt, node = _receipt(canonical.loads(body, name))
        signature = _hex(outer["signature"], 64)
        Ed25519PublicKey.from_public_bytes(receipt.public_key).verify(signature, PREFIX + body)
    except InvalidSignature as error:
        hint = "nothing in its bundle is believed"
        raise BadReceipt("open receipt", name, "the signature does not fit the key and the body", hint) from error
    except (Corrupt, ValueError) as error:
        cause = error.cause if isinstance(error, Corrupt) else str(error)
        raise BadReceipt("open receipt", name, cause) from error
    if node != receipt.node:
        raise BadReceipt("open receipt", name, "the node id is not the hash of the public key")
    return receipt


def _receipt(value: JSON) -> tuple[Receipt, bytes]:
    """The body as a receipt, and the node id that it states; ValueError for any other form."""
    body = _object(value, _KEYS)
    if body["format"] != FORMAT:
        raise ValueError(f"the format is not {FORMAT}")
    receipt = Receipt(
        public_key=_hex(body["public_key"], 32),
        bundle=_hex(body["bundle"], 32),
        size=_number(body["bytes"]),
        leases=tuple(_lease(item) for item in _items(body["leases"])),
        payloads=tuple(_hex(item, 32) for item in _items(body["payloads"])),
        sealed_at=canonical.parse_time(_text(body["sealed_at"])),
        agent=_text(body["agent"]),
    )
    return receipt, _hex(body["node"], 32)


def _lease(value: JSON) -> LeaseUse:
    item = _object(value, _LEASE_KEYS)
    if item["done"] is not True and item["done"] is not False:
        raise ValueError("`done` is not true or false")
    return LeaseUse(_text(item["lease"]), _number(item["fence"]), item["done"])


def _object(value: JSON, keys: frozenset[str]) -> dict[str, Any]:
    if not isinstance(value, dict) or value.keys() != keys:
        raise ValueError(f"not an object with exactly the keys {', '.join(sorted(keys))}")
    return value


def _items(value: JSON) -> Sequence[Any]:
    if isinstance(value, list):
        return value
    raise ValueError("not a list")


def _text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    raise ValueError("not a text")


def _number(value: JSON) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("not a whole number from 0")
    return value


def _hex(value: JSON, size: int) -> bytes:
    text = _text(value)
    if len(text) != 2 * size or any(digit not in "0123456789abcdef" for digit in text):
        raise ValueError(f"not {2 * size} lower-case hex digits")
    return bytes.fromhex(text)
