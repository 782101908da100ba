"""The commands: arguments in, one result out; they work in pipes, in cron and at a terminal."""

from amp_console.cli.app import main

__all__ = ["main"]
