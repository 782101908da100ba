"""The screens of the console: a file or package each, with its style sheet beside it."""
