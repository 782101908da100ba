"""The kinds of queries, by what their rows are, with a template for each."""

import enum

from amp_console.sync.sources.warehouse.profiles_sync import segment_query


class QueryKind(enum.StrEnum):
    """What the query of an audience lists, as the editor names it."""

    MEMBERS = "Members"
    CHANGES = "Changes"
    SEGMENT = "Segment's Profiles Sync"

    @property
    def about(self) -> str:
        """What the rows are, in a sentence or two."""
        return _ABOUT[self]

    def template(self, key: str, schema: str) -> str:
        """A query to start with, for the audience with this key and the schema of its space."""
        if self is QueryKind.SEGMENT:
            return segment_query(key or "AUDIENCE_KEY", schema or "SCHEMA")
        return _TEMPLATES[self]


_ABOUT = {
    QueryKind.MEMBERS: (
        "It returns user_id, amplitude_id or both, for every member. Anyone it leaves out has left."
    ),
    QueryKind.CHANGES: (
        "It returns who entered and left, with is_member and changed_at, from :cursor on."
    ),
    QueryKind.SEGMENT: (
        "It lists the members in the tables that Profiles Sync renews every hour. Enter the "
        "audience's key in Segment and the schema of its space."
    ),
}
_TEMPLATES = {
    QueryKind.MEMBERS: "SELECT user_id\n  FROM vips\n WHERE user_id IS NOT NULL",
    QueryKind.CHANGES: (
        "SELECT user_id, is_member, changed_at\n  FROM vip_changes\n WHERE changed_at >= :cursor"
    ),
}
