"""Every exception that Thresher raises on purpose.

An error says what was being done, to what, why it failed, and what to do about it. Failures that are data
(a page that timed out, a robots.txt that is missing) are rows, never exceptions.
"""

from __future__ import annotations


class ThresherError(Exception):
    """Base of all errors of ours: `operation` on `name` failed because of `cause`; `hint` says what to do."""

    def __init__(self, operation: str, name: str, cause: str, hint: str = "") -> None:
        super().__init__(operation, name, cause, hint)
        self.operation = operation
        self.name = name
        self.cause = cause
        self.hint = hint

    def __str__(self) -> str:
        text = f"{self.operation} {self.name}: {self.cause}"
        return f"{text} ({self.hint})" if self.hint else text


class InvalidUrl(ThresherError):
    """The text is not an http(s) URL that Thresher would fetch."""


class NotAStore(ThresherError):
    """There is no Thresher store at that place, or something else lives there."""


class StoreBusy(ThresherError):
    """Another coordinator holds this store's frontier."""


class StoreFull(ThresherError):
    """The disk or the bucket has no room for what had to be written; nothing acknowledged was lost."""


class BlobMissing(ThresherError):
    """A blob that a snapshot refers to is not there."""


class Corrupt(ThresherError):
    """Bytes do not match the digest, the length or the format that they claim."""


class AlreadyExists(ThresherError):
    """A create-only write lost: the name is taken."""


class Conflict(ThresherError):
    """A commit overlaps one that landed first, and can not be rebased."""


class NotFound(ThresherError):
    """No log, snapshot, table, crawl, URL or row of that name."""


class BadReceipt(ThresherError):
    """A receipt's signature, digest or form is wrong: nothing in its bundle is believed."""


class BadBundle(ThresherError):
    """A WARC file that is broken, or not in a form that can be read record by record."""


class BadConfig(ThresherError):
    """A setting, flag, recipe or policy has a value that can not be used."""


class QueryRefused(ThresherError):
    """SQL that is not exactly one SELECT over the store's views."""


class QueryLimit(ThresherError):
    """A query went over its time, memory or row limit."""
