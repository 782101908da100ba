"""The places of the console, one file each, with its looks beside it. Each is opened lazily."""
