"""The format by its specification alone: a reader that knows only storage/README.md, and the README's own commands."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage import open_store
from tests.signed_store import fill

README = (Path(__file__).parents[1] / "storage" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store on disk with captures, documents and a corpus."""
    folder = tmp_path_factory.mktemp("format") / "store"
    fill(open_store(str(folder), create=True))
    return folder


def blob(folder: Path, digest: str, suffix: str) -> bytes:
    data = (folder / "blobs" / "sha256" / digest[:2] / f"{digest}.{suffix}").read_bytes()
    assert hashlib.sha256(data).hexdigest() == digest
    return data


def row_bytes(row: dict[str, Any], types: dict[str, pa.DataType]) -> bytes:
    out = b""
    for name in sorted(row, key=str.encode):
        value, kind = row[name], types[name]
        if value is None:
            continue
        if pa.types.is_boolean(kind):
            tag, data = b"b", bytes([value])
        elif pa.types.is_timestamp(kind):
            tag, data = b"t", struct.pack("<q", round(value.timestamp() * 1_000_000))
        elif pa.types.is_integer(kind):
            tag, data = b"i", struct.pack("<q", value)
        elif pa.types.is_floating(kind):
            tag, data = b"f", struct.pack("<d", value + 0.0) if value == value else bytes.fromhex("000000000000f87f")
        elif isinstance(value, str):
            tag, data = b"s", value.encode()
        else:
            tag, data = b"x", value
        out += struct.pack("<H", len(name.encode())) + name.encode() + tag + struct.pack("<Q", len(data)) + data
    return out


def state_of(rows: list[bytes]) -> bytes:
    lanes = [0] * 1024
    for row in rows:
        hashed = struct.unpack("<1024H", hashlib.shake_128(row).digest(2048))
        lanes = [(a + b) % 65536 for a, b in zip(lanes, hashed, strict=True)]
    return struct.pack("<1024H", *lanes)


def test_a_reader_written_from_the_specification_gets_every_number_of_a_snapshot(folder: Path) -> None:
    for log in ("captures", "documents-0123456789ab", "corpus"):
        entry = json.loads(max((folder / "logs" / log).glob("*.json")).read_bytes())
        root = json.loads(blob(folder, entry["snapshot"], "json"))
        assert root["format"] == "thresher-snapshot-1"
        for table in root["tables"].values():
            entries = []
            for part in table["parts"]:
                listed = json.loads(blob(folder, part["digest"], "json"))
                assert listed["format"] == "thresher-part-1"
                assert len(listed["shards"]) == part["shards"]
                entries += listed["shards"]
            rows: list[bytes] = []
            for shard in entries:
                read = pq.read_table(pa.BufferReader(blob(folder, shard["digest"], "parquet")))
                types = dict(zip(read.schema.names, read.schema.types, strict=True))
                mine = [row_bytes(row, types) for row in read.to_pylist()]
                assert state_of(mine) == base64.b64decode(shard["lthash"])
                assert len(mine) == shard["rows"]
                rows += mine
            assert table["rows"] == len(rows)
            assert table["bytes"] == sum(shard["bytes"] for shard in entries)
            assert base64.b64decode(table["lthash"]) == state_of(rows)
            assert table["rows_id"] == hashlib.sha256(state_of(rows)).hexdigest()


def test_the_receipt_can_be_checked_from_the_specification(folder: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    found = []
    for path in (folder / "blobs").rglob("*.json"):
        envelope = json.loads(path.read_bytes())
        if envelope.keys() == {"body", "signature"}:
            body = json.loads(envelope["body"])
            key = bytes.fromhex(body["public_key"])
            Ed25519PublicKey.from_public_bytes(key).verify(
                bytes.fromhex(envelope["signature"]), b"thresher-receipt-1\n" + envelope["body"].encode()
            )
            assert body["node"] == hashlib.sha256(key).hexdigest()
            assert len(blob(folder, body["bundle"], "warc.gz")) == body["bytes"]
            found.append(body)

    assert len(found) == 1


def test_the_readme_s_test_vectors_hold() -> None:
    """Both for this file's reader and as printed."""
    kinds = {
        "at": pa.timestamp("us", "UTC"), "flag": pa.bool_(), "gone": pa.large_string(), "id": pa.binary(),
        "n": pa.int16(), "score": pa.float64(), "text": pa.large_string(),
    }  # fmt: skip
    a = {
        "at": datetime(2026, 11, 23, 4, 5, 6, 7, tzinfo=UTC), "flag": True, "gone": None, "id": b"\x00\xff",
        "n": -2, "score": -0.0, "text": "Grüße",
    }  # fmt: skip
    b = dict.fromkeys(kinds) | {"n": 7, "score": float("nan"), "text": ""}
    rows = {"none": [], "A": [row_bytes(a, kinds)], "B": [row_bytes(b, kinds)]}
    rows["A and B"] = rows["A"] + rows["B"]

    for name, of_name in rows.items():
        state = state_of(of_name)
        assert re.search(rf"^{name} +{state[:16].hex()}  {hashlib.sha256(state).hexdigest()}$", README, re.MULTILINE)
    for name in ("A", "B"):
        assert f"bytes of {name}  {rows[name][0].hex()}\n" in README


def by_hand(store: Path) -> subprocess.CompletedProcess[str]:
    """Run the README's commands on a store."""
    for tool in ("bash", "jq", "sha256sum"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not on this machine")
    block = re.search(r"```sh\n(.*?)```", README, re.DOTALL)
    assert block is not None
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", block[1]],
        env={"PATH": path, "STORE": str(store), "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_readme_s_commands_read_a_snapshot_starting_from_the_folder(folder: Path) -> None:
    done = by_hand(folder)

    assert done.returncode == 0, done.stderr
    assert "http://a.test/0" in done.stdout
    assert "WARC-Target-URI: http://a.test/0" in done.stdout
    assert "<p>Page 0 of a.test</p>" in done.stdout
    assert hashlib.sha256(b"<p>Page 0 of a.test</p>").hexdigest() + "  -" in done.stdout
    assert "signed by node" in done.stdout
    assert done.stderr.count("is what its name says") == 9  # two roots, three parts, three shards, a bundle


def test_the_readme_s_commands_stop_at_a_damaged_shard(tmp_path: Path, folder: Path) -> None:
    copy = tmp_path / "store"
    shutil.copytree(folder, copy)
    snapshot = open_store(str(copy)).snapshot("captures")
    assert snapshot is not None
    last = snapshot.shards("captures")[-1].digest
    shard = copy / "blobs" / "sha256" / last[:2] / f"{last}.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")

    done = by_hand(copy)

    assert done.returncode != 0
    assert f"{last}.parquet: FAILED" in done.stderr
    assert done.stdout == ""
