"""The account of a publish: what each surviving document stands for, and why each other one is gone.

Invariants: a row that entered as a member leaves as a survivor or as one removal; a removal names a survivor that
stays for that use; the cluster sizes of survivors add up to survivors and duplicates.
"""

from __future__ import annotations

import duckdb

from pipeline.dedup.bands import BANDS
from pipeline.dedup.order import Walks
from storage.schema import USES, Use


def enter(scratch: duckdb.DuckDBPyConnection, walks: Walks) -> None:
    """Make `survivors` and `edges`, and add the duplicates to `removals`."""
    fates = " UNION ALL ".join(_fates(use, place) for place, use in enumerate(walks))
    scratch.execute(f"CREATE TABLE work.fates AS {fates}")
    # The row names what removed a document in the first use that it was eligible for.
    scratch.execute(
        """
        CREATE TABLE work.removed AS
        SELECT row, arg_min(fate, place) AS fate FROM work.fates GROUP BY row HAVING bool_and(fate IS NOT NULL)"""
    )
    scratch.execute(
        """
        INSERT INTO removals
        SELECT gone.capture_id, gone.doc_id, gone.url, fate.reason, NULL, NULL,
               stays.capture_id, fate.bands, fate.jaccard, fate.containment
        FROM work.removed JOIN work.documents AS gone ON gone.row = removed.row
        JOIN work.documents AS stays ON stays.row = fate.survivor"""
    )
    _survivors(scratch, walks)
    _edges(scratch, walks)


def _fates(use: Use, place: int) -> str:
    """SQL: what a use does to each of its members: a null fate is survival.

    A document that falls takes its exact copies with it, to the same survivor: their text is the one compared.
    """
    return f"""
        SELECT members.row, {place} AS place, CASE
            WHEN fallen.doc IS NOT NULL THEN struct_pack(
                reason := fallen.reason, survivor := heir.row, bands := fallen.bands,
                jaccard := fallen.jaccard, containment := fallen.containment)
            WHEN members.row <> copy.row THEN struct_pack(
                reason := 'exact', survivor := copy.row, bands := {BANDS}::SMALLINT,
                jaccard := 1.0::DOUBLE, containment := 1.0::DOUBLE)
            END AS fate
        FROM work.ranks_{use} AS members JOIN work.firsts_{use} AS copy USING (doc)
        LEFT JOIN work.fallen_{use} AS fallen USING (doc)
        LEFT JOIN work.firsts_{use} AS heir ON heir.doc = fallen.survivor"""


def _survivors(scratch: duckdb.DuckDBPyConnection, walks: Walks) -> None:
    stands = {use: place for place, uses in enumerate(walks.values()) for use in uses}
    serves = ", ".join(
        f"coalesce(bool_or(place = {stands[use]} AND fate IS NULL), false) AS serves_{use}" for use in USES
    )
    scratch.execute(
        f"""
        CREATE OR REPLACE TABLE survivors AS
        WITH staying AS (SELECT row, {serves} FROM work.fates GROUP BY row HAVING bool_or(fate IS NULL)),
             lost AS (SELECT fate.survivor AS row, count(*) AS copies FROM work.removed GROUP BY fate.survivor)
        SELECT capture_id, (1 + coalesce(copies, 0))::INTEGER AS cluster_size, {", ".join(f"serves_{u}" for u in USES)}
        FROM staying JOIN work.documents USING (row) LEFT JOIN lost USING (row)"""
    )


def _edges(scratch: duckdb.DuckDBPyConnection, walks: Walks) -> None:
    """Each verified pair, between the captures that stood for the two texts in some use."""
    met = " UNION ".join(
        f"""
        SELECT x.row AS x, y.row AS y, jaccard, containment, bands
        FROM work.near JOIN work.firsts_{use} AS x ON x.doc = a JOIN work.firsts_{use} AS y ON y.doc = b"""
        for use in walks
    )
    scratch.execute(
        f"""
        CREATE OR REPLACE TABLE edges AS
        SELECT least(one.capture_id, other.capture_id) AS capture_id_a,
               greatest(one.capture_id, other.capture_id) AS capture_id_b, jaccard, containment, bands
        FROM ({met}) JOIN work.documents AS one ON one.row = x JOIN work.documents AS other ON other.row = y"""
    )
