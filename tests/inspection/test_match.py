"""`match`: a planted permutation of units is found exactly; noise is no candidate."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from porting import Shell
from samples import normal, written

from weightsurgeon.inspection.match import match


def test_what_is_the_same_whatever_its_name(tmp_path: Path) -> None:
    w, v, c = normal(32, 16), normal(16, 16, seed=1), normal(3, 3, 4, 8, seed=2)
    order = np.random.default_rng(3).permutation(32)
    a = written(tmp_path / "a.safetensors", {"w": w, "v": v, "c": c, "b": w[:, 0], "z": w[0]})
    others = {"x": w[order], "y": v.T.copy(), "k": c, "q": w[order, 0], "n": normal(16, seed=9)}
    found = match(a, written(tmp_path / "b.safetensors", others))
    by_a = {x.a: x for x in found.candidates}
    assert (by_a["w"].b, by_a["w"].ground) == ("x", "permuted")
    assert by_a["w"].detail.startswith(f"B = A with axis 0 as {order[0]} {order[1]}")
    assert (by_a["v"].b, by_a["v"].detail) == ("y", "B = A.T")
    assert (by_a["c"].b, by_a["c"].ground) == ("k", "identical")
    assert (by_a["b"].b, by_a["b"].ground) == ("q", "permuted")
    assert (found.a_only, found.b_only) == (("z",), ("n",))


def test_trained_on_a_little_is_a_candidate_noise_is_none(tmp_path: Path) -> None:
    w = normal(64, 64)
    near = w[::-1] + normal(64, 64, seed=1, scale=0.1)
    a = written(tmp_path / "a.safetensors", {"w": w, "u": normal(8, 64, seed=5)})
    b = written(tmp_path / "b.safetensors", {"x": near, "y": normal(64, 64, seed=2)})
    (found,) = match(a, b).candidates
    assert (found.a, found.b, found.ground, found.coverage) == ("w", "x", "candidate", 1.0)
    assert found.mean > 0.98


def test_the_same_bag_in_no_known_order(tmp_path: Path) -> None:
    w = normal(16, 16)
    mixed = np.random.default_rng(0).permutation(w.ravel()).reshape(16, 16)
    a = written(tmp_path / "a.safetensors", {"w": w})
    (found,) = match(a, written(tmp_path / "b.safetensors", {"w": mixed})).candidates
    assert found.ground == "same bag"


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    a = written(tmp_path / "a.safetensors", {"w": normal(4, 4), "\x1b": np.zeros(3, "f4")})
    call = shell("match", a, a)
    assert call.code == 0
    assert "2 candidates · 0 of A and 0 of B have none" in call.out
    assert json.loads(shell("match", a, a, "--json").out)["command"] == "match"
    assert "<td>identical</td>" in match(a, a)._repr_html_()
