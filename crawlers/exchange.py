"""One HTTP request with its response, or with the failure that came instead. Any outcome is a value."""

from __future__ import annotations

from dataclasses import dataclass

from storage.schema import Kind, Outcome

Headers = tuple[tuple[str, str], ...]
"""Names and values in the order of the wire; text is Latin-1."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What a node brings home for one URL.

    `body` is decoded (transfer and content coding removed) and bounded; `truncated` says by what it was cut.
    `status` is None for a failure; then `error` says more. Times are epoch seconds.
    """

    url: str
    kind: Kind
    started: float
    elapsed_ms: int
    outcome: Outcome
    request_headers: Headers
    status: int | None = None
    reason: str = ""
    headers: Headers = ()
    body: bytes = b""
    truncated: str | None = None  # "length", "time"
    ip: str | None = None
    error: str | None = None

    def header(self, name: str) -> str | None:
        """The first value of a response header; None when there is none."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)
