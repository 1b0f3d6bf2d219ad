"""Peak memory of a piece of code, measured where nothing else has been: in a child, by the child.

`ru_maxrss` passes through fork and exec, so a child of a large test runner would report the
runner; VmHWM is the child's own.
"""

from __future__ import annotations

import subprocess
import sys

_MEASURED = """
import sys
def _peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
{setup}
_before = _peak()
{code}
print("\\n", _peak() - _before)
"""


def peak_kib(code: str, *arguments: str, setup: str = "", stdin: str | None = None) -> int:
    """KiB by which the peak rises while the code runs, its imports (`setup`) apart."""
    script = _MEASURED.format(setup=setup, code=code)
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1])
