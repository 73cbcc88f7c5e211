"""What every benchmark returns, and how it is printed: ours, the peers, and ratios from one run."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One contestant: its name and its figure in the benchmark's unit; `detail` for what explains it."""

    name: str
    value: float
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """One benchmark: `ours` first, then its peers, on the same input in the same run."""

    bench: str
    unit: str
    input: str
    ours: Entry
    peers: list[Entry]

    def as_json(self) -> dict[str, Any]:
        ratios = {peer.name: self.ours.value / peer.value for peer in self.peers}
        return {**asdict(self), "ratios": ratios, "cores": os.cpu_count(), "python": platform.python_version()}

    def render(self) -> str:
        lines = [f"{self.bench}: {self.input}", f"{'':<34}{self.unit:>14}{'ours is':>12}"]
        lines.append(f"{self.ours.name:<34}{self.ours.value:>14,.1f}")
        lines += [f"{peer.name:<34}{peer.value:>14,.1f}{self.ours.value / peer.value:>11.2f}x" for peer in self.peers]
        for entry in (self.ours, *self.peers):
            if entry.detail:
                lines.append(f"  {entry.name}: {json.dumps(entry.detail)}")
        return "\n".join(lines)
