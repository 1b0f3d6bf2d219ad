"""Lines of every file of the package, largest first; fails where one has grown past the ceiling.

A file that is too long holds a second idea: the cure is to find it, not to squeeze lines.
"""

from __future__ import annotations

import sys
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "weightsurgeon"
CEILING = 250


def main() -> int:
    """Print the table; 1 where a file is too long."""
    sizes = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    for path, lines in sorted(sizes.items(), key=lambda item: -item[1]):
        mark = f"  over {CEILING}" if lines > CEILING else ""
        print(f"{lines:5}  {path.relative_to(PACKAGE.parent)}{mark}")
    print(f"{sum(sizes.values()):5}  in {len(sizes)} files")
    return int(max(sizes.values()) > CEILING)


if __name__ == "__main__":
    sys.exit(main())
