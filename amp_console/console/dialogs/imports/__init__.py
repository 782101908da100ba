"""Importing event files: choosing them, the progress, and the result."""
