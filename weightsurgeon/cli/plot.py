"""weightsurgeon plot KIND FILE [--tensor NAME] -o OUT.png"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import SurgeryError, shown

if TYPE_CHECKING:
    from ..formats.base import Checkpoint
    from ..inspection.drawing import Drawing

HELP = """Draw weights, with numbers on every scale. kernels: the filters of a first layer;
nmf: hidden kernels in three colours by one factorisation; small-multiples: single maps,
strongest first; banding: bands in the kernels; hist: log2|w|; norms: L2 of every kernel."""


def arguments(parser: ArgumentParser) -> None:
    """The words of `plot`."""
    add = parser.add_argument
    add("kind", choices=list(KINDS), help="what to draw")
    add("file", help="a checkpoint")
    add("--tensor", metavar="NAME", help="which kernel; by default the first that fits")
    add("--unit", dest="units", type=int, action="append", metavar="U",
        help="only this output unit; repeatable")  # fmt: skip
    add("--scale", choices=("filter", "global", "minmax"), default="filter",
        help="kernels: one scale a filter (default), one for all, or black to white")  # fmt: skip
    add(
        "--axes",
        metavar="AXES",
        help='how the kernel lies, where the file does not tell: "out in kh kw"',
    )
    add("--labels", metavar="FILE", help="names of the units, one a line")
    add("--top", type=int, default=8, metavar="N", help="small-multiples: inputs a unit (8)")
    add("--zoom", type=int, default=8, metavar="N", help="pixels a weight (8)")
    add("-o", dest="output", required=True, metavar="OUT", help="a .png or a .svg")


def run(args: Namespace) -> int:
    """Draw, write, tell."""
    from ..formats.commit import demand_suffix
    from ..opening import open_checkpoint
    from .shared import PICTURES, print_json, write_picture

    demand_suffix(args.output, "a picture", PICTURES)
    with open_checkpoint(args.file) as checkpoint:
        drawing = KINDS[args.kind](checkpoint, args)
    write_picture(args.output, drawing)
    width, height = drawing.size
    if args.json:
        picture = {"title": drawing.title, "path": args.output, "width": width, "height": height}
        print_json({"weightsurgeon_json": 1, "command": "plot", "picture": picture})
    else:
        print(f"{shown(drawing.title)} → {shown(args.output)} ({width}×{height})")
    return 0


def _chosen(found: Checkpoint, args: Namespace, fits: Callable[[int], bool]) -> tuple[str, Any]:
    """The kernel that is asked for, or the first whose inputs fit."""
    from ..inspection.kernel import kernel_of, kernels

    name = args.tensor or next((n for n, inputs in kernels(found).items() if fits(inputs)), None)
    if name is None:
        known = ", ".join(map(shown, list(found)[:5]))
        raise SurgeryError(f"no kernel here that fits {args.kind}; say --tensor, of {known}, …")
    kernel = kernel_of(found, name, args.axes)
    wrong = [u for u in args.units or () if not 0 <= u < kernel.shape[3]]
    if wrong:
        raise SurgeryError(f"{shown(name)} has units 0..{kernel.shape[3] - 1}, not {wrong[0]}")
    return name, kernel


def _title(name: str, kernel: Any) -> str:
    h, w, inputs, outputs = kernel.shape
    return f"{shown(name)} {h}×{w}, {inputs} → {outputs}"


def _kernels(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.filters import kernels

    name, kernel = _chosen(found, args, lambda inputs: inputs in (1, 3, 4))
    labels = _labels(args.labels, kernel.shape[3])
    try:
        return kernels(kernel, _title(name, kernel), args.scale, args.units, labels, args.zoom)
    except ValueError as error:
        raise SurgeryError(f"{shown(name)}: {error}") from error


def _labels(path: str | None, units: int) -> list[str] | None:
    if path is None:
        return None
    lines = Path(path).read_text("utf-8").splitlines()
    if len(lines) != units:
        raise SurgeryError(f"{shown(path)}: {len(lines)} labels for {units} units")
    return lines


def _nmf(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.filters import nmf

    name, kernel = _chosen(found, args, lambda inputs: inputs > 4)
    return nmf(kernel, _title(name, kernel), args.units, zoom=args.zoom)[0]


def _small_multiples(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.filters import small_multiples

    name, kernel = _chosen(found, args, lambda inputs: True)
    return small_multiples(kernel, _title(name, kernel), args.units, args.top, args.zoom)


def _banding(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.charts import bands
    from ..inspection.connections import banding

    name, kernel = _chosen(found, args, lambda inputs: True)
    return bands(_title(name, kernel), banding(kernel))


def _hist(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.charts import histogram
    from ..inspection.measuring import stats

    name = args.tensor or max(found, key=lambda n: found[n].spec.size)
    summary = stats(found, [name])[name]
    if summary.low is None:
        raise SurgeryError(f"{shown(name)}: integers and empty tensors have no histogram")
    return histogram(f"{shown(name)}: log2 |w|", summary.low, summary.counts)


def _norms(found: Checkpoint, args: Namespace) -> Drawing:
    from ..inspection.charts import bars
    from ..inspection.kernel import kernels
    from ..inspection.measuring import stats

    names = list(kernels(found)) or [n for n in found if len(found[n].spec.shape) > 1]
    if not names:
        raise SurgeryError("no kernels here")
    rows = [(shown(t.name), t.summary.l2 or 0.0) for t in stats(found, names).tensors]
    return bars("L2 norm of each kernel", rows)


KINDS: dict[str, Callable[[Checkpoint, Namespace], Drawing]] = {
    "kernels": _kernels,
    "nmf": _nmf,
    "small-multiples": _small_multiples,
    "banding": _banding,
    "hist": _hist,
    "norms": _norms,
}
