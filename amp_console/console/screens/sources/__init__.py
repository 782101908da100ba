"""Sources: warehouses with their queries, buckets and followed files, and the query editor."""
