"""What the base demands of an output: its shape, its axes, its dtype."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Checkpoint
from ..layout import check_axes, meet
from ..ops.arithmetic import cast, loses
from ..spec import DType, TensorSpec, dtype_of
from ..tally import Tally

Form = tuple[tuple[int, ...], str | None]


@dataclass(frozen=True)
class Demands:
    """Compares what was moved with what is wanted; the source is there to name what would fit."""

    source: Checkpoint
    policy: Mapping[str, str]
    own_dtype: bool = False  # what is made keeps its own where the base has another

    def check(self, name: str, moved: Expr, wanted: TensorSpec | None) -> None:
        """Refuse a shape or axes that the base's tensor does not have.

        Errors: SpecError `shape` or `axes`.
        """
        if wanted is None:
            return
        if moved.spec.shape != wanted.shape:
            fits = self._that_fits(name, wanted)
            text = f"{moved.spec} does not fit {wanted}; reshape is never implied"
            raise SpecError(f"{text}{f'; {shown(fits)} fits' if fits else ''}")
        if moved.spec.axes and wanted.axes and moved.spec.axes != wanted.axes:
            check_axes(meet(moved.spec.axes, moved.spec), meet(moved.spec.axes, wanted))

    def _that_fits(self, name: str, wanted: TensorSpec) -> str | None:
        """Another source tensor of these sizes and of the same role."""
        form = (tuple(sorted(wanted.shape)), self.source.meaning(name).role)
        return next((n for n in self._by_form.get(form, ()) if n != name), None)

    @cached_property
    def _by_form(self) -> dict[Form, list[str]]:
        found = dict[Form, list[str]]()
        for name, spec in self.source.source.specs.items():
            form = (tuple(sorted(spec.shape)), self.source.meaning(name).role)
            found.setdefault(form, []).append(name)
        return found

    @property
    def overflow(self) -> str:
        """What becomes of a finite value that has no finite place: `error` or `inf`."""
        return "error" if self.policy["nonfinite"] == "error" else "inf"

    def in_dtype(
        self, moved: Expr, wanted: TensorSpec | None, asked: str | None, here: DType | None = None
    ) -> Expr:
        """In the dtype that the rule asks for, else the base's, else the source's (`here`).

        Errors: SpecError `lossy-cast` unless the rule or the policy allows it.
        """
        here = here or moved.spec.dtype
        of_base = wanted.dtype if wanted and not self.own_dtype else here
        dtype = dtype_of(asked) if asked else of_base
        if dtype == moved.spec.dtype:
            return moved
        if dtype != here and not here.kind == dtype.kind == "float":
            raise SpecError(f"{moved.spec} is no {dtype}: only floats are cast, all else is copied")
        if not asked and loses(here, dtype) and self.policy["lossy_cast"] == "error":
            text = f"{here} would lose digits as {dtype}"
            raise SpecError(f"{text}; say cast: {dtype}, or --policy lossy_cast=list", "lossy-cast")
        counts = self.policy["nonfinite"] == "list" and loses(moved.spec.dtype, dtype)
        return cast(moved, dtype, self.overflow, Tally() if counts else None)
