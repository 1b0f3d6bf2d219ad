"""Everything that needs a framework, run once for each backend of Keras, in a process of its own.

    KERAS_BACKEND=tensorflow python -m frameworks.worker FOLDER

A backend is fixed when Keras is imported. The results go to `FOLDER/results.json`; a case that
fails leaves its traceback there, so that the test of that case shows it.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import torch
from frameworks import (
    forwarding,
    kernels,
    live,
    optimizers,
    parametrized,
    published,
    quantised,
    refused,
)
from frameworks.cases import SIZES, Case
from frameworks.judge import inputs, judged, keras_model, torch_module
from frameworks.table import CASES


def main(folder: Path) -> None:
    """Judge every case in a folder of its own."""
    keras.utils.set_random_seed(3)
    torch.manual_seed(3)
    torch.set_num_threads(1)  # tiny tensors, and another backend at work beside this one
    results: dict[str, Any] = {}
    for name, build in CASES.items():
        for word, sizes in SIZES.items():
            run(results, f"{name}-{word}", folder, _judge(build, sizes))
    for name, function in {
        **published.CASES,
        **kernels.CASES,
        **parametrized.CASES,
        **quantised.CASES,
        **optimizers.CASES,
        **live.CASES,
        **forwarding.CASES,
    }.items():
        run(results, name, folder, function)
    run(results, "refused", folder, refused.save)
    (folder / "results.json").write_text(json.dumps(results))


def _judge(build: Any, sizes: Any) -> Callable[[Path], Any]:
    return lambda folder: _judged(build(sizes, keras.layers, torch.nn), folder)


def _judged(case: Case, folder: Path) -> dict[str, Any]:
    """By files, then by live models, built once."""
    model, module, x = keras_model(case), torch_module(case), inputs(case)
    found = judged(case, model, module, x, folder)
    try:
        return {**found, "live": live.live(case, model, module, x, folder)}
    except Exception:  # noqa: BLE001  it fails the tests of live models, with this very text
        return {**found, "live": {"error": traceback.format_exc()}}


def run(results: dict[str, Any], name: str, folder: Path, function: Callable[[Path], Any]) -> None:
    """One result, or the traceback of what went wrong."""
    place = folder / name
    place.mkdir()
    try:
        results[name] = function(place)
    except Exception:  # noqa: BLE001  it fails the test of this case, with this very text
        results[name] = {"error": traceback.format_exc()}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
