"""Sync Twilio Segment Engage audiences into Amplitude cohorts, and account for every user."""

__version__ = "0.1.0"
