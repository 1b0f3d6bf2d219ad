"""One run of the frameworks for all tests here; their modules are the worker's, not pytest's."""

from __future__ import annotations

from pathlib import Path

import pytest
from frameworks.backends import Results, shared_folder

# pytest imports what it looks at for doctests, and these import frameworks
collect_ignore = [p.name for p in Path(__file__).parent.glob("*.py") if p.name[:5] != "test_"]


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """What the worker found, for every backend."""
    return Results(shared_folder(tmp_path_factory))
