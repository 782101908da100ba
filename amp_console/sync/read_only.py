"""Read-only: enforced here, below every front end, so that no screen or command can forget it."""

from amp_console.connections.read_only import ReadOnly, guard, refusal

__all__ = ["ReadOnly", "guard", "refusal"]
