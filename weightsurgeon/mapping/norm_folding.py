"""Layers folded into others, when a rule asks: a bias into the batchnorm behind it, a batchnorm
into the layer before it; and the eps of one framework in the variance of the other.

All of it keeps the function of the network and has a line in the report.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from ..conventions import NEUTRAL, SEPARATOR, axes_of, leaves
from ..errors import SpecError, shown
from ..expr import Expr
from ..formats.base import Meaning
from ..ops.affine import affine
from ..ops.arithmetic import CAST, cast, full
from ..ops.folding import minus, norm_factor, recentred, scaled
from ..ops.movement import permute, reshape
from ..ops.positive import NONPOSITIVE, Nonpositive
from ..pending import reduction
from ..plan import Check, Origin
from ..spec import Axes
from .bind import Made
from .claim import Claim
from .logical import neutral
from .names import NameError_, Pattern
from .rules import Layer
from .state import State

_KERNELS = ("pointwise_kernel", "kernel")  # of a separable convolution the second half


def fold_layers(state: State) -> None:
    """Do what rules ask to fold, once all that they fold into is made."""
    folded = set[str]()
    norms = dict[tuple[object, ...], dict[str, Claim]]()
    for claim in state.folds:
        rule = claim.rule
        if isinstance(rule, Layer) and rule.fold_into is not None:
            key = (id(rule), *sorted(claim.captures.items()))
            norms.setdefault(key, {})[claim.role] = claim
        else:
            _attempt(state, claim, lambda c=claim: _fold_bias(state, c, folded))  # type: ignore[misc]
    written = {id(rule): i for i, rule in enumerate(state.rules)}  # the norm that is written first
    for _, claims in sorted(norms.items(), key=lambda x: written[int(str(x[0][0]))]):
        some = next(iter(claims.values()))
        _attempt(state, some, lambda c=claims: _fold_norm(state, c))  # type: ignore[misc]
    for made in list(state.made.values()):
        if (eps := state.eps.get(made.name)) is not None:
            _shift_variance(state, made, *eps)


def _attempt(state: State, claim: Claim, work: Callable[[], None]) -> None:
    try:
        work()
    except SpecError as error:
        text = f"{shown(claim.name)}: {error}"
        id = "fold" if error.id == "shape" else error.id
        state.draft.problem(claim.rule.refused(id, text, claim.name))
    except NameError_ as error:
        state.draft.problem(claim.rule.refused(error.id, str(error), claim.name))


def _wide(x: Expr) -> Expr:
    """Before its rounding, so that there is only one."""
    return x.inputs[0] if x.op is CAST else x


def _replaced(state: State, made: Made, x: Expr, claims: list[Claim], class_: str) -> None:
    """Another value for an output, rounded to the dtype that it has."""
    spec = made.expr.spec
    x = cast(x, spec.dtype, state.binder.demands.overflow).named(spec.axes)
    names = (*made.origin.names, *(claim.name for claim in claims))
    origin = made.origin._replace(names=names, class_=class_)
    state.made[made.name] = made._replace(expr=x, origin=origin)


def _layer_of(state: State, pattern: Pattern, claim: Claim) -> str:
    return state.binder.written(pattern, claim.captures)


# -- a bias into the mean behind it ----------------------------------------------------------


def _fold_bias(state: State, claim: Claim, folded: set[str]) -> None:
    """mean' = mean − bias: the batchnorm takes off less, as nothing was added."""
    assert isinstance(claim.rule, Layer)  # noqa: S101  # for the types: only layers fold
    pattern = claim.rule.roles[claim.role]
    layer = _layer_of(state, pattern, claim)  # type: ignore[arg-type]
    made = _found(state, layer, ("mean",))
    if made is None:
        raise SpecError(f"no rule makes the mean of a batchnorm {shown(layer)} to fold it into")
    if made.name in folded:
        raise SpecError(f"the mean of {shown(layer)} has taken a bias already")
    folded.add(made.name)
    _replaced(
        state, made, minus(_wide(made.expr), state.job.source[claim.name]), [claim], "function"
    )
    state.draft.line("folded", f"{claim.role}: into the mean of a batchnorm", (made.name,))


def _found(state: State, layer: str, roles: tuple[str, ...]) -> Made | None:
    """The output of a layer that has one of these roles, the first of them if it can be."""
    here = [m for m in state.made.values() if neutral(m.meaning.layer) == neutral(layer)]
    return next((m for role in roles for m in here if m.meaning.role == role), None)


# -- a batchnorm into the layer before it ----------------------------------------------------


@dataclass(frozen=True)
class Norm:
    """The values of a batchnorm, and what makes its variance a spread."""

    gamma: Expr
    beta: Expr
    mean: Expr
    variance: Expr
    eps: Fraction


