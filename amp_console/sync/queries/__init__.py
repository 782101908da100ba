"""What the front ends ask: status, one person, one request, history, cohorts."""
