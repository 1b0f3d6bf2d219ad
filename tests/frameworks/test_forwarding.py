"""What `verify --forward` names, judged by the worker in both backends of Keras."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
from frameworks.backends import BACKENDS, Results
from frameworks.cases import SIZES
from frameworks.table import CASES

pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("torch", "keras")), reason="no framework to judge"
    ),
]
backends = pytest.mark.parametrize("backend", BACKENDS)
cases = pytest.mark.parametrize("case", [f"{name}-{size}" for name in CASES for size in SIZES])


@backends
@cases
def test_models_of_equal_weights_give_equal_outputs(
    results: Results, backend: str, case: str
) -> None:
    assert results.of(backend, case)["live"].get("forward", "").startswith("equal")


@backends
@pytest.mark.parametrize("name", ["equal", "back"])
def test_an_image_is_moved_for_the_other_framework(
    results: Results, backend: str, name: str
) -> None:
    found = results.of(backend, "forward_images")
    assert found[name]["equal"], found[name]["text"]
    assert found["untouched"]


@backends
@pytest.mark.parametrize(
    ("name", "where", "layer", "what", "words"),
    [
        ("epsilon", "layer", "b", "epsilon", "epsilon is 0.001 here and 1e-05 there"),
        ("padding", "layer", "c", "padding", "ZeroPad2d((0, 1, 0, 1))"),
        ("activation", "after", "b", "activation", "relu follows here, tanh there"),
        ("weights", "layer", "d", "weights", "5 of 5 differ, worst |Δ| 5"),
        ("keras", "after", "b", "activation", "relu follows here, tanh there"),
    ],
)
def test_the_first_layer_that_parts_is_named(
    results: Results, backend: str, name: str, where: str, layer: str, what: str, words: str
) -> None:
    found = results.of(backend, "forward_images")[name]
    assert not found["equal"]
    assert (found["where"], found["layer"]) == (where, layer), found["text"]
    ((word, text),) = found["reasons"]
    assert word == what
    assert words in text


@backends
@pytest.mark.parametrize("steps", ["", "_steps_first"])
def test_swapped_gates_are_told_apart_from_other_weights(
    results: Results, backend: str, steps: str
) -> None:
    found = results.of(backend, "forward_recurrent")
    assert found[f"equal{steps}"]["equal"], found[f"equal{steps}"]["text"]
    gates = found[f"gates{steps}"]
    assert (gates["where"], gates["layer"]) == ("layer", "x"), gates["text"]
    assert {what for what, _ in gates["reasons"]} == {"layout"}
    assert all("gates lie as i g f o and not as i f g o" in text for _, text in gates["reasons"])


@backends
def test_a_gelu_by_tanh_is_no_gelu(results: Results, backend: str) -> None:
    found = results.of(backend, "forward_others")
    assert found["exact"]["equal"], found["exact"]["text"]
    assert found["by_tanh"]["reasons"] == [["activation", "gelu follows here, gelu by tanh there"]]


@backends
def test_a_layer_alone_has_its_activation_and_torch_has_none(
    results: Results, backend: str
) -> None:
    found = results.of(backend, "forward_others")["alone"]
    assert found["reasons"] == [["activation", "relu follows here, nothing there"]]


@backends
@pytest.mark.parametrize("how", ["list", "dict"])
def test_inputs_go_by_their_names(results: Results, backend: str, how: str) -> None:
    found = results.of(backend, "forward_others")
    assert found[how]["equal"]
    assert found[f"{how}_seeded"]["equal"]
