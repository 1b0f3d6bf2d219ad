"""Hostile YAML: the process survives, in bounded time and memory, and the harmless twin opens."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from memory import peak_kib

from weightsurgeon.errors import PlanError
from weightsurgeon.mapping.yaml_data import MAX_BYTES, MAX_DEPTH, MAX_NODES, load


def bomb(levels: int) -> str:
    """Each level is ten times the one before."""
    rows = ["a0: &a0 [x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(rows)


# name: the attack, what must be said, and the twin that must open
CASES: dict[str, tuple[Callable[[], str], str, Callable[[], str]]] = {
    "brackets": (lambda: "[" * 200_000, "is nested over", lambda: "[" * 9 + "]" * 9),
    "braces": (lambda: "{a: " * 200_000, "is nested over", lambda: "{a: " * 9 + "}" * 9),
    "closed": (lambda: "[" * 50_000 + "]" * 50_000, "is nested over", lambda: "[[[[]]]]"),
    "dashes": (lambda: "- " * 100_000, "is nested over", lambda: "- - - - x"),
    "questions": (lambda: "? " * 100_000, "is nested over|is no YAML", lambda: "? a\n: b"),
    "indent": (
        lambda: "\n".join(" " * i + "a:" for i in range(2_000)),
        "is nested over",
        lambda: "a:\n b:\n  c: 1",
    ),
    "bomb": (lambda: bomb(9), "or has over", lambda: bomb(4)),
    "wide": (lambda: "[" + "x," * (MAX_NODES + 2) + "]", "or has over", lambda: "[x, x]"),
    "recursive": (lambda: "a: &a {b: *a}", "inside its own anchor", lambda: "a: &a {b: 1}\nc: *a"),
    "long": (lambda: "#" * (MAX_BYTES + 1), "is longer than", lambda: "a: " + "x" * 100_000),
    "object": (
        lambda: "!!python/object/apply:os.system ['touch /nowhere/owned']",
        "has no meaning here",
        lambda: "[os.system]",
    ),
    "directive": (lambda: "%TAG ! tag:x,2000:\n--- !y 1", "has no meaning", lambda: "--- 1"),
    "merge": (lambda: "a: &a {b: 1}\nc: {<<: *a, <<: *a}", "stands twice", lambda: "c: {'<<': 1}"),
}


@pytest.mark.parametrize("case", CASES)
def test_the_attack_is_refused_and_its_twin_is_read(case: str) -> None:
    attack, words, twin = CASES[case]
    start = time.monotonic()
    with pytest.raises(PlanError, match=words) as caught:
        load(attack(), "f.yaml")
    assert time.monotonic() - start < 2
    assert len(str(caught.value)) <= 500
    assert load(twin(), "f.yaml").value is not None


def test_depth_and_nodes_may_be_used_up() -> None:
    assert load("[" * MAX_DEPTH + "]" * MAX_DEPTH, "f").value
    assert len(load("[" + "x," * 100_000 + "]", "f").value) == 100_000


def test_a_bomb_just_below_the_limit_takes_bounded_memory() -> None:
    rise = peak_kib(
        "load(sys.stdin.read(), 'f')",
        setup="from weightsurgeon.mapping.yaml_data import load",
        stdin=bomb(5) + f"\nz: [{', '.join(['*a4'] * 6)}]",  # 180,000 nodes
    )
    assert rise < 140 * 1024


def test_a_line_far_down_is_the_right_one() -> None:
    text = "a: 1\n" + "# x\n" * 5_000 + "b: [1, 2\n"
    with pytest.raises(PlanError, match=r"^f\.yaml:500[23]: schema: is no YAML"):
        load(text, "f.yaml")
