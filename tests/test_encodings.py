"""Content codings undone piece by piece: right on what is right, bounded and loud on the rest."""

from __future__ import annotations

import gzip
import time
import tracemalloc
import zlib
from collections.abc import Callable
from contextlib import suppress

import brotli
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.encodings import MAX_MEMBERS, Decoder
from storage.errors import Corrupt


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-15)
    return coder.compress(data) + coder.flush()


def many_gzip(data: bytes) -> bytes:
    return b"".join(
        gzip.compress(data[start : start + 1 + len(data) // 5]) for start in range(0, len(data), 1 + len(data) // 5)
    )


def many_zstd(data: bytes) -> bytes:
    return zstandard.compress(data[:3]) + zstandard.compress(data[3:])


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "gzip of several members": ("gzip", many_gzip),
    "gzip with padding after it": ("x-gzip", lambda data: gzip.compress(data) + bytes(100)),
    "deflate": ("deflate", zlib.compress),
    "deflate without zlib's frame": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstandard.compress),
    "zstd of several frames": ("zstd", many_zstd),
    "identity": ("identity", bytes),
    "what is no coding": ("UTF-8", bytes),
}


def decoded(encodings: list[str], data: bytes, *, limit: int = 1 << 30, step: int = 1 << 30) -> tuple[bytes, bool]:
    decoder = Decoder(encodings, limit)
    out = b"".join(decoder.feed(data[start : start + step]) for start in range(0, len(data), step))
    return out + decoder.finish(), decoder.truncated


DATA = st.binary(max_size=200) | st.builds(
    lambda piece, times: piece * times, st.binary(max_size=9), st.integers(0, 40_000)
)


@pytest.mark.parametrize("name", CODERS)
@given(data=DATA, step=st.sampled_from([1, 2, 3, 17, 1000, 1 << 30]), cut=st.floats(0, 1.2))
@settings(max_examples=40, deadline=None)
def test_decoding_undoes_coding_up_to_the_limit_however_it_arrives(
    name: str, data: bytes, step: int, cut: float
) -> None:
    coding, encode = CODERS[name]
    limit = int(len(data) * cut)

    assert decoded([coding], encode(data) if data else b"", limit=limit, step=step) == (data[:limit], limit < len(data))


@given(data=DATA)
@settings(max_examples=30, deadline=None)
def test_codings_are_undone_in_reverse_order(data: bytes) -> None:
    twice = zstandard.compress(brotli.compress(gzip.compress(data)))

    assert decoded(["gzip", " BR", "zstd"], twice) == (data, False)


def test_an_empty_body_is_empty_in_every_coding() -> None:
    for coding, _ in CODERS.values():
        assert decoded([coding], b"") == (b"", False)


BOMB = 256 << 20
BOMBS = {
    "gzip": lambda: _packed(zlib.compressobj(6, wbits=31)),
    "deflate": lambda: _packed(zlib.compressobj(6)),
    "zstd": lambda: _packed(zstandard.ZstdCompressor(level=3).compressobj()),
    "br": lambda: brotli.compress(bytes(BOMB), quality=1),
}


def _packed(coder: zlib._Compress | zstandard.ZstdCompressionObj) -> bytes:
    return b"".join(coder.compress(bytes(1 << 20)) for _ in range(BOMB >> 20)) + coder.flush()


@pytest.mark.parametrize("coding", BOMBS)
def test_a_bomb_costs_no_more_than_the_limit(coding: str) -> None:
    bomb = BOMBS[coding]()
    limit = 4 << 20
    tracemalloc.start()
    started = time.perf_counter()
    try:
        decoder = Decoder([coding], limit)
        size = len(decoder.feed(bomb))
        assert decoder.feed(bomb) == b""
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert (size, decoder.truncated) == (limit, True)
    assert peak < 4 * limit + (8 << 20) + 2 * len(bomb)
    assert time.perf_counter() - started < 5
    assert decoder.finish() == b""


@pytest.mark.parametrize(
    "inner", [gzip.compress(b"", mtime=0), b"\x03", zlib.compress(b"")], ids=["gzip", "br", "deflate"]
)
def test_an_inner_layer_that_decodes_to_nothing_ends_all_the_same(inner: bytes) -> None:
    """The outer layer makes 256 MiB of streams that hold nothing: the limit on what comes out is never reached."""
    coder = zlib.compressobj(6, wbits=31)
    bomb = b"".join(coder.compress(inner * ((1 << 20) // len(inner))) for _ in range(256)) + coder.flush()
    codings = {b"\x1f": "gzip", b"\x03": "br", b"x": "deflate"}
    decoder = Decoder([codings[inner[:1]], "gzip"], 1 << 20)
    started = time.perf_counter()

    with suppress(Corrupt):
        assert decoder.feed(bomb) == b""
        assert decoder.truncated
    assert time.perf_counter() - started < 5


def test_more_members_than_anybody_sends_are_refused() -> None:
    assert decoded(["gzip"], gzip.compress(b"x") * MAX_MEMBERS)[0] == b"x" * MAX_MEMBERS
    for coding, one in (("gzip", gzip.compress(b"x")), ("zstd", zstandard.compress(b"x"))):
        with pytest.raises(Corrupt, match=str(MAX_MEMBERS)):
            decoded([coding], one * (MAX_MEMBERS + 1))


def test_a_window_larger_than_the_standard_allows_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=27)
    coder = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    large = coder.compress(b"x" * 100) + coder.flush()

    with pytest.raises(Corrupt, match="zstd"):
        decoded(["zstd"], large)


@pytest.mark.parametrize(
    "name", [name for name, (coding, _) in CODERS.items() if coding in ("gzip", "deflate", "br", "zstd")]
)
def test_a_stream_that_ends_early_is_broken_but_its_beginning_is_usable(name: str) -> None:
    coding, encode = CODERS[name]
    data = b"".join(str(number).encode() for number in range(100_000))
    stream = encode(data)[:-5]
    decoder = Decoder([coding], 1 << 30)

    out = decoder.feed(stream)

    assert out
    assert data.startswith(out)
    with pytest.raises(Corrupt, match="ends before its end"):
        decoder.finish()


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("body", [b"<html>this is not coded at all</html>", b"\xff" * 40, b"\x1f\x8b" + b"\xff" * 40])
def test_bytes_of_another_kind_are_broken_and_the_error_names_the_coding(coding: str, body: bytes) -> None:
    with pytest.raises(Corrupt, match=coding):
        decoded([coding], body)


def test_a_wrong_checksum_is_broken() -> None:
    stream = bytearray(gzip.compress(b"text " * 100))
    stream[-6] ^= 1

    with pytest.raises(Corrupt):
        decoded(["gzip"], bytes(stream))


@given(
    coding=st.sampled_from(["gzip", "deflate", "br", "zstd"]), data=st.binary(max_size=300), step=st.integers(1, 300)
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_end_in_bytes_or_corrupt(coding: str, data: bytes, step: int) -> None:
    try:
        out, _ = decoded([coding], data, limit=10_000, step=step)
    except Corrupt:
        return
    assert len(out) <= 10_000


@pytest.mark.parametrize("encodings", [["compress"], ["sdch"], ["gzip"] * 5])
def test_unknown_codings_and_too_many_are_refused_at_once(encodings: list[str]) -> None:
    with pytest.raises(Corrupt):
        Decoder(encodings, 100)
