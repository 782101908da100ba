"""Connections: the list, the form and the field mapping."""
