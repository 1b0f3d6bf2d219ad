"""The factorisation finds what was planted, reaches its bound, and claims nothing of noise."""

from __future__ import annotations

import numpy as np
import pytest

from weightsurgeon.inspection.factors import colours_of, factorise


def planted(seed: int, noise: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A hidden kernel (3, 3, 128, 128) as rows, of three sparse factors and noise."""
    random = np.random.default_rng(seed)
    picture = random.random((9 * 128, 3)) * (random.random((9 * 128, 3)) < 0.4)
    directions = random.standard_normal((3, 128))
    x = picture @ directions
    return x + noise * x.std() * random.standard_normal(x.shape), picture, directions


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_planted_factors_are_found(seed: int) -> None:
    x, picture, directions = planted(seed)
    found = factorise(x)
    assert found.explained == pytest.approx(found.bound, abs=1e-4)
    correlation = np.corrcoef(np.hstack([found.picture, picture]).T)[:3, 3:]
    assert sorted(np.abs(correlation).max(1).round(3)) == [1, 1, 1]
    unit = directions / np.linalg.norm(directions, axis=1)[:, None]
    assert (found.directions @ unit.T).max(1).min() > 0.999


def test_the_same_matrix_gives_the_same_bits() -> None:
    x = planted(3)[0]
    first, second = factorise(x), factorise(x)
    assert first.picture.tobytes() == second.picture.tobytes()
    assert first.directions.tobytes() == second.directions.tobytes()


def test_of_noise_little_is_explained_and_it_is_said() -> None:
    found = factorise(np.random.default_rng(0).standard_normal((4608, 512)))
    assert found.explained <= found.bound < 0.0104
    assert not found.structured


def test_planted_factors_are_structure() -> None:
    assert factorise(planted(0)[0]).structured


def test_nothing_is_explained_of_zeros() -> None:
    found = factorise(np.zeros((9, 5)))
    assert found.explained == found.bound == 0
    assert colours_of(found).tolist() == [[0, 0, 0]] * 9


def test_more_factors_than_channels_stay_zero() -> None:
    x = np.abs(np.random.default_rng(0).standard_normal((20, 2)))
    found = factorise(x, k=4)
    assert found.picture.shape == (20, 4)
    assert found.explained == pytest.approx(1, abs=1e-3)


def test_the_strongest_factor_comes_first_with_unit_directions() -> None:
    found = factorise(planted(1)[0])
    norms = np.linalg.norm(found.picture, axis=0)
    assert (np.diff(norms) <= 0).all()
    assert np.linalg.norm(found.directions, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_top_channels_are_told_with_their_coefficients() -> None:
    x = np.outer([1.0, 0.5, 0, 2], [0.0, -3, 0, 4])
    assert [c for c, _ in factorise(x, k=1).top_channels(0, 2)] == [3, 1]
    assert factorise(x, k=1).top_channels(0, 2)[1][1] == pytest.approx(-0.6, abs=1e-5)


@pytest.mark.parametrize("k", [1, 2, 4, 5])
def test_colours_are_intensities(k: int) -> None:
    colours = colours_of(factorise(planted(0)[0], k))
    assert colours.shape == (9 * 128, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
