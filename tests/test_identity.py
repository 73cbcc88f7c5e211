"""A node's key: made once, readable by its owner only, and the same ever after."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from crawlers.identity import NodeKey
from storage.errors import Corrupt


def test_a_key_is_made_on_first_use_with_mode_0600_and_read_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "nodes" / "0.key"

    first, second = NodeKey.load_or_create(path), NodeKey.load_or_create(path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert first.public_key == second.public_key
    assert first.node_id == hashlib.sha256(first.public_key).hexdigest()
    Ed25519PublicKey.from_public_bytes(first.public_key).verify(second.sign(b"words"), b"words")


def test_of_many_that_start_at_once_all_get_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(NodeKey.load_or_create, [tmp_path / "a.key"] * 16))

    assert len({key.node_id for key in keys}) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.key"]


def test_a_key_that_others_may_read_or_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    NodeKey.load_or_create(path)
    path.chmod(0o644)
    with pytest.raises(Corrupt, match="chmod 600"):
        NodeKey.load_or_create(path)

    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(Corrupt, match="5 bytes"):
        NodeKey.load_or_create(path)
