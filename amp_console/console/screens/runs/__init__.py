"""Runs: the list, one run, and its playback."""
