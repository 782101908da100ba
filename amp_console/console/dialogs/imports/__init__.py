"""Importing files of events: choosing them, watching them being read, and the result."""
