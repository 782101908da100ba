"""The use cases: import, plan, deliver, follow live, reconcile, query."""
