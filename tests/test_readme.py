"""The README can not rot: its commands are run in order, and what they print is compared with what it shows.

Numbers, ids, times and lengths of padding may differ; words may not. A line `...` stands for any lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"


def blocks() -> list[list[str]]:
    """The fenced `console` blocks, as lines."""
    return [found.splitlines() for found in re.findall(r"```console\n(.*?)```", README.read_text(), re.DOTALL)]


def sessions() -> list[tuple[str, list[str]]]:
    """(command, expected lines) of every `$ ` line in those blocks, in order."""
    found: list[tuple[str, list[str]]] = []
    for lines in blocks():
        for line in lines:
            if line.startswith("$ "):
                found.append((line[2:], []))
            elif found:
                found[-1][1].append(line)
    return found


def same(line: str) -> str:
    """A line without what may change from run to run."""
    line = re.sub(r"\b[0-9a-f]{8,64}\b", "<id>", line)
    line = re.sub(r"█+", "█", line)
    line = re.sub(r"[0-9][0-9,.:]*", "<n>", line)
    return re.sub(r"[ ─━-]+", " ", line).strip()


def matches(expected: list[str], printed: list[str]) -> bool:
    """Whether printed lines are the expected ones, where `...` is any number of lines."""
    got = [same(line) for line in printed if line.strip()]
    parts: list[list[str]] = [[]]
    for line in expected:
        if line == "...":
            parts.append([])
        elif line.strip():
            parts[-1].append(same(line))
    first, *middle = parts
    if not middle:
        return got == first
    last = middle.pop()
    at, end = len(first), len(got) - len(last)
    if got[:at] != first or got[end:] != last or at > end:
        return False
    for part in middle:
        at = next(
            (place for place in range(at, end - len(part) + 1) if got[place : place + len(part)] == part), end
        ) + len(part)
    return at <= end


def test_the_readme_shows_the_two_commands_and_five_more() -> None:
    commands = [command for command, _ in sessions()]

    assert commands[:1] == ["thresher demo --keep demo"]
    assert len([command for command in commands if command.startswith("thresher")]) >= 6
    assert {"make demo", "make test"} <= set(re.findall(r"make \w+", README.read_text()))


@pytest.mark.timeout(300)
def test_the_commands_print_what_the_readme_shows(tmp_path: Path) -> None:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    wrong = []
    for command, expected in sessions():
        done = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=200, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if not matches(expected, done.stdout.splitlines()):
            wrong.append(f"$ {command}\n{done.stdout}")

    assert wrong == []
