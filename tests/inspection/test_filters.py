"""Known kernels give known pixels; what cannot be a colour is refused."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.inspection.colours import rgb
from weightsurgeon.inspection.drawing import Drawing, Image, Text
from weightsurgeon.inspection.filters import kernels, nmf, small_multiples


def images(drawing: Drawing) -> list[np.ndarray]:
    return [m.pixels for m in drawing.marks if isinstance(m, Image)]


def texts(drawing: Drawing) -> str:
    return "\n".join(m.text for m in drawing.marks if isinstance(m, Text))


def test_sobel_on_one_channel_is_blue_white_red() -> None:
    sobel = np.array([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], float).reshape(3, 3, 1, 1)
    pixels = images(kernels(sobel))[0]
    assert pixels[1].tolist() == [list(rgb(c)) for c in ("#0571b0", "#f7f7f7", "#ca0020")]
    assert pixels[0, 0].tolist() == list(rgb("#92c5de"))
    assert "+2" in texts(kernels(sobel))


def test_one_hot_on_three_channels_is_a_colour_on_grey() -> None:
    kernel = np.zeros((2, 2, 3, 1))
    kernel[0, 1, 0, 0] = 5
    assert images(kernels(kernel))[0].tolist() == [
        [[128, 128, 128], [255, 128, 128]],
        [[128, 128, 128], [128, 128, 128]],
    ]


def test_a_zero_kernel_is_neutral() -> None:
    assert (images(kernels(np.zeros((2, 2, 3, 2))))[1] == 128).all()


def test_scales_compare_or_not() -> None:
    kernel = np.concatenate([np.ones((1, 1, 3, 1)), np.full((1, 1, 3, 1), 0.5)], axis=3)
    assert [p.max() for p in images(kernels(kernel, scale="filter"))] == [255, 255]
    assert [p.max() for p in images(kernels(kernel, scale="global"))] == [255, 191]
    assert [p.max() for p in images(kernels(kernel, scale="minmax"))] == [255, 0]
    assert "black 0.5, white 1" in texts(kernels(kernel, scale="minmax"))


def test_the_fourth_channel_stands_apart() -> None:
    kernel = np.random.default_rng(0).standard_normal((3, 3, 4, 5))
    drawing = kernels(kernel)
    assert len(images(drawing)) == 10
    assert "the fourth input channel" in texts(drawing)


def test_hidden_kernels_are_no_colours() -> None:
    with pytest.raises(ValueError, match="16 input channels are no colours"):
        kernels(np.zeros((3, 3, 16, 4)))


def test_units_and_labels_are_chosen() -> None:
    kernel = np.random.default_rng(0).standard_normal((3, 3, 3, 5))
    drawing = kernels(kernel, units=[4, 0], labels=["a", "b", "c", "d", "edge"])
    assert len(images(drawing)) == 2
    assert "edge\na" in texts(drawing)


def test_factors_are_told_with_their_share() -> None:
    random = np.random.default_rng(0)
    rows = np.maximum(random.standard_normal((9 * 8, 3)), 0) @ random.standard_normal((3, 20))
    kernel = rows.reshape(8, 3, 3, 20).transpose(1, 2, 3, 0)
    drawing, found = nmf(kernel)
    assert found.explained > 0.99
    assert len(images(drawing)) == 8
    assert "may mix meanings" in texts(drawing)


def test_of_noise_the_picture_says_that_it_is() -> None:
    drawing, _ = nmf(np.random.default_rng(0).standard_normal((3, 3, 64, 64)))
    assert "no structure" in texts(drawing)


def test_small_multiples_show_the_largest_maps_first() -> None:
    kernel = np.zeros((3, 3, 3, 2))
    kernel[:, :, 2, 0], kernel[:, :, 1, 0] = 2, 1
    drawing = small_multiples(kernel, top=2)
    assert texts(drawing).split("\n")[:2] == ["2→0", "1→0"]
    assert len(images(drawing)) == 5  # two units, two inputs each, and the scale
