"""Dialogs that open in front of a screen."""
