"""Process time of the answers that import nothing heavy: `--help` and `--version`.

    python tests/benchmarks/start_up.py [rounds]

Printed are medians of user + system seconds, beside a bare interpreter's; 0.25 s is the limit.
"""

import os
import statistics
import subprocess
import sys


def seconds(*arguments: str) -> float:
    """Run Python with these arguments; return the process time it took."""
    with subprocess.Popen([sys.executable, *arguments], stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Print the medians."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    module = ("-m", "amp_console")
    for arguments in (("-c", "pass"), (*module, "--version"), (*module, "--help")):
        times = [seconds(*arguments) for _ in range(rounds)]
        print(f"{' '.join(arguments):<30} {statistics.median(times):.3f} s")


if __name__ == "__main__":
    main()
