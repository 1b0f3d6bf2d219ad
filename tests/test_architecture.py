"""The house: which room may know which, read from the source and not from what happens to run.

A module imports only from its left (see `LEFT`), also inside functions: a lazy import does not
excuse a wrong direction. Blocks under `TYPE_CHECKING` are left out, as they import nothing.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "weightsurgeon"
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
CEILING = 250

# A module stands in the room of its longest prefix here; a new one has to be given a place.
ROOMS = {
    "errors": "errors grouping table",
    "spec": "spec notation",
    "kernels": "kernels packed random_bits ranking",
    "expr": "expr inverse blocks workers tally",
    "ops": "ops",
    "simplify": "simplify",
    "layout": "layout arrange sizing",
    "formats.base": "formats.base formats.files formats.commit formats.file_sink formats.archive"
    " formats.archive_layout formats.inflate formats.json_data formats.graph formats.listing",
    "formats": "formats",
    "conventions": "conventions neutral",
    "opening": "opening",
    "plan": "plan pending encoding",
    "execute": "execute copies reducing foldings",
    "outcome": "outcome costs",
    "mapping": "mapping",
    "comparison": "comparison sanity",
    "forward": "forward",
    "steps": "steps",
    "planning": "planning surgery carrying slots",
    "writing": "writing",
    "api": "api fused fused_keras pruner soft_updater stored verifying",
    "inspection": "inspection",
    "cli": "cli __main__",
    "public": "",  # weightsurgeon/__init__.py: the table of public names
}
# room: the rooms next to it on the left; it may import these and all that is left of them
LEFT = {
    "errors": "",
    "spec": "errors",
    "kernels": "spec",
    "expr": "kernels",
    "ops": "expr",
    "simplify": "ops",
    "layout": "ops",
    "formats.base": "expr",
    "formats": "formats.base",
    "conventions": "layout formats.base",
    "opening": "conventions formats",
    "plan": "conventions simplify",
    "execute": "plan",
    "outcome": "execute",
    "mapping": "plan",
    "inspection": "planning comparison",
    "comparison": "mapping outcome",
    "forward": "comparison formats",
    "steps": "mapping opening",
    "planning": "steps",
    "writing": "execute formats",
    "api": "planning writing forward",
    "cli": "api inspection public",
    "public": "api inspection",
}
# what a room shall not know though it stands on its left
BLIND = {
    "execute": "ops",  # neither an op nor a format by name
    "outcome": "ops",
}
ANYWHERE = {"torch", "tensorflow", "keras", "onnx", "h5py", "yaml", "matplotlib"}
ABOUT = {  # the one file about it
    "yaml": "mapping.yaml_data",
    "matplotlib": "inspection.figures",
}
HEAVY = {"numpy", "ml_dtypes", "rich"}
LIGHT = {"errors", "spec", "expr", "ops", "layout", "conventions", "formats.base", "formats"}


class Import(NamedTuple):
    """An import as it stands in a file: the full name, and whether importing the file runs it."""

    target: str
    line: int
    at_module_level: bool


def short(module: str) -> str:
    """The name inside the package."""
    return module.partition(".")[2]


def room(module: str) -> str:
    """The room of a module of the package; "" for one that has no place yet."""
    name = short(module)
    if not name:
        return "public"
    places = {place: room for room, names in ROOMS.items() for place in names.split()}
    while name and name not in places:
        name = name.rpartition(".")[0]
    return places.get(name, "")


@cache
def left_of(room: str) -> frozenset[str]:
    """All rooms that a room may import from, itself included."""
    return frozenset({room}).union(*(left_of(r) for r in LEFT[room].split()))


@cache
def imports(module: str) -> tuple[Import, ...]:
    """What a module imports, anywhere in it, `TYPE_CHECKING` apart."""
    tree = ast.parse(MODULES[module].read_text())
    return tuple(_imports(module, tree, at_module_level=True))


def _imports(module: str, node: ast.AST, at_module_level: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        for branch in node.orelse:
            yield from _imports(module, branch, at_module_level)
        return
    if isinstance(node, ast.Import):
        yield from (Import(n.name, node.lineno, at_module_level) for n in node.names)
    if isinstance(node, ast.ImportFrom):
        base = _base(module, node)
        for n in node.names:
            name = f"{base}.{n.name}"
            yield Import(name if name in MODULES else base, node.lineno, at_module_level)
    inside = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
    for child in ast.iter_child_nodes(node):
        yield from _imports(module, child, at_module_level and not inside)


def _base(module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    is_package = MODULES[module].name == "__init__.py"
    parts = module.split(".")[: len(module.split(".")) - node.level + is_package]
    return ".".join([*parts, *filter(None, [node.module])])


def own(module: str) -> Iterator[Import]:
    """The imports from within the package."""
    return (i for i in imports(module) if i.target.split(".")[0] == "weightsurgeon")


@pytest.mark.parametrize("module", MODULES)
def test_every_module_has_a_room(module: str) -> None:
    assert room(module), f"{module} stands in no row of ROOMS: what must it know?"


@pytest.mark.parametrize("module", [m for m in MODULES if room(m)])
def test_imports_point_to_the_left(module: str) -> None:
    here = room(module)
    may = left_of(here) - set(BLIND.get(here, "").split())
    wrong = sorted(
        {
            f"{short(i.target)} ({room(i.target) or 'no room'}, line {i.line})"
            for i in own(module)
            if room(i.target) not in may
        }
    )
    assert not wrong, f"{module} ({here}) may not import {wrong}"


def test_there_is_no_cycle() -> None:
    graph = {module: {i.target for i in own(module)} - {module} for module in MODULES}
    order = list(TopologicalSorter(graph).static_order())  # a CycleError names the circle
    assert set(order) >= set(MODULES)


@pytest.mark.parametrize("module", MODULES)
def test_heavy_modules_are_imported_where_they_are_needed(module: str) -> None:
    banned = ANYWHERE | (HEAVY if room(module) in LIGHT else set())
    wrong = [
        f"line {i.line}: {i.target}"
        for i in imports(module)
        if i.at_module_level
        and (top := i.target.split(".")[0]) in banned
        and ABOUT.get(top) != short(module)
    ]
    assert not wrong, f"{module} imports at module level {wrong}"


@pytest.mark.parametrize("module", MODULES)
def test_a_file_is_short_and_says_what_it_is_about(module: str) -> None:
    path = MODULES[module]
    assert len(path.read_text().splitlines()) <= CEILING, f"{path.name}: look for a second idea"
    assert path.stem not in {"utils", "helpers", "manager", "data"}
    assert ast.get_docstring(ast.parse(path.read_text())), f"{path.name} has no docstring"


def modules_after(code: str, *argv: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds when the code has run."""
    tail = "import json, sys; print(json.dumps(sorted({m.split('.')[0] for m in sys.modules})))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tail}", *argv],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


CLI = """
import sys
from weightsurgeon.cli import main
sys.argv[0] = "weightsurgeon"
try:
    code = main()
except SystemExit as stop:
    code = stop.code
if code:
    sys.exit(f"exit code {code}")
"""
FRAMEWORKS = {"torch", "tensorflow", "keras", "onnx", "h5py"}


def test_importing_the_package_imports_nothing_heavy() -> None:
    loaded = modules_after("import weightsurgeon")
    assert not loaded & (ANYWHERE | HEAVY)


def test_inspecting_a_file_imports_no_framework_and_no_numpy(tiny: Path) -> None:
    loaded = modules_after(CLI, "inspect", str(tiny))
    assert not loaded & (FRAMEWORKS | {"numpy", "ml_dtypes"})


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after(CLI, "--help")
    assert not loaded & (ANYWHERE | HEAVY)
