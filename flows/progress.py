"""Progress of long work on standard error: a live bar on a terminal, else a plain line now and then.

Standard output stays for results, so that every command can be piped.
"""

from __future__ import annotations

import time
from types import TracebackType
from typing import Final, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

PLAIN_EVERY: Final = 2.0
"""Seconds between two lines where there is no terminal."""

console: Final = Console(stderr=True, highlight=False, soft_wrap=True)


class Meter:
    """What one long step has done so far. The first line appears as soon as the step begins."""

    def __init__(self, step: str, unit: str, *, quiet: bool = False) -> None:
        self._step = step
        self._unit = unit
        self._quiet = quiet
        self._started = self._last_line = time.monotonic()
        self._done = 0
        self._bar: Progress | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        if self._quiet:
            return self
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
            self._bar = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
            self._bar.start()
            self._task = self._bar.add_task(self._step, total=None, note="starting")
        else:
            console.print(f"{self._step}: starting")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def update(self, done: int, total: int | None = None, note: str = "") -> None:
        """Say that `done` of `total` units are finished; None where the total can not be known."""
        self._done = done
        if self._quiet:
            return
        now = time.monotonic()
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, note=self._line(done, total, note, now))
        elif now - self._last_line >= PLAIN_EVERY:
            self._last_line = now
            console.print(f"{self._step}: {self._line(done, total, note, now)}")

    def finish(self, text: str) -> None:
        """Close the step with one line that stays on the screen."""
        if self._bar is not None:
            self._bar.stop()
        if not self._quiet:
            console.print(f"{self._step}: {text} in {time.monotonic() - self._started:.1f} s")

    def _line(self, done: int, total: int | None, note: str, now: float) -> str:
        of = f" of {total:,}" if total is not None else ""
        rate = done / max(now - self._started, 1e-3)
        return f"{done:,}{of} {self._unit}, {rate:,.0f}/s" + (f", {note}" if note else "")
