"""Equal outputs: the frameworks themselves are the judges of every row of the conventions.

Each case is a small network with random weights in Keras and in torch, with the same function. Its
weights are ported one way and other weights back, each loaded by the framework they are for; on
the same input both must then give the same output. `worker.py` does that, once a backend of Keras.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest
from frameworks.backends import BACKENDS, Results
from frameworks.cases import SIZES
from frameworks.table import CASES, CONTAINERS, KERNELS, NETWORKS, QUANTISED, REPARAMETRIZED

import weightsurgeon as ws
from weightsurgeon.errors import PlanError

TOLERANCE = 1e-5
pytestmark = [
    pytest.mark.frameworks,
    pytest.mark.skipif(
        any(find_spec(name) is None for name in ("torch", "keras")), reason="no framework to judge"
    ),
]
backends = pytest.mark.parametrize("backend", BACKENDS)
cases = pytest.mark.parametrize("case", [f"{name}-{size}" for name in CASES for size in SIZES])
published = pytest.mark.skipif(
    any(find_spec(name) is None for name in ("mtcnn", "facenet_pytorch")),
    reason="the published weights are not installed",
)


@backends
@cases
def test_torch_gives_the_output_of_keras(results: Results, backend: str, case: str) -> None:
    found = results.of(backend, case)
    assert found["before"] > 100 * TOLERANCE  # with other weights it does not: the judge can see
    assert found["to_torch"] < TOLERANCE


@backends
@cases
def test_keras_gives_the_output_of_torch(results: Results, backend: str, case: str) -> None:
    assert results.of(backend, case)["to_keras"] < TOLERANCE


@backends
@cases
def test_names_are_those_of_keras(results: Results, backend: str, case: str) -> None:
    found = results.of(backend, case)
    assert found["names"] == found["paths"]


@published
@backends
@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("network", NETWORKS)
def test_a_published_network_gives_the_same_output(
    results: Results, backend: str, network: str, suffix: str
) -> None:
    found = results.of(backend, network)
    assert found["before"] > 100 * TOLERANCE
    assert found[f"to_torch{suffix}"] < TOLERANCE
    assert found[f"to_keras{suffix}"] < TOLERANCE
    assert found[f"names{suffix}"] == found["paths"]


@backends
@pytest.mark.parametrize("case", REPARAMETRIZED)
def test_a_folded_norm_gives_the_same_output(results: Results, backend: str, case: str) -> None:
    found = results.of(backend, case)
    assert found["before"] > 100 * TOLERANCE
    assert found["to_keras"] < TOLERANCE
    assert ("spectral" in case) == (found["to_torch"] is None)
    assert (found["to_torch"] or 0) < TOLERANCE


@backends
@pytest.mark.parametrize("case", QUANTISED)
def test_quantised_layers_give_the_output_of_keras(
    results: Results, backend: str, case: str
) -> None:
    found = results.of(backend, case)
    assert found["before"] > 100 * TOLERANCE
    assert found["to_torch"] < TOLERANCE
    assert found["within"] == 0
    assert found["names"] == found["paths"]


@backends
@pytest.mark.parametrize("kernel", KERNELS)
def test_one_arrangement_of_a_cubic_kernel_is_right_and_it_is_ours(
    results: Results, backend: str, kernel: str
) -> None:
    found = results.of(backend, kernel)
    assert found == {"tried": KERNELS[kernel], "equal": 1, "ours": 1}


# -- refused: tensors that may fit a layer that computes something else ------------------------

TO_TORCH = {
    "reset_before": "kind: x: reset_after=False: it resets the state before the product",
    "other_activation": "kind: x: activation=relu: the module computes with another function",
    "stack_both_ways": "each direction of x is a stack of its own, torch's second level sees both",
    "gate": "kind: x: use_gate=True: it multiplies its output by a gate of its own",
    "rms_scaling": "x → x: rms_scaling=True: it divides by the deviation about the",
    "unshared_slopes": r"x/alpha → x.weight: shared_axes=\[\]: it has a slope for each place of a",
    "partly_shared_slopes": r"x/alpha → x.weight: shared_axes=\[1\]: it has a slope for each place",
    "separable": "a separable, as x, is no single layer there: write a mapping",
    "batch_letter": "x/kernel → x.weight: EinsumDense abc,bcd->abd: a batch axis in the kernel",
    "bias_of_a_place": "x/bias → x.bias: EinsumDense abc,cd->abd: a bias along bd, while a Linear",
    "partial_bias": "x/bias → x.bias: EinsumDense abc,cde->abde: a bias along e, while a Linear",
}
TO_KERAS = {
    "reset_before": "x → x/gru_cell: reset_after=False: it resets",
    "other_activation": "x → x/lstm_cell: activation=relu",
    "stack_both_ways": "each direction of x is a stack of its own, torch's second level sees both",
    "gate": "x → x/query: use_gate=True",
    "projected": "x.weight_hr_l0: a lstm of keras cannot hold it: the state is projected",
    "learned_key": "x.bias_k: a mha of keras cannot hold it: a learned key is appended",
    "rms_scaling": "x → x: rms_scaling=True",
    "unshared_slopes": r"x.weight → x/alpha: shared_axes=\[\]",
    "partly_shared_slopes": r"x.weight → x/alpha: shared_axes=\[1\]",
    "separable": r"x.weight → x/depthwise_kernel: \(5, 4, 3, 3\) does not fit",
    "batch_letter": "x.weight → x/kernel: EinsumDense abc,bcd->abd",
    "bias_of_a_place": "x.bias → x/bias: EinsumDense abc,cd->abd",
    "partial_bias": "x.bias → x/bias: EinsumDense abc,cde->abde",
    "no_statistics": "role: x has no running_mean: a batchnorm without its mean",
    "transpose_groups": "x.weight → x/kernel: .*out=3 in=4.* does not fit .*out=6 in=4",
}


@backends
@pytest.mark.parametrize(("name", "text"), TO_TORCH.items())
def test_what_torch_cannot_hold_is_refused(
    results: Results, backend: str, name: str, text: str, tmp_path: Path
) -> None:
    results.of(backend, "refused")
    model = results.folder / backend / "refused" / f"{name}.keras"
    with pytest.raises(PlanError, match=text) as caught:
        ws.port(model, tmp_path / "x.pt")
    assert [getattr(p, "id", "") for p in caught.value.problems] == ["kind"]
    assert not list(tmp_path.iterdir())
    ws.port(model, tmp_path / "x.safetensors", to="keras")  # in its own dialect it may stay


@backends
@pytest.mark.parametrize(("name", "text"), TO_KERAS.items())
def test_what_keras_cannot_hold_is_refused(
    results: Results, backend: str, name: str, text: str, tmp_path: Path
) -> None:
    results.of(backend, "refused")
    model = results.folder / backend / "refused" / f"{name}.keras"
    with pytest.raises(PlanError, match=text):
        ws.port(model.with_suffix(".pt"), tmp_path / "x.keras", template=model)
    assert not list(tmp_path.iterdir())
