"""The models of torchvision without its compiled operators, of which there is no CPU build here.

Only the Python of `torchvision.models` is used, from a folder beside the environment (else
transformers would take torchvision for installed); what it imports beside is put in its place.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def _package(name: str, path: list[str]) -> ModuleType:
    module = ModuleType(name)
    module.__path__ = path
    sys.modules[name] = module
    return module


def model(module: str, name: str) -> Any:
    """A model with random weights: `model("resnet", "resnet50")`."""
    if "torchvision" not in sys.modules:
        root = str(Path(sys.prefix) / "models" / "torchvision")
        for part in ("", ".ops", ".models"):
            _package(f"torchvision{part}", [f"{root}{part.replace('.', '/')}"])
        extension = _package("torchvision.extension", [])
        extension._has_ops = lambda: False  # type: ignore[attr-defined]
        extension._assert_has_ops = lambda: None  # type: ignore[attr-defined]
        _package("torchvision.transforms", [])
        presets = _package("torchvision.transforms._presets", [])
        presets.ImageClassification = object  # type: ignore[attr-defined]
    return getattr(importlib.import_module(f"torchvision.models.{module}"), name)(weights=None)
