"""Merges of files: weights by tensor, integers, names, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import count, lines_of, save
from safetensors.numpy import load_file
from strategies import Array, same

from weightsurgeon.api import merge, run
from weightsurgeon.errors import SurgeryError

BF16 = ml_dtypes.bfloat16


class Table:
    """A folder with some checkpoints; `merge` makes one of them."""

    def __init__(self, folder: Path, **states: dict[str, Any]) -> None:
        self.folder, self.states = folder, states
        self.paths = {k: str(save(folder / f"{k}.safetensors", v)) for k, v in states.items()}
        self.out = folder / "out.safetensors"

    def merge(self, method: Any, inputs: Any = ("a", "b"), **keys: Any) -> dict[str, Array]:
        step = {"method": method, "inputs": [*inputs], "as": "m"} | keys
        output = {"from": "m", "path": self.out}
        used = {i["from"] if isinstance(i, dict) else i for i in inputs}
        used |= {"base"} & set(self.paths) if "base" in str(method) else set()
        aliases = {k: v for k, v in self.paths.items() if k in used}
        plan = {"weightsurgeon": 1, "steps": [{"merge": step}], "output": output}
        self.report = run(plan, **aliases)  # type: ignore[arg-type]
        return load_file(self.out)

    def refuse(self, *args: Any, **keys: Any) -> list[str]:
        with pytest.raises(SurgeryError) as caught:
            self.merge(*args, **keys)
        assert not self.out.exists()
        return lines_of(caught.value)


def weighed(**weights: Any) -> list[dict[str, Any]]:
    return [{"from": alias, "weight": w} for alias, w in weights.items()]


def test_a_linear_merge_and_an_average(tmp_path: Path) -> None:
    table = Table(tmp_path, a={"w": np.ones(3, "f4")}, b={"w": np.full(3, 3, "f4")})
    assert table.merge("linear", weighed(a=0.5, b=0.25))["w"].tolist() == [1.25] * 3
    assert table.report.rows[0].rule == "linear: a 0.5, b 0.25"
    assert table.merge("linear", weighed(a=1, b=3), normalize=True)["w"].tolist() == [2.5] * 3
    assert table.merge("average")["w"].tolist() == [2] * 3
    merge("linear", {table.paths["a"]: 1, table.paths["b"]: -0.5}, table.out)
    assert load_file(table.out)["w"].tolist() == [-0.5] * 3


def test_51_integers_agree_or_are_taken_from_one(tmp_path: Path) -> None:
    table = Table(tmp_path, a={"n": np.array(2**53 + 1)}, b={"n": np.array(7)})
    (line,) = table.refuse("average")
    assert "a and b differ: integers must agree" in line
    found = table.merge("average", integers={"from": "a"})
    assert same(found["n"], np.array(2**53 + 1))
    table = Table(tmp_path / "same", a={"n": np.array([True])}, b={"n": np.array([True])})
    assert table.merge("average")["n"].tolist() == [True]


def test_53_the_ends_of_a_slerp_are_the_inputs(tmp_path: Path) -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 40, 30)).astype(BF16)
    table = Table(tmp_path, a={"w": a}, b={"w": b})
    assert same(table.merge({"slerp": {"t": 0}})["w"], a)
    assert same(table.merge({"slerp": {"t": 1}})["w"], b)
    found = table.merge({"slerp": {"t": 0.25}})["w"]
    x, y = a.astype("f8"), b.astype("f8")
    angle = np.arccos((x * y).sum() / np.sqrt((x * x).sum() * (y * y).sum()))
    exact = (np.sin(0.75 * angle) * x + np.sin(0.25 * angle) * y) / np.sin(angle)
    assert (np.abs(found.astype("f8") - exact) <= np.abs(exact) * 2**-8).all()
    table = Table(tmp_path / "x", a={"w": np.ones(3)}, b={"w": -np.ones(3)})
    assert table.merge({"slerp": {"t": 0.25}})["w"].tolist() == [0.5] * 3
    assert [x.names for x in table.report.lines if x.id == "antiparallel"] == [("w",)]


def test_58_a_ramp_over_the_layers(tmp_path: Path) -> None:
    names = [f"model.layers.{i}.w" for i in (2, 10, 4, 6, 8)]
    zeros, ones = {n: np.zeros(1) for n in names}, {n: np.ones(1) for n in names}
    table = Table(tmp_path, a=zeros, b=ones)
    ramp = {"select": "*.w", "weight": {"b": [0, 0.5, 1]}}
    found = table.merge("linear", rules=[ramp])
    assert [found[n].tolist() for n in sorted(names, key=lambda n: int(n.split(".")[2]))] == [
        [0], [0.25], [0.5], [0.75], [1],
    ]  # fmt: skip
    table = Table(tmp_path / "one", a={"l.0.w": np.zeros(1)}, b={"l.0.w": np.ones(1)})
    assert table.merge("linear", rules=[ramp])["l.0.w"].tolist() == [1]
    loose = Table(tmp_path / "two", a={"head.w": np.zeros(1)}, b={"head.w": np.ones(1)})
    (line,) = loose.refuse("linear", rules=[ramp])
    assert "no layer index in head.w; say `outside`" in line
    assert loose.merge("linear", rules=[{**ramp, "outside": 0.125}])["head.w"].tolist() == [0.125]


def test_dare_and_task_start_from_a_base(tmp_path: Path) -> None:
    base = {"w": np.zeros(1000, BF16)}
    table = Table(tmp_path, base=base, a={"w": np.ones(1000, "f4")}, b={"w": np.ones(1000, "f4")})
    found = table.merge({"task": {"base": "base", "scale": 0.5}})
    assert (found["w"].dtype, set(found["w"].tolist())) == (base["w"].dtype, {1.0})
    dare = {"base": "base", "density": 0.5, "seed": 1}
    found = table.merge({"dare": dare})
    assert set(found["w"].tolist()) == {0, 2, 4}  # two masks, drawn apart
    assert same(table.merge({"dare": dare})["w"], found["w"])
    assert not same(table.merge({"dare": dare | {"seed": 2}})["w"], found["w"])


def ties(density: float, scale: float = 1) -> dict[str, Any]:
    return {"ties": {"base": "base", "density": density, "scale": scale}}


def test_54_ties_trims_elects_and_joins(tmp_path: Path) -> None:
    base = {"w": np.zeros(3, "f4")}
    inputs = {"a": np.array([1, 1, 0]), "b": np.array([-1, 3, -2]), "c": np.array([0, -2, 0])}
    table = Table(tmp_path, base=base, **{k: {"w": v.astype("f4")} for k, v in inputs.items()})
    assert table.merge(ties(1), "abc")["w"].tolist() == [1, 2, -2]
    assert table.merge(ties(1, 0.5), "abc")["w"].tolist() == [0.5, 1, -1]
    assert table.merge(ties(1), weighed(a=1, b=3))["w"].tolist() == [-1, 2.5, -2]


def test_54_the_largest_differences_stay_and_of_equal_ones_the_last(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    start, moved = rng.normal(size=50), rng.normal(size=50)
    table = Table(tmp_path, base={"w": start}, a={"w": moved})
    found = table.merge(ties(0.9), "a")["w"]
    gone = np.argsort(np.abs(moved - start), kind="stable")[:5]
    wanted = start + (moved - start)
    wanted[gone] = start[gone]
    assert same(found, wanted)
    table = Table(tmp_path / "equal", base={"w": np.ones(4)}, a={"w": np.full(4, 2.0)})
    assert table.merge(ties(0.5), "a")["w"].tolist() == [1, 1, 2, 2]
    assert table.merge({"dare": {"base": "base", "density": 1, "seed": 1}}, "a")["w"][0] == 2


@pytest.mark.parametrize("density", [0.3, 1])
def test_what_is_not_finite_is_told_where_it_would_be_trimmed(
    tmp_path: Path, density: float
) -> None:
    table = Table(
        tmp_path, base={"w": np.zeros(3)}, a={"w": np.ones(3)}, b={"w": np.array([1, np.nan, -9])}
    )
    (line,) = table.refuse(ties(density))
    assert "nan at (1,) in w is not finite" in line
    dare = {"base": "base", "density": 0.5, "seed": 1, "elect": True}
    (line,) = table.refuse({"dare": dare})
    assert "nan at (1,) in w is not finite" in line


def test_names_that_an_input_lacks(tmp_path: Path) -> None:
    a, b = {"x": np.zeros(1), "y": np.zeros(1)}, {"x": np.ones(1), "z": np.ones(1)}
    table = Table(tmp_path, a=a, b=b)
    (line,) = table.refuse("average")
    assert "b lacks y; only b has z" in line
    found = table.merge("average", match="intersection")
    assert {n: v.tolist() for n, v in found.items()} == {"x": [0.5], "y": [0]}
    assert {x.id for x in table.report.lines} == {"skipped"}


@pytest.mark.parametrize(
    ("method", "keys", "text"),
    [
        ("lora", {}, "lora wants {lora: {base}}"),
        ({"lora": {"base": "a"}}, {"normalize": True}, "nothing is divided"),
        ("ties", {}, "ties wants {ties: {base, density}}"),
        ({"ties": {"base": "a", "density": 0}}, {}, "a density of 0 keeps nothing"),
        ({"ties": {"base": "a", "density": 1}}, {"normalize": True}, "ties divides by the weights"),
        ("liner", {}, "did you mean 'linear'?"),
        ("task", {}, "task wants {task: {base}}"),
        ({"slerp": {"t": 2}}, {}, "t wants a number from 0 to 1"),
        ({"slerp": {"t": 0.5}}, {"rules": [{"select": "w", "weight": {}}]}, "knows `t`"),
        ("average", {"inputs": weighed(a=1, b=1)}, "average knows no weights"),
        ("linear", {"inputs": weighed(a="1", b=1)}, "weight wants a number, not '1'"),
        ("linear", {"inputs": weighed(a=1, b=-1), "normalize": True}, "sum to 0"),  # 52
        ("linear", {"rules": [{"select": "w", "weight": {"c": 1}}]}, "'c' is no input"),
        ("linear", {"rules": [{"select": "zz", "weight": {"a": 1}}]}, "selects no tensor"),
        ("linear", {"integers": {"from": "zz"}}, "'zz' is no input"),
        ("linear", {"integers": "sum"}, "wants a map"),
        ("linear", {"inputs": ["a", "a", "b"]}, "'a' stands twice"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, method: Any, keys: Any, text: str) -> None:
    table = Table(tmp_path, a={"w": np.ones(2)}, b={"w": np.ones(2)})
    inputs = keys.pop("inputs", ("a", "b")) if isinstance(keys, dict) else ()
    lines = table.refuse(method, inputs, **keys)
    assert any(text in line for line in lines), lines


def test_shapes_must_be_equal(tmp_path: Path) -> None:
    table = Table(tmp_path, a={"w": count(4)}, b={"w": count(1)})
    (line,) = table.refuse("average")
    assert "w: b has float32 (1,), not float32 (4,)" in line
