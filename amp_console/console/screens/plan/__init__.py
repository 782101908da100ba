"""The plan of a sync."""
