"""Schedules: a sparsity that grows with the steps of training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any

from ..mapping.checks import one_of, size
from ..mapping.schema import Key, Table
from .reading import Reading


def fraction(value: Any) -> Any:
    """A number from 0 to 1."""
    if type(value) not in (int, Decimal) or not 0 <= value <= 1:
        yield (), "wants a number from 0 to 1"


def positive(value: Any) -> Any:
    """A number above 0."""
    if type(value) not in (int, Decimal) or not value > 0:
        yield (), "wants a number above 0"


POLYNOMIAL: Table = {
    "kind": Key(one_of("polynomial")),
    "initial": Key(fraction, 0),
    "final": Key(fraction),
    "begin": Key(size, 0),
    "end": Key(size),
    "power": Key(positive, 3),
}
CONSTANT: Table = {
    "kind": Key(one_of("constant")),
    "sparsity": Key(fraction),
    "begin": Key(size, 0),
}


def schedule_of(step: Reading, given: Any) -> Callable[[int | None], Fraction] | None:
    """The sparsity at each step of training that the key `schedule` says."""
    constant = isinstance(given, dict) and given.get("kind") == "constant"
    found = step.table(CONSTANT if constant else POLYNOMIAL, given, "schedule")
    if any(value is None for value in found.values()) or not found:
        return None
    if not constant and found["end"] < found["begin"]:
        step.refuse("ends before it begins", "schedule")
    return lambda n: scheduled(found, n)


def scheduled(schedule: Mapping[str, Any], step: int | None) -> Fraction:
    """The sparsity of a schedule at a training step, in exact fractions for whole powers.

    Source: Zhu and Gupta 2017, arXiv:1710.01878 (there with power 3).
    Errors: ValueError without a step.

    >>> row = {"kind": "polynomial", "initial": 0, "final": Decimal("0.9"), "begin": 0,
    ...        "end": 10000, "power": 3}
    >>> float(scheduled(row, 5000))
    0.7875
    """
    if step is None:
        raise ValueError("a schedule wants the number of the training step: --step N")
    begin = schedule["begin"]
    if schedule["kind"] == "constant":
        return Fraction(schedule["sparsity"]) if step >= begin else Fraction(0)
    initial, final = Fraction(schedule["initial"]), Fraction(schedule["final"])
    if step < begin:
        return initial
    if step >= schedule["end"]:
        return final
    left = 1 - Fraction(step - begin, schedule["end"] - begin)
    power = Fraction(schedule["power"])
    share = left ** int(power) if power.denominator == 1 else Fraction(float(left) ** float(power))
    return final + (initial - final) * share


def filled(schedule: Mapping[str, Any]) -> dict[str, Any]:
    """A schedule that was checked, with the defaults of what it leaves out."""
    table = CONSTANT if schedule["kind"] == "constant" else POLYNOMIAL
    found = {key: schedule.get(key, row.default) for key, row in table.items()}
    return {k: Decimal(str(v)) if isinstance(v, float) else v for k, v in found.items()}
