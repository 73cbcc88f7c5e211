"""Decides whether a text is one harmless SELECT, and says in our words why DuckDB stopped a query.

The statement's type is not enough: DuckDB 2.0 calls `WITH x AS (COPY ... TO 'file') SELECT 1` a SELECT, and it writes
the file. So the parsed tree is walked, and only known kinds of query, known table functions and the store's own
tables pass. What the tree can not show (a file behind a function) the locked connection refuses.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any, Final

import duckdb

from storage.errors import BlobMissing, Corrupt, QueryLimit, QueryRefused, ThresherError
from storage.schema import TABLES

MAX_SQL: Final = 100_000
"""Characters of one statement; a parser's tree is some hundred times its text."""

_QUERIES: Final = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

_TABLE_FUNCTIONS: Final = frozenset(
    {
        "duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_tables", "duckdb_types", "duckdb_views",
        "generate_series", "histogram", "histogram_values", "json_each", "json_tree", "pragma_table_info",
        "pragma_version", "range", "repeat", "repeat_row", "summary", "unnest",
    }
)  # fmt: skip
"""None of them reads a file, changes a setting, or runs SQL that stands in a string."""

_REFUSED_FUNCTIONS: Final = frozenset({"getenv", "write_log"})

_CATALOGUES: Final = frozenset({"information_schema", "pg_catalog"})

_HINT: Final = f"one SELECT over {', '.join(TABLES)}"


def one_select(con: duckdb.DuckDBPyConnection, sql: str) -> None:
    """Return when `sql` is exactly one SELECT (or DESCRIBE, SHOW, SUMMARIZE, VALUES) that touches nothing but the
    store's tables; raise QueryRefused otherwise."""
    if len(sql) > MAX_SQL:
        raise _refused(sql, f"{len(sql)} characters of SQL, at most {MAX_SQL} are read")
    try:
        statements = con.extract_statements(sql)
    except duckdb.Error as error:
        raise _refused(sql, str(error)) from error
    if len(statements) != 1:
        raise _refused(sql, f"{len(statements)} statements")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise _refused(sql, f"a statement of type {statements[0].type.name}")
    if statements[0].named_parameters:
        raise _refused(sql, "a parameter without a value")
    found = list(_parts(_tree(con, sql)))
    names = {name for kind, name in found if kind == "cte"} | set(TABLES)
    for kind, name in found:
        if reason := _objection(kind, name, names):
            raise _refused(sql, reason)


def translated(error: Exception, sql: str, files: Collection[str]) -> ThresherError:
    """DuckDB's error about `sql` as ours; `files` are the shards that the connection may read.

    Errors in the middle of a stream arrive as OSError with DuckDB's text, so the text decides, not the class.
    """
    text = str(error)
    if text.startswith("INTERRUPT Error"):
        return QueryLimit("query", shortened(sql), "it took too long", "narrow it, or give it more time")
    if text.startswith("Out of Memory Error"):
        cause = text.splitlines()[0].removeprefix("Out of Memory Error: ")
        return QueryLimit("query", shortened(sql), cause, "narrow it, or give it more memory")
    named = next((file for file in files if file in text), None)
    if named is None:
        return _refused(sql, text, "`DESCRIBE captures` lists the columns of a table")
    if not Path(named).exists():
        return BlobMissing("read", Path(named).name, "the shard is gone", "run `thresher verify`")
    return Corrupt("read", Path(named).name, text, "run `thresher verify`")


def shortened(sql: str) -> str:
    """`sql` on one line of at most 80 characters, for the name in an error."""
    line = " ".join(sql.split())
    return line if len(line) <= 80 else line[:77] + "..."


def _tree(con: duckdb.DuckDBPyConnection, sql: str) -> Any:
    rows = con.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()  # fetchone would leave it open
    try:
        tree = json.loads(rows[0][0])
    except RecursionError:
        raise _refused(sql, "nested too deep") from None
    if tree["error"]:
        raise _refused(sql, tree["error_message"])
    return tree["statements"]


def _parts(tree: Any) -> Iterator[tuple[str, str]]:
    """(what, name) of everything in the tree that a verdict depends on."""
    todo = [tree]
    while todo:
        part = todo.pop()
        if isinstance(part, list):
            todo.extend(part)
        elif isinstance(part, dict):
            todo.extend(part.values())
            yield from _named(part)


def _named(part: dict[str, Any]) -> Iterator[tuple[str, str]]:
    kind = part.get("type")
    if "cte_map" in part or (isinstance(kind, str) and kind.endswith("_NODE")):
        yield "query", str(kind)
        yield from (("cte", entry["key"].lower()) for entry in part.get("cte_map", {}).get("map", ()))
    if "info_type" in part:
        yield "query", part["info_type"]
    if kind == "TABLE_FUNCTION":
        yield "table function", part["function"]["function_name"].lower()
    elif kind == "FUNCTION":
        yield "function", part["function_name"].lower()
    elif kind == "BASE_TABLE" and part["schema_name"].lower() not in _CATALOGUES:
        yield "table", part["table_name"].lower()


def _objection(kind: str, name: str, tables: Collection[str]) -> str | None:
    if kind == "query" and name not in _QUERIES:
        return f"a part that is no SELECT ({name})"
    if kind == "table function" and name not in _TABLE_FUNCTIONS:
        return f"table function {name}"
    if kind == "function" and name in _REFUSED_FUNCTIONS:
        return f"function {name}"
    if kind == "table" and name not in tables and not name.startswith("duckdb_"):
        return f"there is no table {name}"
    return None


def _refused(sql: str, cause: str, hint: str = _HINT) -> QueryRefused:
    return QueryRefused("query", shortened(sql), cause, hint)
