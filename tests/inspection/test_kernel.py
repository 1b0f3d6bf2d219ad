"""Kernels come out as `h w in out` from either dialect; what has no plane is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import save

from weightsurgeon.errors import MissingTensor, SpecError
from weightsurgeon.inspection.kernel import kernel_of, kernels
from weightsurgeon.opening import open_checkpoint

SMALL = Path(__file__).parent.parent.parent / "examples" / "small.keras"


def test_keras_and_its_port_give_the_same_kernels(tmp_path: Path) -> None:
    from weightsurgeon import port

    port(SMALL, tmp_path / "small.pt")
    here, there = open_checkpoint(SMALL), open_checkpoint(tmp_path / "small.pt")
    found = kernels(here)
    assert found
    for name in found:
        other = name.replace("/kernel", ".weight").replace("/", ".")
        axes = {4: "out in kh kw", 2: "out in"}[len(there[other].spec.shape)]
        if here[name].spec.axes is not None and "(" not in str(here[name].spec.axes):
            assert (kernel_of(here, name) == kernel_of(there, other, axes)).all()


def test_a_dense_is_one_pixel(tmp_path: Path) -> None:
    values = np.arange(6, dtype="float32").reshape(3, 2)
    found = open_checkpoint(save(tmp_path / "a.safetensors", {"w": values}))
    assert kernel_of(found, "w", "out in").tolist() == values.T.reshape(1, 1, 2, 3).tolist()


def test_a_dense_behind_a_flatten_is_a_map(tmp_path: Path) -> None:
    values = np.arange(24, dtype="float32").reshape(2, 12)
    found = open_checkpoint(save(tmp_path / "a.safetensors", {"w": values}))
    with pytest.raises(SpecError, match="give sizes"):
        kernel_of(found, "w", "out (c h w)")


@pytest.mark.parametrize(
    ("axes", "words"), [(None, "its axes are not known"), ("out feature", "no kernel of a plane")]
)
def test_what_has_no_plane_is_refused(tmp_path: Path, axes: str | None, words: str) -> None:
    found = open_checkpoint(save(tmp_path / "a.safetensors", {"w": np.zeros((2, 3), "float32")}))
    with pytest.raises(SpecError, match=words):
        kernel_of(found, "w", axes)
    with pytest.raises(MissingTensor):
        kernel_of(found, "v", axes)
