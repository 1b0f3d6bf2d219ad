"""The command line, for the tests of the wing."""

from __future__ import annotations

import pytest
from porting import Shell


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line, called in this process."""
    return Shell(capsys)
