"""What importing the package costs."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "heavy", ["keyring", "secretstorage", "cryptography", "tomlkit", "filelock", "asyncio"]
)
def test_importing_connections_imports_nothing_heavy(heavy: str) -> None:
    program = f"import sys, amp_console.connections; sys.exit({heavy!r} in sys.modules)"

    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
