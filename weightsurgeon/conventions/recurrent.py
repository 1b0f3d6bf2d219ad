"""Recurrent layers: SimpleRNN, LSTM, GRU and their cells. A Keras cell is one torch level.

Letters mean the same in every dialect: LSTM i input, f forget, g candidate (Keras c), o output;
GRU z update, r reset, n candidate (Keras h). torch has two biases, b:xh; where the layer adds them,
Keras has their sum.
"""

from __future__ import annotations

AXES: dict[str, dict[str, str]] = {
    "lstm.kernel": {"keras": "in (g:ifgo unit)", "torch": "(g:ifgo unit) in"},
    "lstm.recurrent_kernel": {"keras": "rec (g:ifgo unit)", "torch": "(g:ifgo unit) rec"},
    "lstm.bias": {"keras": "(g:ifgo unit)", "torch": "b:xh | (g:ifgo unit)"},
    "gru.kernel": {"keras": "in (g:zrn unit)", "torch": "(g:rzn unit) in"},
    "gru.recurrent_kernel": {"keras": "rec (g:zrn unit)", "torch": "(g:rzn unit) rec"},
    "gru.bias": {"keras": "b:xh (g:zrn unit)", "torch": "b:xh | (g:rzn unit)"},
}

_CELL = {
    "kernel": {"keras": "kernel", "torch": "weight_ih_l{level}{reverse}|weight_ih"},
    "recurrent_kernel": {
        "keras": "recurrent_kernel",
        "torch": "weight_hh_l{level}{reverse}|weight_hh",
    },
    "bias": {
        "keras": "bias",
        "torch": "bias_ih_l{level}{reverse}|bias_ih, bias_hh_l{level}{reverse}|bias_hh",
    },
}
LEAVES: dict[str, dict[str, dict[str, str]]] = {"lstm": _CELL, "gru": _CELL}

SUMS = {"lstm.bias": "b"}  # the layer adds both: one of them may hold all

WORDS = {"LSTMCell": "lstm", "GRUCell": "gru"}
