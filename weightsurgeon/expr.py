"""The noun and the verb: a lazy tensor, and the values of a block of it.

An `Expr` is an op applied to expressions; its spec (shape, dtype, named axes) is known when it is
made, its data only when asked for. `evaluate` gives the values of one block: it asks the op which
block of each input it needs (`pull`), gets those, and computes. Nothing else happens here: what
an op means is in its row, where bytes come from is behind the leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from .errors import SpecError
from .spec import TensorSpec

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Block = tuple[tuple[int, int], ...]
"""A half-open range for each axis; `()` for a tensor without axes."""


class Readable(Protocol):
    """Where a leaf's values come from: a file, a live model, an array."""

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        """The block in the spec's dtype, native byte order, C order; into `out` where given."""


class Scratch(Protocol):
    """Where evaluation takes memory from. The executor reuses one buffer, others allocate."""

    def __call__(self, spec: TensorSpec, block: Block) -> Array:
        """An uninitialised array for a block of such a tensor."""


@dataclass(frozen=True, slots=True, eq=False)  # a row is itself: no two are compared by parts
class Op:
    """An operation is a row of rules.

    infer    specs of the inputs, params → the spec of the result, or `SpecError`
    pull     expr, block of the result → the block needed of each input (None: nothing of it)
    compute  expr, block, values of those blocks → the block's values; may be a view
    place    expr, block, destination → for each input the view of the destination in which its
             block may be computed directly; absent where an op must see its inputs first
    undo     a movement only: expr → the op and params that lead from its result back to its input
    in_place True where the result has its input's bytes in the same order: nothing moves
    runs     a movement that keeps long runs: expr → (input, (first, last flat element)) of each run
             of the result's bytes, in order; None where they are too many or too short
    """

    name: str
    infer: Callable[..., TensorSpec]
    pull: Callable[[Expr, Block], Sequence[Block | None]]
    compute: Callable[[Expr, Block, Sequence[Any]], Any]
    place: Callable[[Expr, Block, Any], Sequence[Any] | None] | None = None
    undo: Callable[[Expr], tuple[Op, Mapping[str, Any]]] | None = None
    in_place: bool = False
    runs: Callable[[Expr], Sequence[tuple[int, tuple[int, int]]] | None] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Reduce:
    """A reduction is the second kind of row: many blocks in, one small result out.

    infer    specs of the inputs, params → nothing, or `SpecError`
    start    params → the empty state of a span; `Again` where the first pass shall see a part only
    fold     state, flat index of the run's first element, values of the run → state. Runs are
             fixed by the tensor and not by the executor's blocks, so results never depend on them
    merge    state of all that came before, state of what follows → state
    finish   state → the result, or `Again(state)`: one more pass, with a copy of it for each span
    """

    name: str
    infer: Callable[..., None]
    start: Callable[..., Any]
    fold: Callable[..., Any]
    merge: Callable[[Any, Any], Any]
    finish: Callable[[Any], Any]


GLANCE = (-1, -1)  # the part of which only some neighbours of each run are looked at


class Again(NamedTuple):
    """Another pass from this state, over everything or the spans that a flat range touches."""

    state: Any
    part: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Expr:
    """A lazy tensor: `op` applied to `inputs` with `params`; its `spec` is known, its data is not.

    >>> x = array([[1.0, 2.0], [3.0, 4.0]])
    >>> x.spec.shape, x.numpy()[1].tolist()
    ((2, 2), [3.0, 4.0])
    """

    op: Op
    inputs: tuple[Expr, ...]
    params: Mapping[str, Any]
    spec: TensorSpec

    def numpy(self) -> Array:
        """All values, as a C-ordered numpy array of the spec's dtype."""
        return evaluate(self, out=fresh(self.spec, whole(self.spec)))

    def named(self, axes: Any) -> Expr:
        """The same tensor with its axes named."""
        return replace(self, spec=self.spec._replace(axes=axes))

    def __str__(self) -> str:
        return show(self)


def apply(op: Op, *inputs: Expr, **params: Any) -> Expr:
    """Apply an op: its static rule gives the spec of the result or says why not."""
    spec = op.infer(tuple(x.spec for x in inputs), **params)
    return Expr(op, inputs, params, spec)


