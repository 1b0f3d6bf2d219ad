"""What the files state of themselves against what a layer rule says: a rule may not override it."""

from __future__ import annotations

from ..errors import SpecError
from ..formats.base import Meaning
from ..layout import Meeting, check_axes, meet
from ..notation import atoms
from ..spec import Axes, TensorSpec

_NEUTRAL = (
    "in out rec unit g b dir kd kh kw d h w c mult vocab embed head dim feature expert group p"
)
NEUTRAL_AXES = frozenset(_NEUTRAL.split())
_SURE = ("file", "metadata")
# of a kind that is two layers elsewhere: role → the kind of the layer that holds it there
_HALVES = {
    "separable": {"depthwise_kernel": "depthwise", "pointwise_kernel": "conv", "bias": "conv"},
    "embedding": {"output_embedding": "linear"},
    "conv_lstm": dict.fromkeys(("kernel", "recurrent_kernel", "bias"), "conv"),
}


def check_kind(stated: Meaning, role: str, kinds: tuple[str, str]) -> None:
    """Refuse a kind that a file denies for certain; `kinds` are the rule's, here and there.

    Errors: SpecError `kind`.
    """
    if stated.kind is None or stated.ground not in _SURE or stated.kind in kinds:
        return
    if stated.kind == "instancenorm" and "groupnorm" in kinds:
        return  # with a group for each channel
    if any(_HALVES.get(kind, {}).get(role) == stated.kind for kind in kinds):
        return
    if stated.kind == "linear" and {"mha", "gqa"} & {*kinds}:
        return  # each projection is a layer of its own, too
    text = f"the file says that it is a {stated.kind}, the rule says {' → '.join(_once(kinds))}"
    raise SpecError(text, "kind")


def _once(kinds: tuple[str, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kinds))


def check_rows(rows: tuple[Axes, Axes], spec: TensorSpec, wanted: TensorSpec | None) -> None:
    """Refuse rows by which an axis would be one thing in one file and its opposite in the other.

    Where a file does not tell its axes, it is read as the row says.

    Errors: SpecError `axes`: a silent transpose, whatever the sizes.
    """
    check_axes(_read(rows[0], spec), _read(rows[1], wanted))


def check_words(axes: Axes, spec: TensorSpec) -> None:
    """Refuse a layout that calls an axis by the name of its opposite in the file.

    Errors: SpecError `axes`.
    """
    try:
        check_axes(meet(axes, spec), {a.name: (a,) for a in atoms(axes)})
    except SpecError as error:
        text = f"the layout reads [{axes}], the file says [{spec.axes}]"
        raise SpecError(text, "axes") from error


def _read(row: Axes, spec: TensorSpec | None) -> Meeting:
    told = meet(row, spec) if spec is not None else {}
    return {a.name: (a,) for a in atoms(row)} | dict(told)


def renamed(axes: Axes, names: Meeting) -> Axes | None:
    """The axes as what they are in the files, or None where that is not known of one."""
    found = [tuple(b for a in group for b in names.get(a.name, (a,))) for group in axes]
    known = all(a.name in NEUTRAL_AXES for group in found for a in group)
    return Axes(found) if known else None
