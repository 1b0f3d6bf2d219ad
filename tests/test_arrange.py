"""Many tensors to many: equal to numpy's stack, split and einops' semantics; there and back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import Array, dtypes, noise, same

from weightsurgeon.arrange import Index, rearrange
from weightsurgeon.blocks import blocks, need
from weightsurgeon.errors import SpecError
from weightsurgeon.expr import array, evaluate, slices
from weightsurgeon.notation import Side, parse_layout
from weightsurgeon.simplify import simplify
from weightsurgeon.spec import Axes, Axis, dtype_of


def arranged(cells: Mapping[Any, Any], layout: str, /, **how: Any) -> dict[Index, Array]:
    """The target's values; each also as simplified."""
    made = rearrange({i: array(x) for i, x in cells.items()}, *parse_layout(layout), **how)
    for x in made.cells.values():
        assert same(simplify(x).numpy(), x.numpy())
    return {index: x.numpy() for index, x in made.cells.items()}


def count(*shape: int) -> Array:
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize(
    ("layout", "leading", "wanted"),
    [
        ("g e | o d -> e (g o) d", 2, lambda x: x.swapaxes(0, 1).reshape(3, 2 * 4, 5)),
        ("g e | o d -> e (o g) d", 2, lambda x: x.transpose(1, 2, 0, 3).reshape(3, 4 * 2, 5)),
        ("g e | o d -> (o e) (d g)", 2, lambda x: x.transpose(2, 1, 3, 0).reshape(12, 10)),
        ("g e | o d -> d -g o e", 2, lambda x: x[::-1].transpose(3, 0, 2, 1)),
        ("g:xh e | o d -> e (g:hx o) d", 2, lambda x: x[::-1].swapaxes(0, 1).reshape(3, 8, 5)),
    ],
)
def test_stacking_is_what_numpy_says(layout: str, leading: int, wanted: Any) -> None:
    x = count(2, 3, 4, 5)
    cells = {(g, e): x[g, e] for g in range(2) for e in range(3)}
    (made,) = arranged(cells, layout).values()
    assert same(made, np.ascontiguousarray(wanted(x)))


def test_joining_splitting_and_pairing() -> None:
    x = count(6, 4)
    apart = arranged({(): x}, "(p o) d -> p | d o", sizes={"p": 3})
    assert {i: y.tolist() for i, y in apart.items()} == {
        (p,): x[2 * p : 2 * p + 2].T.tolist() for p in range(3)
    }
    y = count(2, 3, 4)
    paired = arranged({(i,): y[i] for i in range(2)}, "p | a b -> p | b a")
    assert all(same(paired[i,], np.ascontiguousarray(y[i].T)) for i in range(2))
    turned = arranged({(i,): y[i] for i in range(2)}, "p:xh | a b -> p:hx | a b")
    assert same(turned[0,], y[1])
    both = arranged({(i,): y[i] for i in range(2)}, "p | (a b) c -> a | b (p c)", sizes={"a": 3})
    assert same(both[2,], np.ascontiguousarray(y[:, 2].reshape(1, 8)))


def test_unequal_parts_join_and_part() -> None:
    q, k, v = count(8, 3), count(4, 3) + 100, count(4, 3) + 200
    sizes = {"h": [4, 2, 2], "k": 2}
    (joined,) = arranged(
        {(0,): q, (1,): k, (2,): v}, "p | (h k) d -> (p h k) d", sizes=sizes
    ).values()
    assert same(joined, np.concatenate([q, k, v]))
    for sizes_ in (sizes, {"h": [4, 2, None], "k": 2}, {"h": [4, None, 2], "k": 2}):
        back = arranged({(): joined}, "(p h k) d -> p | (h k) d", sizes=sizes_)
        assert [same(back[i,], x) for i, x in enumerate((q, k, v))] == [True] * 3
    open_ = {"o": [None, None, None]}
    (again,) = arranged({(0,): q, (1,): k, (2,): v}, "p | o d -> (p o) d", sizes=open_).values()
    assert same(again, joined)


