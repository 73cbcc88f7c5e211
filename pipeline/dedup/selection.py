"""Which documents may stand in a corpus at all: what a policy decides without comparing texts.

Order of reasons, the first that applies: superseded, no_text, language, the rules in the policy's order, rights.
Invariant: afterwards each input row is either in `removals` or in `work.members`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import duckdb

from pipeline.policy import Policy
from storage.schema import USES

REMOVALS_TABLE: Final = """
    CREATE OR REPLACE TABLE removals (
        capture_id BLOB, doc_id BLOB, url VARCHAR, reason VARCHAR, value DOUBLE, threshold DOUBLE,
        survivor_capture_id BLOB, shared_bands SMALLINT, jaccard DOUBLE, containment DOUBLE)"""


class _Test(NamedTuple):
    """SQL over `work.documents`: when `fails` is true the row goes, for `reason`."""

    fails: str
    reason: str
    value: str = "NULL"
    threshold: str = "NULL"


def select(scratch: duckdb.DuckDBPyConnection, policy: Policy) -> None:
    """Move every row of `work.documents` into `removals` or `work.members` (row, doc)."""
    scratch.execute(REMOVALS_TABLE)
    _find_newest(scratch)
    tests = _tests(policy)
    cases = [
        f"CASE {' '.join(f'WHEN {test.fails} THEN {result}' for test, result in zip(tests, results, strict=True))} END"
        for results in (
            [f"'{test.reason}'" for test in tests],
            [test.value for test in tests],
            [test.threshold for test in tests],
        )
    ]
    scratch.execute(
        f"""
        CREATE TABLE work.verdicts AS
        SELECT row, {cases[0]} AS reason, {cases[1]} AS value, {cases[2]} AS threshold, newest
        FROM work.documents LEFT JOIN work.superseded USING (row)"""
    )
    scratch.execute(
        """
        INSERT INTO removals
        SELECT capture_id, doc_id, url, reason, value, threshold,
               CASE WHEN reason = 'superseded' THEN newest END, NULL, NULL, NULL
        FROM work.verdicts JOIN work.documents USING (row) WHERE reason IS NOT NULL"""
    )
    admit(scratch, "row IN (SELECT row FROM work.verdicts WHERE reason IS NULL)")


def admit(scratch: duckdb.DuckDBPyConnection, condition: str) -> None:
    """Fill `work.members` with the rows that meet `condition`; `doc` is one number for all rows of equal doc_id."""
    scratch.execute(
        f"""
        CREATE TABLE work.members AS
        SELECT row, min(row) OVER (PARTITION BY doc_id) AS doc FROM work.documents WHERE {condition}"""
    )


def _find_newest(scratch: duckdb.DuckDBPyConnection) -> None:
    """`work.superseded`: rows whose URL has a newer version, and that version; equal times go by capture_id."""
    scratch.execute(
        """
        CREATE TABLE work.superseded AS
        SELECT row, newest FROM (
            SELECT row, capture_id, first_value(capture_id) OVER (
                PARTITION BY url ORDER BY fetched_at DESC NULLS LAST, capture_id) AS newest
            FROM work.documents
            WHERE url IN (SELECT url FROM work.documents GROUP BY url HAVING count(*) > 1))
        WHERE newest <> capture_id"""
    )


def denied_for_all(policy: Policy) -> str:
    """SQL: the publisher said no to every use, and the policy listens. Unknown is not denied here."""
    if policy.rights == "record":
        return "false"
    return " AND ".join(f"rights_{use} IS NOT DISTINCT FROM false" for use in USES)


def _tests(policy: Policy) -> list[_Test]:
    tests = [_Test("newest IS NOT NULL", "superseded"), _Test("doc_id IS NULL", "no_text")]
    if policy.languages:
        tests.append(_Test(f"NOT {_speaks(policy.languages)}", "language"))
    for rule in policy.thresholds:
        judged = f"NOT {_speaks(rule.exempt)} AND " if rule.exempt else ""
        for sign, bound in (("<", rule.low), (">", rule.high)):
            if bound is not None:
                exact = f"{float(bound)!r}::DOUBLE"
                tests.append(_Test(f"{judged}{rule.measure} {sign} {exact}", rule.measure, rule.measure, exact))
    return [*tests, _Test(denied_for_all(policy), "rights")]


def _speaks(languages: tuple[str, ...]) -> str:
    """SQL: the document is in one of these languages; an unknown language is none of them."""
    codes = ", ".join(f"'{code}'" for code in languages)
    return f"coalesce(lang IN ({codes}), false)"