def whole(spec: TensorSpec) -> Block:
    """The block that is all of the tensor."""
    return tuple((0, n) for n in spec.shape)


def block_shape(block: Block) -> tuple[int, ...]:
    """The shape of a block's values."""
    return tuple(hi - lo for lo, hi in block)


def slices(block: Block) -> tuple[slice, ...]:
    """The block as an index of an array of the whole tensor."""
    return tuple(slice(lo, hi) for lo, hi in block)


def fresh(spec: TensorSpec, block: Block) -> Array:
    """Scratch memory that is allocated anew each time."""
    import numpy as np

    return np.empty(block_shape(block), spec.dtype.numpy())


def evaluate(
    expr: Expr, block: Block | None = None, out: Array | None = None, scratch: Scratch = fresh
) -> Array:
    """The values of a block of a tensor (all of it by default), written to `out` where given.

    Without `out` the values may be a strided view, and views of memory that `scratch` will reuse.
    """
    from .kernels import copy

    block = whole(expr.spec) if block is None else block
    if expr.op is LEAF:
        return _read(expr, block, out, scratch)
    places = None
    if out is not None and expr.op.place is not None:
        places = expr.op.place(expr, block, out)
    pulled = expr.op.pull(expr, block)
    values = [
        None if part is None else evaluate(x, part, places[i] if places else None, scratch)
        for i, (x, part) in enumerate(zip(expr.inputs, pulled, strict=True))
    ]
    if places is not None:
        return out  # type: ignore[return-value]  # each input stands where it belongs
    result = expr.op.compute(expr, block, values)
    if out is None:
        return result  # type: ignore[no-any-return]
    copy(out, result)
    return out


def _read(expr: Expr, block: Block, out: Array | None, scratch: Scratch) -> Array:
    from .kernels import copy

    source: Readable = expr.params["source"]
    if out is None or out.flags.c_contiguous:
        out = scratch(expr.spec, block) if out is None else out
        return source.read(expr.params["name"], block, out)
    copy(out, source.read(expr.params["name"], block, scratch(expr.spec, block)))
    return out


# -- leaves ----------------------------------------------------------------------------------


def _no_inputs(*_: Any, **__: Any) -> Any:
    raise SpecError("a leaf is made by leaf(), array() or hole(), not applied")


LEAF = Op("leaf", _no_inputs, lambda expr, block: (), _no_inputs)


def leaf(source: Readable, name: str, spec: TensorSpec) -> Expr:
    """The tensor `name` of a source."""
    return Expr(LEAF, (), {"source": source, "name": name}, spec)


class _Values:
    """An array in memory as a source of one tensor."""

    def __init__(self, values: Array) -> None:
        self.values = values

    def read(self, name: str, block: Block, out: Array | None = None) -> Array:
        from .kernels import copy

        where: tuple[Any, ...] = (*slices(block), ...)  # with ... a 0-d array stays an array
        part: Array = self.values[where]
        if out is None:
            return part
        copy(out, part)
        return out


def array(values: Any, name: str = "array", axes: Any = None) -> Expr:
    """An array in memory as a tensor."""
    import numpy as np

    from .spec import dtype_of

    values = (given := np.asarray(values)).astype(given.dtype.newbyteorder("="), copy=False)
    return leaf(_Values(values), name, TensorSpec(dtype_of(values.dtype), values.shape, axes))


# -- what can be asked of an expression ------------------------------------------------------


def leaves(expr: Expr) -> Iterator[Expr]:
    """Every leaf, left to right; one that is used twice comes twice."""
    if expr.op is LEAF:
        yield expr
    for x in expr.inputs:
        yield from leaves(x)


def show(expr: Expr) -> str:
    """The expression as one line of text: `permute(conv1/kernel, order=(3, 2, 0, 1))`."""
    from .errors import shown

    if expr.op is LEAF:
        return shown(expr.params["name"])
    said = (f"{k}={shown(v)}" for k, v in expr.params.items() if v is not None and k != "tally")
    return f"{expr.op.name}({', '.join([*map(show, expr.inputs), *said])})"
