"""Run a module as `python -m` would and write down the peak memory that this process came to.

The process reads its own VmHWM at its end: the system's ru_maxrss passes through fork and exec,
so a child of a large parent would report the parent.

    python benchmarks/child.py PEAK_FILE MODULE [ARGUMENT …]
"""

import os
import runpy
import sys


def peak_kib() -> int:
    """The most memory this process ever had resident, in KiB."""
    with open("/proc/self/status") as status:  # noqa: PTH123  # pathlib would count as ours
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))


def main() -> None:
    """Run what is asked for, whatever way it ends."""
    _, peak_file, module, *arguments = sys.argv
    sys.path[0] = ""
    sys.argv = [module, *arguments]
    leave = os._exit

    def note() -> None:
        sys.stdout.flush()
        with open(peak_file, "w") as file:  # noqa: PTH123
            file.write(str(peak_kib()))

    def note_and_leave(code: int) -> None:
        note()
        leave(code)

    os._exit = note_and_leave  # type: ignore[assignment]  # a command that leaves at once is noted too
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        note()


if __name__ == "__main__":
    main()
