"""weightsurgeon invert MAP -o INV"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from ..errors import shown
from .shared import print_json

HELP = """Write the inverse of a mapping as YAML: what its rules read, the inverse writes. Rules
that do not lead back to the same values are listed by line and class, and nothing is written
(exit code 2), unless --lossy asks for the best there is. Comments are not kept."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `invert`."""
    parser.add_argument("map", metavar="MAP", help="a YAML file, or the name of a shipped mapping")
    parser.add_argument("-o", dest="output", metavar="INV", help="the file to make, else print")
    text = "of a mapping with several sources: to which of them the way leads"
    parser.add_argument("--for", dest="alias", default="", metavar="ALIAS", help=text)
    text = "also write rules that need a base, keep the function only, or lose"
    parser.add_argument("--lossy", action="store_true", help=text)


def run(args: Namespace) -> int:
    """Invert and write."""
    from ..formats.commit import demand_suffix, write_text
    from ..mapping.invert import invert
    from ..mapping.load import find, read_text
    from ..mapping.yaml_text import dump

    if args.output:
        demand_suffix(args.output, "a mapping", (".yaml", ".yml"))
    path = find(args.map)
    found = invert(read_text(path), path.name, args.lossy, args.alias)
    text = dump(found.value)
    if args.output:
        write_text(args.output, text)
    if args.json:
        print_json(
            {
                "weightsurgeon_json": 1,
                "command": "invert",
                "output": {"path": args.output or ""},
                "classes": dict(found.classes),
                "mapping": text,
            }
        )
    elif not args.output:
        print(text, end="")
    else:
        counts = ", ".join(f"{n} {class_}" for class_, n in found.classes.items())
        print(f"{counts or 'no rules'} → {shown(args.output)}")
    return 0
