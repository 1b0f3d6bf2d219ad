"""Every link of the documents leads to a file and a heading; the network is not tried."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)[^)]*\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def main() -> int:
    """Print the links that lead nowhere; 1 where there is one."""
    documents = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
    dead = [line for path in documents for line in dead_links(path)]
    print("\n".join(dead) or f"{len(documents)} documents, no dead link")
    return int(bool(dead))


def dead_links(path: Path) -> Iterator[str]:
    """A line for each link of a document that leads nowhere."""
    for link in LINK.findall(CODE.sub("", path.read_text())):
        if re.match(r"[a-z]+:", link):
            continue  # another site: the network is no part of a check
        target, _, anchor = link.partition("#")
        file = path.parent / target if target else path
        if not file.exists():
            yield f"{path.relative_to(ROOT)}: {link}: no such file"
        elif anchor and file.suffix == ".md" and anchor not in anchors(file):
            yield f"{path.relative_to(ROOT)}: {link}: no such heading"


def anchors(path: Path) -> set[str]:
    """The anchors of a document's headings, as the forges make them."""
    headings = HEADING.findall(CODE.sub("", path.read_text()))
    return {re.sub(r"[^\w\- ]", "", h.lower()).strip().replace(" ", "-") for h in headings}


if __name__ == "__main__":
    sys.exit(main())
