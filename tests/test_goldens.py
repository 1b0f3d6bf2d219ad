"""Files that other libraries wrote once, read here without them: see golden/make_goldens.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from weightsurgeon.opening import open_checkpoint

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", ["tiny.safetensors", "tiny.pt"])
def test_a_file_of_another_library(name: str) -> None:
    with open_checkpoint(GOLDEN / name) as found:
        assert found.dialect == "torch"
        names = ("grid", "half", "scalar", "flags", "empty")
        dtypes = ["float32", "bfloat16", "int64", "bool", "float16"]
        assert [str(found[name].spec.dtype) for name in names] == dtypes
        assert found["grid"].numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
        assert found["half"].numpy().view("u2").tolist() == [0x3F80, 0x8000, 0x7F80]
        assert found["scalar"].numpy().tolist() == 7
        assert found["flags"].numpy().tolist() == [True, False]
        assert found["empty"].numpy().shape == (0, 2)


def test_ties_and_views_of_a_torch_file() -> None:
    with open_checkpoint(GOLDEN / "tiny.pt") as found:
        assert found["turned"].numpy().tolist() == [[0, 3], [1, 4], [2, 5]]
        assert np.array_equal(found["tied"].numpy(), found["grid"].numpy())
        assert found.ties == {"tied": "grid"}
