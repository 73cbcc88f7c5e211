"""A node's Ed25519 key: created on first use, readable by its owner only, and the source of the node's id.

Invariant: a key file is either whole or not there, so a node never changes its id by a crash.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from storage.errors import Corrupt
from storage.ids import digest


@dataclass(frozen=True, slots=True)
class NodeKey:
    """A private key with its public half (32 raw bytes)."""

    _private: Ed25519PrivateKey
    public_key: bytes

    @property
    def node_id(self) -> str:
        """64 hex: SHA-256 of the public key."""
        return digest(self.public_key).hex()

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature, 64 bytes."""
        return self._private.sign(message)

    @classmethod
    def load_or_create(cls, path: Path) -> NodeKey:
        """The key in `path` (32 raw bytes, mode 0600); made there when there is none.

        Raises Corrupt when the file is not a key, or when others may read it.
        """
        if not path.exists():
            _create(path)
        if path.stat().st_mode & 0o077:
            raise Corrupt("read node key", str(path), "others may read it", f"chmod 600 {path}")
        raw = path.read_bytes()
        if len(raw) != 32:
            raise Corrupt("read node key", str(path), f"{len(raw)} bytes, not 32", "delete it to become another node")
        private = Ed25519PrivateKey.from_private_bytes(raw)
        return cls(private, private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    raw = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    descriptor, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # mode 0600
    with os.fdopen(descriptor, "wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    try:
        with suppress(FileExistsError):
            os.link(fresh, path)  # of two that start at once, one key wins
    finally:
        Path(fresh).unlink()
