"""Judged by the libraries whose models these are: run by `make test-hubs`, skipped elsewhere."""

from __future__ import annotations

import os
from importlib.util import find_spec

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

needed = ("transformers", "keras_hub")
collect_ignore_glob = [] if all(map(find_spec, needed)) else ["test_*.py"]