def test_unequal_parts_in_each_group() -> None:
    """2 groups, each with 4 query heads, a key and a value head of size 3."""
    x = count(2 * (4 + 1 + 1) * 3, 5)
    parted = arranged(
        {(): x}, "(n p m k) d -> p | (n m k) d", sizes={"n": 2, "m": [4, 1, 1], "k": 3}
    )
    by_group = x.reshape(2, 6, 3, 5)
    for i, (lo, hi) in enumerate(((0, 4), (4, 5), (5, 6))):
        assert same(parted[i,], by_group[:, lo:hi].reshape(-1, 5))
    (back,) = arranged(
        parted, "p | (n m k) d -> (n p m k) d", sizes={"m": [4, 1, 1], "k": 3, "n": 2}
    ).values()
    assert same(back, x)


def test_repeat_copies_and_checks() -> None:
    x = count(2, 3)
    copies = arranged({(): x}, "o d -> e | o d", sizes={"e": 4}, repeat=["e"])
    assert len(copies) == 4
    assert all(same(y, x) for y in copies.values())
    (inside,) = arranged({(): x}, "o d -> (e o) d", sizes={"e": 2}, repeat=["e"]).values()
    assert same(inside, np.concatenate([x, x]))
    cells: dict[Index, Any] = {(e,): array(x) for e in range(3)}
    made = rearrange(cells, *parse_layout("e | o d -> o d"), repeat=["e"])
    assert same(made.cells[()].numpy(), x)
    assert len(made.equal) == 2


def test_sum_adds_and_leaves_zeros() -> None:
    ih, hh = (np.array([n, 2 * n, 3 * n, 4 * n], "float32") for n in (1, 10))
    layout = "b:xh | (g:ifgo unit) -> (g:ifgo unit)"
    (added,) = arranged({(0,): ih, (1,): hh}, layout, sums=["b"]).values()
    assert added.tolist() == [11, 22, 33, 44]
    back = arranged({(): ih}, "(g:ifgo unit) -> b:xh | (g:ifgo unit)", sums=["b"])
    assert [x.tolist() for x in back.values()] == [[1, 2, 3, 4], [0, 0, 0, 0]]
    (flat,) = arranged({(): np.stack([ih, hh])}, "b:xh u -> u", sums=["b"]).values()
    assert flat.tolist() == [11, 22, 33, 44]
    half = np.array([1, 2], "float16")
    (narrow,) = arranged({(0,): half, (1,): half}, "b:xh | u -> u", sums=["b"]).values()
    assert narrow.dtype == np.float16
    assert narrow.tolist() == [2, 4]


@pytest.mark.parametrize(
    ("cells", "layout", "how", "id", "match"),
    [
        ([(2, 3), (4, 3)], "p | o d -> (p o) d", {}, "shape", "does not fit"),
        ([(4, 3)] * 2, "p | (h k) d -> h (p k) d", {}, "size", "h, k unknown"),
        ([(4, 3)] * 2, "p | o d -> o d", {}, "layout", "p is on one side only"),
        ([(4, 3)] * 2, "p | o d -> (p o) d", {"repeat": ["o"]}, "layout", "o is repeated"),
        ([(4, 3)] * 2, "p | o d -> (o p) d", {"sizes": {"o": [4, 4]}}, "layout", "right behind"),
        ([(4, 3)] * 2, "p | o d -> (p o) d", {"sizes": {"o": [4, 4, 4]}}, "shape", "3 sizes for 2"),
        ([(4, 3)] * 2, "p | o d -> (p o) d", {"sizes": {"o": [4, 3]}}, "shape", "4 is not o"),
        ([(4, 3)] * 2, "p:xhy | o d -> (p:xhy o) d", {}, "shape", "has 2 tensors"),
        ([(4, 3)], "p | o d -> e | (p o) d", {"repeat": ["e"]}, "size", "e unknown"),
    ],
)
def test_what_does_not_fit(
    cells: list[tuple[int, int]], layout: str, how: dict[str, Any], id: str, match: str
) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        arranged({(i,): count(*shape) for i, shape in enumerate(cells)}, layout, **how)
    assert caught.value.id == id


def test_parts_must_add_up() -> None:
    for sizes in ({"h": [4, 4, 2]}, {"h": [9, 1, None]}):
        with pytest.raises(SpecError, match="h has 8 entries, the parts"):
            arranged({(): count(8, 3)}, "(p h) d -> p | h d", sizes=sizes)


def test_integers_are_not_added() -> None:
    with pytest.raises(SpecError, match="only floats"):
        arranged({(): np.ones((2, 3), "int32")}, "b u -> u", sums=["b"])


