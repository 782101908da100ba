"""Audiences: the home screen, details, settings, and the link to a cohort."""
