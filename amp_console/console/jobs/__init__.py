"""What is under way: syncs, imports, comparisons and live sessions."""
