"""Cohorts beside their audiences: differences and repairs."""
