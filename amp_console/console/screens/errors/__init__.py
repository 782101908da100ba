"""Rejected users and invalid events."""
