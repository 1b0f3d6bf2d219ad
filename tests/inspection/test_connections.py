"""Shares, tails and bands against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.inspection.connections import banding, connections, participation


def test_participation_is_1_of_one_n_of_equals_and_a_third_of_gaussians() -> None:
    assert participation(np.eye(7)[3]) == 1
    assert participation(np.full(12, -0.3)) == pytest.approx(12)
    gaussian = np.random.default_rng(0).standard_normal(200_000)
    assert participation(gaussian) == pytest.approx(len(gaussian) / 3, rel=0.02)
    assert participation(np.zeros(4)) == 0
    assert participation([]) == 0


def test_the_strongest_come_first_with_sign_and_share() -> None:
    kernel = np.zeros((2, 2, 3, 1))
    kernel[:, :, 1, 0] = [[1, 1], [1, 1]]
    kernel[0, 0, 2, 0] = -1
    found = connections(kernel, unit=0, top=2)
    assert [(c.channel, c.weight, c.share) for c in found.top] == [(1, 2, 0.8), (2, -1, 0.2)]
    assert found.count == 3
    assert found.share == pytest.approx(1)
    assert found.holding == {0.5: 1, 0.9: 2, 0.99: 2}


def test_where_a_unit_goes() -> None:
    kernel = np.array([[1.0, -2.0], [5.0, 6.0]])
    found = connections(kernel, unit=0, outgoing=True)
    assert [(c.channel, c.weight) for c in found.top] == [(1, -2), (0, 1)]


def test_a_unit_without_weight() -> None:
    found = connections(np.zeros((3, 1)), unit=0)
    assert found.participation == 0
    assert set(found.holding.values()) == {0}


def test_noise_has_the_bands_of_chance() -> None:
    noise = np.random.default_rng(0).standard_normal((5, 5, 100, 100))
    found = banding(noise)
    assert found.horizontal == pytest.approx(1 / 6, abs=2e-3)
    assert found.horizontal_chance == pytest.approx(1 / 6)
    assert not found.banded


def test_planted_bands_are_found() -> None:
    random = np.random.default_rng(0)
    rows = random.standard_normal((5, 1, 32, 32))
    found = banding(rows + 0.1 * random.standard_normal((5, 5, 32, 32)))
    assert found.horizontal > 0.98
    assert found.vertical < 0.02
    assert found.banded


@pytest.mark.parametrize("shape", [(1, 1, 4, 4), (3, 3, 0, 4)])
def test_without_space_or_values_there_are_no_bands(shape: tuple[int, ...]) -> None:
    assert not banding(np.ones(shape)).banded
