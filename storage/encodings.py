"""Content codings undone as the bytes come, under a bound: what a body may cost is decided here, not by its sender.

Invariant: no call holds more than `limit` plus one step of one coding (8 MiB for zstd, 64 KiB for the others) whatever
the input expands to, and an inner layer of a doubly coded body ends at INNER_LIMIT times the limit.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, Protocol, cast

import brotli
import zstandard
from isal import isal_zlib

from storage.errors import Corrupt

MAX_MEMBERS: Final = 64
"""gzip members or zstd frames in one body. More make the decoder start anew for a few bytes each."""

MAX_CODINGS: Final = 4

WINDOW_BYTES: Final = 8 << 20
"""RFC 9659: no sender may ask a receiver of zstd for a larger window."""

INNER_LIMIT: Final = 2
"""A layer that is itself coded is hardly larger than what it decodes to, plus what small bodies lose."""

_STEP: Final = 64 << 10
_ZSTD_STEP: Final = 256
"""zstandard's object has no bound on what one call gives: 256 bytes are at most 64 blocks of 128 KiB."""

_IGNORED: Final = frozenset({"", "identity", "none", "null", "binary", "8bit", "utf-8", "utf8", "text"})
"""Not codings, but sent as such; browsers take the body as it is."""

ISAL_ERROR: Final = cast("type[Exception]", isal_zlib.error)  # its stub says an instance
_BROKEN: Final = (ISAL_ERROR, brotli.error, zstandard.ZstdError)


class _Stage(Protocol):
    def feed(self, data: bytes) -> Iterator[bytes]: ...
    def complete(self) -> bool: ...


class Decoder:
    """Undoes codings in the reverse of the order in which a header lists them.

    Feed it the body piece by piece and end with `finish`. Once `limit` bytes came out it says `truncated`, ignores
    what follows, and what it gave is a usable prefix. Corrupt (naming the coding) for a stream that is broken or, on
    `finish`, incomplete: who cut the stream himself does not call `finish`.
    """

    def __init__(self, encodings: Sequence[str], limit: int) -> None:
        """`encodings` as in Content-Encoding, any case; `limit` in bytes. Corrupt for an unknown coding."""
        names = [name.strip().lower() for name in encodings]
        names = [name for name in names if name not in _IGNORED]
        if len(names) > MAX_CODINGS:
            raise Corrupt("decode", ", ".join(names[:8]), f"more than {MAX_CODINGS} codings")
        self._stages: Final = [_stage(name) for name in reversed(names)]
        self._name: Final = ", ".join(names) or "identity"
        inner = INNER_LIMIT * limit + _STEP
        self._room: Final = [sys.maxsize, *[inner] * (len(names) - 1), limit] if names else [limit]
        self._fed = False
        self.truncated = False

    def feed(self, data: bytes) -> bytes:
        """What these bytes decode to, as far as the limit allows."""
        if self.truncated or not data:
            return b""
        self._fed = True
        try:
            return b"".join(self._through(0, [data]))
        except _BROKEN as error:
            raise Corrupt("decode", self._name, str(error)) from error

    def finish(self) -> bytes:
        """Call after the last byte; gives what was held back, which is nothing for today's codings."""
        if self._fed and not self.truncated and not all(stage.complete() for stage in self._stages):
            raise Corrupt("decode", self._name, "the stream ends before its end")
        return b""

    def _through(self, depth: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.truncated = len(piece) > self._room[depth]
            piece = piece[: self._room[depth]]
            self._room[depth] -= len(piece)
            if depth == len(self._stages):
                yield piece
            else:
                yield from self._through(depth + 1, self._stages[depth].feed(piece))
            if self.truncated:
                return


def _stage(name: str) -> _Stage:
    match name:
        case "gzip" | "x-gzip":
            return _Members(lambda: isal_zlib.decompressobj(31), b"\x1f\x8b")
        case "deflate":
            return _Deflate()
        case "br":
            return _Brotli()
        case "zstd":
            return _Zstd()
    raise Corrupt("decode", name, "an unknown content coding", "gzip, deflate, br, zstd and identity are known")


class _Members:
    """zlib-like streams one after the other, each opening with `magic`; other bytes after the first are padding."""

    def __init__(self, start: Callable[[], isal_zlib.Decompress], magic: bytes) -> None:
        self._start: Final = start
        self._magic: Final = magic
        self._current = start()
        self._members = 1
        self._held = b""
        self._padding = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._held = self._held + data, b""
        full = False  # isal may have taken all input and still owe output
        while (data or full) and not self._padding:
            if self._current.eof and not self._next(data):
                return
            out = self._current.decompress(data, _STEP)
            data = self._current.unused_data if self._current.eof else self._current.unconsumed_tail
            full = len(out) == _STEP and not self._current.eof
            if out:
                yield out

    def _next(self, data: bytes) -> bool:
        """Whether another member starts here; bytes that are too few to tell are kept for the next call."""
        if len(data) < len(self._magic) and self._magic.startswith(data):
            self._held = data
            return False
        if not data.startswith(self._magic):
            self._padding = True
            return False
        if self._members == MAX_MEMBERS:
            raise Corrupt("decode", "gzip", f"more than {MAX_MEMBERS} members")
        self._members += 1
        self._current = self._start()
        return True

    def complete(self) -> bool:
        return bool(self._current.eof)


class _Deflate:
    """zlib's format, as the standard says, or raw deflate, as some servers send: the first two bytes tell."""

    def __init__(self) -> None:
        self._inner: _Members | None = None
        self._held = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        data, self._held = self._held + data, b""
        if self._inner is None:
            if len(data) < 2:
                self._held = data
                return
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._inner = _Members(lambda: isal_zlib.decompressobj(15 if is_zlib else -15), b"\x00never")
        yield from self._inner.feed(data)

    def complete(self) -> bool:
        return self._inner is not None and self._inner.complete()


class _Brotli:
    def __init__(self) -> None:
        self._current = brotli.Decompressor()

    def feed(self, data: bytes) -> Iterator[bytes]:
        if self._current.is_finished():
            return
        out = self._current.process(data, output_buffer_limit=_STEP)
        while out:  # it "can accept more data" even while it owes output
            yield out
            out = b"" if self._current.is_finished() else self._current.process(b"", output_buffer_limit=_STEP)

    def complete(self) -> bool:
        return bool(self._current.is_finished())


class _Zstd:
    def __init__(self) -> None:
        self._context: Final = zstandard.ZstdDecompressor(max_window_size=WINDOW_BYTES)
        self._current = self._context.decompressobj()
        self._frames = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        view = memoryview(data)
        for start in range(0, len(view), _ZSTD_STEP):
            rest = bytes(view[start : start + _ZSTD_STEP])
            while rest:
                if self._current.eof:
                    self._frames += 1
                    if self._frames > MAX_MEMBERS:
                        raise Corrupt("decode", "zstd", f"more than {MAX_MEMBERS} frames")
                    self._current = self._context.decompressobj()
                if out := self._current.decompress(rest):
                    yield out
                rest = self._current.unused_data if self._current.eof else b""

    def complete(self) -> bool:
        return self._current.eof
