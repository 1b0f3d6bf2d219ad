"""Recurrent layers: SimpleRNN, LSTM, GRU and their cells. The rows' place; none is built yet."""

from __future__ import annotations

AXES: dict[str, dict[str, str]] = {}
LEAVES: dict[str, dict[str, dict[str, str]]] = {}
WORDS: dict[str, str] = {}
