"""The funnel: how many rows each step of the path kept, and why the others went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from storage import Store, sql

BAR: Final = 24
"""Characters of the longest bar."""


@dataclass(frozen=True, slots=True)
class Funnel:
    """Counts of the newest snapshots; each dict maps a reason to its rows, most frequent first."""

    captures: int
    outcomes: dict[str, int]  # "<kind> <outcome>"
    decisions: dict[str, int]
    documents: int
    without_text: int
    removals: dict[str, int]
    corpus: int
    languages: dict[str, int]
    hosts: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def funnel(store: Store, *, corpus: str = "corpus") -> Funnel:
    """Count the newest snapshots of a store; tables that do not exist yet count as empty."""
    with sql.connect(store, corpus=corpus) as con:

        def number(query: str) -> int:
            row = con.execute(query).fetchone()
            assert row is not None
            return int(row[0])

        def counts(query: str) -> dict[str, int]:
            return {str(name): int(rows) for name, rows in con.execute(query).fetchall()}

        return Funnel(
            captures=number("SELECT count(*) FROM captures"),
            outcomes=counts("SELECT kind || ' ' || outcome, count(*) AS n FROM captures GROUP BY 1 ORDER BY n DESC, 1"),
            decisions=counts("SELECT reason, count(*) AS n FROM decisions GROUP BY 1 ORDER BY n DESC, 1"),
            documents=number("SELECT count(*) FROM documents"),
            without_text=number("SELECT count(*) FROM documents WHERE doc_id IS NULL"),
            removals=counts("SELECT reason, count(*) AS n FROM removals GROUP BY 1 ORDER BY n DESC, 1"),
            corpus=number("SELECT count(*) FROM corpus"),
            languages=counts("SELECT lang, count(*) AS n FROM corpus GROUP BY 1 ORDER BY n DESC, 1"),
            hosts=number("SELECT count(DISTINCT host) FROM corpus"),
        )


def render(counted: Funnel) -> str:
    """The funnel as lines of text, widest bar first."""
    most = max(counted.captures, counted.documents, 1)
    lines: list[str] = []

    def row(label: str, rows: int, detail: str = "", *, inner: bool = False) -> None:
        bar = "" if inner else "█" * max(1 if rows else 0, round(BAR * rows / most))
        name = f"  {label}" if inner else label
        lines.append(f"{name:<34}{rows:>8,}  {bar}{detail}".rstrip())

    row("captures", counted.captures)
    for name, rows in counted.outcomes.items():
        row(name, rows, inner=True)
    if counted.decisions:
        row("not fetched", sum(counted.decisions.values()))
        for name, rows in counted.decisions.items():
            row(name, rows, inner=True)
    row("documents", counted.documents)
    for name, rows in counted.removals.items():
        row(f"removed: {name}", rows, inner=True)
    row("corpus", counted.corpus)
    languages = ", ".join(f"{name} {rows:,}" for name, rows in list(counted.languages.items())[:12])
    if languages:
        lines.append(f"  {languages}; {counted.hosts:,} hosts")
    return "\n".join(lines)
