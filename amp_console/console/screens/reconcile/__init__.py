"""Reconciling: comparing cohorts with their audiences, and repairing them."""
