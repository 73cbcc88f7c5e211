"""Frames between the cleaning process and its children: a kind, a length, that many bytes, over a Unix socket."""

from __future__ import annotations

import socket
import struct
from typing import Final

import pyarrow as pa

CHUNK: Final = b"C"  # pages for a child: an Arrow stream
BEGIN: Final = b"B"  # a child begins its next page
DONE: Final = b"D"  # its documents: an Arrow stream
RECIPE: Final = b"R"  # what a child is told first: JSON
READY: Final = b"Y"  # the stem has everything loaded
START: Final = b"S"  # to the stem, with the child's socket: make a child
STOP: Final = b"K"  # to the stem: end that child, if it still runs, and say how it ended

_HEAD: Final = struct.Struct("<cQ")


def send(to: socket.socket, kind: bytes, data: bytes = b"", descriptor: int | None = None) -> None:
    """Send one frame, with an open file descriptor if there is one.

    Raises:
        OSError: the other end is gone, or does not read within the socket's timeout.
    """
    head = _HEAD.pack(kind, len(data))
    if descriptor is None:
        to.sendall(head)
    else:
        socket.send_fds(to, [head], [descriptor])
    to.sendall(data)


def receive(source: socket.socket) -> tuple[bytes, bytes]:
    """The next frame: kind and data.

    Raises:
        EOFError: the other end is gone.
        OSError: it does not send within the socket's timeout.
    """
    kind, length = _HEAD.unpack(_exactly(source, _HEAD.size))
    return kind, _exactly(source, length)


def receive_with_descriptor(source: socket.socket) -> tuple[bytes, bytes, int | None]:
    """The next frame and the file descriptor that came with it."""
    head, descriptors, _, _ = socket.recv_fds(source, _HEAD.size, 1)
    kind, length = _HEAD.unpack(
        head + _exactly(source, _HEAD.size - len(head)) if head else _exactly(source, _HEAD.size)
    )
    return kind, _exactly(source, length), next(iter(descriptors), None)


def _exactly(source: socket.socket, length: int) -> bytes:
    data = bytearray(length)
    view = memoryview(data)
    while view:
        got = source.recv_into(view)
        if not got:
            raise EOFError
        view = view[got:]
    return bytes(data)


def packed(table: pa.Table) -> bytes:
    """A table as an Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def unpacked(data: bytes) -> pa.Table:
    """The table in an Arrow stream."""
    with pa.ipc.open_stream(data) as stream:
        return stream.read_all()
