"""What every test may rely on: the same environment everywhere, and a file to look at."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import settings

# Before any test imports a framework; a caller may choose another backend.
os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # it says so on stderr where it is on

# The same examples on every machine: a red run is a change of the code, never of the dice. No
# deadline, as two cores are shared with the other worker and a framework import takes seconds.
settings.register_profile("default", derandomize=True, deadline=None)
settings.register_profile("search", derandomize=False, deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A safetensors file of one tensor, written byte by byte: `fc.weight`, float32 [2, 3]."""
    header = json.dumps({"fc.weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}})
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + bytes(24))
    return path