def test_a_tensor_larger_than_memory_is_made_in_blocks() -> None:
    """Blocks need what they show, whatever the fused tensor has; a part reads nothing else."""
    cells = [(g, e) for g in range(2) for e in range(4)]
    x: dict[Index, Any] = {c: array(count(64, 48) + 100 * c[0] + c[1]) for c in cells}
    for layout in ("g e | o d -> e (g o) d", "g e | o d -> d e (o g)"):
        (fused,) = rearrange(x, *parse_layout(layout)).cells.values()
        fused = simplify(fused)
        made = np.empty(fused.spec.shape, "float32")
        for block in blocks(fused, 4096):
            assert need(fused, block) <= 4096
            made[slices(block)] = evaluate(fused, block)
        assert same(made, fused.numpy())
    parted = rearrange({(): fused}, *parse_layout("d e (o g) -> g e | o d"), {"e": 4, "g": 2})
    one = simplify(parted.cells[1, 2])
    assert same(one.numpy(), x[1, 2].numpy())
    assert all(need(one, block) <= 8192 for block in blocks(one, 8192))


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Side, Side, dict[str, int]]:
    """Any grouping of a few axes on each side, some of them over tensors."""
    names = "abcd"[: draw(st.integers(1, 4))]
    sizes = {name: draw(st.sampled_from([1, 2, 2, 3])) for name in names}
    return draw(_sides(names)), draw(_sides(names)), sizes


@st.composite
def _sides(draw: st.DrawFn, names: str) -> Side:
    order = draw(st.permutations(names))
    cut = draw(st.integers(0, len(order)))
    over, inside = order[:cut], order[cut:]
    groups, group = list[tuple[Axis, ...]](), list[Axis]()
    for name in inside:
        group.append(Axis(name, "", draw(st.booleans())))
        if draw(st.booleans()):
            groups.append(tuple(group))
            group = []
    if group:
        groups.append(tuple(group))
    return Side(tuple(Axis(n, "", draw(st.booleans())) for n in over), Axes(groups))


def dense(values: Array, names: list[str], side: Side, sizes: dict[str, int]) -> dict[Index, Array]:
    """What a side holds of an array with these axes, as plain numpy says it."""
    inside = [axis for group in side.axes for axis in group]
    x = values.transpose([names.index(a.name) for a in (*side.over, *inside)])
    for i, axis in enumerate((*side.over, *inside)):
        x = np.flip(x, i) if axis.backwards else x
    shape = [int(np.prod([sizes[a.name] for a in g])) for g in side.axes]
    return {
        index: np.ascontiguousarray(x[index]).reshape(shape)
        for index in product(*(range(sizes[a.name]) for a in side.over))
    }


@given(layouts(), dtypes, st.data())
def test_any_layout_is_what_numpy_says_and_comes_back(
    layout: tuple[Side, Side, dict[str, int]], dtype: Any, data: st.DataObject
) -> None:
    have, want, sizes = layout
    names = list(sizes)
    values = noise(tuple(sizes.values()), dtype_of(dtype))
    here, there = (dense(values, names, side, sizes) for side in (have, want))
    made = rearrange({i: array(x) for i, x in here.items()}, have, want, sizes).cells
    assert made.keys() == there.keys()
    for index, x in made.items():
        assert same(x.numpy(), there[index])
        assert x.spec.axes == want.axes
        block = tuple(sorted(data.draw(st.tuples(*[st.integers(0, n)] * 2))) for n in x.spec.shape)
        found = evaluate(simplify(x), tuple((lo, hi) for lo, hi in block))
        cut: tuple[Any, ...] = (*(slice(lo, hi) for lo, hi in block), ...)
        assert np.ascontiguousarray(found).tobytes() == there[index][cut].tobytes()
    back = rearrange(made, want, have, sizes).cells
    assert all(same(back[index].numpy(), x) for index, x in here.items())


def test_two_open_parts_of_what_is_split_are_no_size() -> None:
    have, want = parse_layout("(p o) d -> p | o d")
    with pytest.raises(SpecError, match=r"o\[0\], o\[1\] unknown; give sizes"):
        rearrange({(): array(np.ones((6, 2)))}, have, want, {"p": 2, "o": (None, None)})
