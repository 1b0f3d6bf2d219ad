"""`module:callable`: a live model made by the user's own code, imported from the current folder."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import FormatError


def made(text: str) -> Any:
    """The model that a callable without arguments gives.

    Errors: FormatError where the module, the callable or the model is not there.
    """
    module, colon, name = text.partition(":")
    if not colon or not all(part.isidentifier() for part in (*module.split("."), *name.split("."))):
        what = "is no module:callable, which --forward runs to get a live model"
        raise FormatError(text, "", what)
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        return found()  # type: ignore[operator]
    except Exception as error:
        what = f"gives no model: {type(error).__name__}: {error}"
        raise FormatError(text, "", what) from error
