"""Live sessions: events arrive all the time, and cohorts follow seconds later."""
