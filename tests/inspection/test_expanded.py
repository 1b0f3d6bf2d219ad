"""Expanded kernels are the linear network: outputs agree with a convolution by the definition."""

from __future__ import annotations

import numpy as np
import pytest
from correlation import correlate

from weightsurgeon.errors import SpecError
from weightsurgeon.inspection import expanded
from weightsurgeon.inspection.expanded import Path, cancellation, compose, path

RANDOM = np.random.default_rng(0)
IMAGE = RANDOM.standard_normal((23, 21, 3))


def agrees(found: Path, wanted: np.ndarray) -> None:
    ours = correlate(IMAGE, found.kernel, found.stride)
    h, w = wanted.shape[:2]
    ours = ours[:h, :w] + (0 if found.bias is None else found.bias)
    assert ours.shape == wanted.shape
    assert np.abs(ours - wanted).max() <= 1e-12 * max(1, np.abs(wanted).max())


def kernel(*shape: int) -> np.ndarray:
    return RANDOM.standard_normal(shape)


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_two_convolutions(stride: int, dilation: int, size: int) -> None:
    a, b = kernel(3, 3, 3, 4), kernel(size, size, 4, 5)
    wanted = correlate(correlate(IMAGE, a, stride), b, 1, dilation)
    agrees(path(a, stride).then(b, dilation=dilation), wanted)


def test_three_with_strides_and_a_dilated_first() -> None:
    a, b, c = kernel(2, 2, 3, 4), kernel(3, 3, 4, 2), kernel(2, 2, 2, 6)
    wanted = correlate(correlate(correlate(IMAGE, a, 1, 2), b, 2), c)
    agrees(path(a, dilation=2).then(b, stride=2).then(c), wanted)


def test_biases_travel_with_the_path() -> None:
    a, b, p, q = kernel(3, 3, 3, 4), kernel(3, 3, 4, 5), kernel(4), kernel(5)
    wanted = correlate(correlate(IMAGE, a) + p, b) + q
    agrees(path(a, bias=p).then(b, bias=q), wanted)


def test_batch_norm_is_folded() -> None:
    a, bias = kernel(3, 3, 3, 4), kernel(4)
    gamma, beta, mean, variance = kernel(4), kernel(4), kernel(4), kernel(4) ** 2
    wanted = (correlate(IMAGE, a) + bias - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    folded, shift = expanded.batch_norm(a, bias, gamma, beta, mean, variance, 1e-3)
    agrees(path(folded, bias=shift), wanted)


def test_average_pool_then_convolution() -> None:
    b = kernel(2, 2, 3, 5)
    pooled = correlate(IMAGE, expanded.average_pool(2, 3), 2)
    assert pooled[0, 0] == pytest.approx(IMAGE[:2, :2].mean((0, 1)))
    agrees(path(expanded.average_pool(2, 3), 2).then(b), correlate(pooled, b))


def test_depthwise_with_a_multiplier() -> None:
    k = kernel(3, 3, 3, 2)
    channels = [correlate(IMAGE[..., [c]], k[:, :, [c]]) for c in range(3)]
    agrees(path(expanded.depthwise(k)), np.concatenate(channels, axis=2))


def test_grouped() -> None:
    k = kernel(3, 3, 1, 6)
    parts = [correlate(IMAGE[..., [g]], k[..., 2 * g : 2 * g + 2]) for g in range(3)]
    agrees(path(expanded.grouped(k, 3)), np.concatenate(parts, axis=2))


def test_a_residual_adds_the_centred_identity() -> None:
    a = kernel(3, 3, 3, 3)
    agrees(path(expanded.residual(a)), correlate(IMAGE, a) + IMAGE[1:-1, 1:-1])


def test_a_projected_shortcut() -> None:
    a, s = kernel(3, 3, 3, 5), kernel(1, 1, 3, 5)
    wanted = correlate(IMAGE, a) + correlate(IMAGE, s)[1:-1, 1:-1]
    agrees(path(expanded.residual(a, s)), wanted)


def test_paths_without_a_common_centre_are_refused() -> None:
    with pytest.raises(SpecError, match="no common centre"):
        expanded.residual(kernel(2, 2, 3, 3))


def test_a_concat_is_the_sum_over_its_parts() -> None:
    a1, a2, b = kernel(3, 3, 3, 4), kernel(3, 3, 3, 2), kernel(2, 2, 6, 5)
    joined = np.concatenate([correlate(IMAGE, a1), correlate(IMAGE, a2)], axis=2)
    net = compose(a1, b[:, :, :4]) + compose(a2, b[:, :, 4:])
    agrees(Path(net), correlate(joined, b))


@pytest.mark.parametrize("channels_first", [False, True])
def test_a_dense_behind_a_flatten(channels_first: bool) -> None:
    x = IMAGE.transpose(2, 0, 1) if channels_first else IMAGE
    k = kernel(x.size, 4)
    found = expanded.dense_on_map(k, 23, 21, channels_first)
    agrees(Path(found), (x.ravel() @ k)[None, None])


def test_a_dense_behind_a_global_mean() -> None:
    k = kernel(3, 4)
    agrees(Path(expanded.dense_on_mean(k, 23, 21)), (IMAGE.mean((0, 1)) @ k)[None, None])


def test_kernels_that_do_not_meet_are_refused() -> None:
    with pytest.raises(SpecError, match="4 outputs, then one of 3 inputs"):
        compose(kernel(1, 1, 3, 4), kernel(1, 1, 3, 4))


def test_two_paths_of_opposite_sign_cancel() -> None:
    found = cancellation([np.array([[[[1.0, 1.0]]]]), np.array([1.0, -1.0]).reshape(1, 1, 2, 1)])
    assert found.net.item() == 0
    assert found.gross.item() == 2
    assert found.ratio == 0
    assert (found.positive.item(), found.negative.item()) == (1, 1)


def test_one_path_does_not() -> None:
    found = cancellation([np.array([[[[-2.0]]]]), np.array([[[[3.0]]]])])
    assert found.net.item() == -6
    assert found.ratio == 1


def test_noise_leaves_what_chance_does() -> None:
    found = cancellation([kernel(3, 3, 64, 64), kernel(3, 3, 64, 64)])
    assert 0.05 < found.ratio < 0.11
    assert found.against_chance == pytest.approx(0.67, abs=0.02)


def test_the_gradient_of_a_linear_network_is_its_expanded_kernel() -> None:
    a, b = kernel(3, 3, 3, 4), kernel(3, 3, 4, 2)
    e = compose(a, b)
    for place in [(0, 0, 0), (4, 3, 2), (2, 2, 1)]:
        pulse = np.zeros((5, 5, 3))
        pulse[place] = 1
        assert correlate(correlate(pulse, a), b)[0, 0] == pytest.approx(e[place], abs=1e-12)
