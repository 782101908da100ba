"""Where events come from: files, growing files, folders, webhooks and streams."""
