"""The public face: few names, sorted, lazily attached, each of them explained."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType

import pytest

import weightsurgeon

NAMES: tuple[str, ...] = tuple(getattr(weightsurgeon, "__all__", ()))


@pytest.fixture(autouse=True, scope="module")
def _every_submodule() -> None:
    """Importing a submodule attaches it to its package, where it could shadow a public name."""
    for found in walk_packages(weightsurgeon.__path__, "weightsurgeon."):
        if not found.name.endswith("__main__"):
            import_module(found.name)


def test_there_are_few_names_in_order() -> None:
    assert 0 < len(NAMES) <= 20
    assert list(NAMES) == sorted(set(NAMES))


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_explained_and_no_module(name: str) -> None:
    value = getattr(weightsurgeon, name)
    assert not isinstance(value, ModuleType)
    assert (value.__doc__ or "").strip()


def test_names_are_listed_and_others_are_refused() -> None:
    assert set(NAMES) <= set(dir(weightsurgeon))
    absent = "no_such_name"
    with pytest.raises(AttributeError, match=absent):
        getattr(weightsurgeon, absent)


def test_names_are_attached_lazily() -> None:
    code = "import sys, weightsurgeon; print(*(m for m in sys.modules if 'weightsurgeon' in m))"
    root = Path(__file__).parent.parent
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["weightsurgeon"], done.stderr