def _fold_norm(state: State, claims: dict[str, Claim]) -> None:
    """W' = s·W and bias' = beta + s·(bias − mean), with s = gamma / √(variance + eps)."""
    some = next(iter(claims.values()))
    rule = some.rule
    assert isinstance(rule, Layer)  # noqa: S101  # for the types: only layers fold
    assert rule.fold_into is not None  # noqa: S101
    layer = _layer_of(state, rule.fold_into, some)
    kernel = _found(state, layer, _KERNELS)
    if kernel is None:
        raise SpecError(f"no rule makes the kernel of a layer {shown(layer)} to fold it into")
    norm = _norm(state, rule, claims)
    s = norm_factor(norm.gamma, norm.variance, norm.eps)
    axes = _bias_axes(state, kernel.meaning, layer)
    listed = [claims[role] for role in ("gamma", "variance") if role in claims]
    _replaced(
        state, kernel, scaled(_wide(kernel.expr), _along(s, axes, kernel)), listed, "function"
    )
    bias = _found(state, layer, ("bias",))
    zeros = full(s.spec.shape, kernel.expr.spec.dtype)
    moved = recentred(norm.beta, s, _wide(bias.expr) if bias else zeros, norm.mean)
    made = bias or _new_bias(state, kernel, layer, axes, zeros)
    _replaced(state, made, moved, list(claims.values()), "function")
    text = f"{some.kind}: into the layer before it"
    state.draft.line("folded", text, (kernel.name, made.name))


def _norm(state: State, rule: Layer, claims: dict[str, Claim]) -> Norm:
    missing = [role for role in ("mean", "variance") if role not in claims]
    if missing:
        raise SpecError(f"there is no {' and no '.join(missing)} of it", "role")
    x = {role: state.job.source[claim.name] for role, claim in claims.items()}
    shape, dtype = x["mean"].spec.shape, x["mean"].spec.dtype
    for role in ("gamma", "beta"):
        x.setdefault(role, full(shape, dtype, NEUTRAL[role]))
    eps = _eps(state, rule, claims["variance"])
    _check_positive(state, rule, affine(x["variance"], 1, eps), claims["variance"].name)
    return Norm(x["gamma"], x["beta"], x["mean"], x["variance"], eps)


def _eps(state: State, rule: Layer, claim: Claim) -> Fraction:
    told = state.job.source.meaning(claim.name).options.get("epsilon")
    if rule.eps is not None:
        return rule.eps[0]
    if isinstance(told, int | float):
        return Fraction(repr(told))
    raise SpecError("its eps is not known; say eps: {source: 1e-3}")


def _bias_axes(state: State, meaning: Meaning, layer: str) -> Axes:
    dialect = state.dialects[1] or ""
    axes = axes_of(meaning.kind or "", "bias", dialect, 1, meaning.options)
    if axes is None or meaning.axes is None:
        raise SpecError(f"no row says how the bias of {shown(layer)}, a {meaning.kind}, lies")
    return axes


def _along(s: Expr, axes: Axes, kernel: Made) -> Expr:
    """The factors with size 1 along all axes of the kernel but those that its bias has."""
    lie, shape = kernel.meaning.axes or Axes(), kernel.expr.spec.shape
    (group,) = axes
    places = [i for i, g in enumerate(lie) if g == group]
    if not places:
        places = [i for axis in group for i, g in enumerate(lie) if g == (axis,)]
        if len(places) != len(group):
            raise SpecError(f"[{lie}] has no axes {axes} on which the factors lie")
    order = sorted(range(len(places)), key=places.__getitem__)
    s = permute(reshape(s, [shape[i] for i in places]), order)
    return reshape(s, [n if i in places else 1 for i, n in enumerate(shape)])


def _new_bias(state: State, kernel: Made, layer: str, axes: Axes, zeros: Expr) -> Made:
    """The bias that a layer has now that a batchnorm is folded in."""
    kind, dialect = kernel.meaning.kind or "", state.dialects[1] or ""
    leaf = leaves(kind, dialect)["bias"].names[0]
    name = f"{layer}{SEPARATOR.get(dialect, '/')}{leaf}" if layer else leaf
    name = state.binder.spelled(name)
    if state.job.base is not None and not state.binder.in_base(name):
        raise SpecError(f"the target has no {shown(name)} to fold it into")
    meaning = Meaning("bias", kind, axes, kernel.meaning.layer, kernel.meaning.options, "mapping")
    made = Made(name, zeros, meaning, Origin(kernel.origin.rule))
    state.made[name] = made
    return made


# -- variances -------------------------------------------------------------------------------


def _shift_variance(state: State, made: Made, rule: Layer, added: Fraction) -> None:
    """variance' = variance + eps here − eps there, so that both spread alike."""
    shifted = affine(_wide(made.expr), 1, added, state.binder.demands.overflow)
    _check_positive(state, rule, shifted, made.name)
    class_ = "rounding" if made.origin.class_ == "exact" else made.origin.class_
    _replaced(state, made, shifted, [], class_)
    state.draft.line("eps", f"variance + {float(added):g}, as eps differs", (made.name,))


def _check_positive(state: State, rule: Layer, variance: Expr, name: str) -> None:
    def refused(found: Nonpositive) -> SpecError:
        text = f"{shown(name)}: {found.count} variances are not positive with this eps"
        return rule.refused("fold", f"{text}; the first at flat index {found.first}", name)  # type: ignore[return-value]

    state.checks.append(Check(reduction(NONPOSITIVE, variance), refused))
