"""Live models of both frameworks, judged by the worker: ports in place, without a file."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from frameworks.backends import BACKENDS, Results
from frameworks.cases import SIZES
from frameworks.table import CASES, OPTIMIZERS

TOLERANCE = 1e-5
pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("torch", "keras")), reason="no framework to judge"
    ),
]
backends = pytest.mark.parametrize("backend", BACKENDS)
cases = pytest.mark.parametrize("case", [f"{name}-{size}" for name in CASES for size in SIZES])


def judged(results: Results, backend: str, case: str) -> dict[str, Any]:
    """What was found of the live models of a case."""
    found: dict[str, Any] = results.of(backend, case)["live"]
    if "error" in found:
        pytest.fail(found["error"], pytrace=False)
    return found


@backends
@cases
def test_live_models_take_each_others_weights(results: Results, backend: str, case: str) -> None:
    found = judged(results, backend, case)
    assert found["to_torch"] < TOLERANCE
    assert found["to_keras"] < TOLERANCE
    assert found["differing"].startswith("equal")
    assert found["same_objects"]
    assert found["same_modes"]
    assert found["pruned"] == [True, True]


@backends
@cases
def test_a_live_keras_model_is_what_it_saves(results: Results, backend: str, case: str) -> None:
    assert judged(results, backend, case)["unlike_the_file"] == []


@backends
def test_bfloat16_crosses_bit_for_bit(results: Results, backend: str) -> None:
    found = results.of(backend, "live_low_precision")
    assert found["equal"]
    assert found["same"]
    assert found["graph"] == "None"
    assert found["dtypes"] == ["torch.bfloat16", "bfloat16"]
    assert found["file"].startswith("equal")


@backends
def test_weights_are_all_that_a_live_model_has(results: Results, backend: str) -> None:
    found = results.of(backend, "live_parts")
    assert found["names"] == ["inner/d/kernel", "inner/d/bias"]
    assert found["nested"] == ["sub/d/kernel", "sub/d/bias", "sub_/d/kernel", "sub_/d/bias"]
    assert found["layer"] == [["weight", "relaid"], ["bias", "copied"]]
    assert set(found["own"].items()) == {
        ("a/kernel", "linear"),
        ("a/bias", "linear"),
        ("b/gamma", "layernorm"),
        ("b/beta", "layernorm"),
    }


@backends
@pytest.mark.parametrize("what", ["layer", "model"])
def test_what_is_not_built_is_refused(results: Results, backend: str, what: str) -> None:
    assert "is not built and has no values" in results.of(backend, "live_parts")["unbuilt"][what]


@backends
def test_a_layer_alone_knows_the_map_that_is_flattened_before_it(
    results: Results, backend: str
) -> None:
    found = results.of(backend, "live_flattened")
    flat = "(h w c) out → out (c h w)"
    assert found["layouts"] == {"f": flat, "g": "in out → out in", "d": flat}
    assert "whether a map is flattened before" in found["refused"]
    assert found["own"]["a/kernel"] is None  # a model of one's own does not tell what is before it
    assert found["own"]["c/kernel"] == []


@backends
def test_46_47_a_soft_update_is_one_call(results: Results, backend: str) -> None:
    found = results.of(backend, "live_soft")
    assert found["fused"] == {"torch": "Fused", "tensorflow": "FusedKeras"}[backend]
    assert max(found["apart"]) < 1e-6
    assert found["same_objects"]
    assert found["crossed"] == [True, True]


@backends
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_training_goes_on_with_the_slots(results: Results, backend: str, optimizer: str) -> None:
    found = results.of(backend, f"train-{optimizer}")
    assert found["without"] > 100 * TOLERANCE  # weights alone do not do
    assert found["to_torch"] < TOLERANCE
    assert found["to_keras"] < TOLERANCE
    assert found["same_objects"]
    assert set(found["steps"]) == ({8} if optimizer in ("sgd", "nesterov") else {10})
    assert len(found["lines"]) == 1
