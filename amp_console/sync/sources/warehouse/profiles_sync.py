"""The query of an audience in the tables that Segment's Profiles Sync writes."""

import re

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def segment_query(key: str, schema: str) -> str:
    """Return the query of an audience by its key; `schema` is the space's, DATABASE.SCHEMA too.

    The tables are `user_traits` and `user_identifiers` (Segment's page "Profiles Sync Tables and
    Materialized Views"), which Segment renews every hour. How the value of a trait spells true is
    not documented, so three ways count.
    """
    where = ".".join(_quoted(part) for part in schema.split("."))
    name = key.replace("'", "''")
    return (
        "SELECT DISTINCT i.value AS user_id\n"
        f"  FROM {where}.user_traits AS t\n"
        f"  JOIN {where}.user_identifiers AS i USING (canonical_segment_id)\n"
        f" WHERE t.name = '{name}' AND lower(CAST(t.value AS VARCHAR)) IN ('true', 't', '1')\n"
        "   AND i.type = 'user_id'"
    )


def _quoted(part: str) -> str:
    if _PLAIN.fullmatch(part):
        return part
    return '"' + part.replace('"', '""') + '"'
