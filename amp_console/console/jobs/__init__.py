"""Jobs: syncs, imports, comparisons, refreshes, deletion requests and live sessions."""
