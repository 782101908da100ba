"""Cohorts compared with their audiences, and differences repaired."""
