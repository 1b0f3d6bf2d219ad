"""Recurrent layers: SimpleRNN, LSTM, GRU and their cells, and the convolutional LSTM.

The letters mean the same in every dialect: `i` input, `f` forget, `g` candidate, `o` output of an
LSTM; `z` update, `r` reset, `n` candidate of a GRU. `rec` is the input side of a recurrent kernel.
Torch keeps all levels and directions in one module, and two biases, of which an LSTM only ever
needs the sum; the two of a GRU stay apart, as its reset gate stands between them. Judged with
Keras 3.15 and PyTorch 2.13 by equal outputs.
"""

from __future__ import annotations

_GATES = {  # kind → the gates in each dialect's order
    "rnn": dict.fromkeys(("keras", "torch", "onnx", "flax"), ""),
    "lstm": {"keras": "g:ifgo", "torch": "g:ifgo", "onnx": "g:iofg", "flax": "g:ifgo"},
    "gru": {"keras": "g:zrn", "torch": "g:rzn", "onnx": "g:zrn", "flax": "g:rzn"},
}


def _kernel(kind: str, into: str) -> dict[str, str]:
    """How the kernel on `in` or `rec` lies; ONNX has a direction in front, of which there is one.

    >>> _kernel("gru", "rec")["torch"]
    '(g:rzn unit) rec'
    """
    units = {d: f"({g} unit)" if g else "unit" for d, g in _GATES[kind].items()}
    over = f"{_GATES[kind]['flax']} | " if kind != "rnn" else ""
    return {
        "keras": f"{into} {units['keras']}",
        "torch": f"{units['torch']} {into}",
        "onnx": f"1 {units['onnx']} {into}",
        "flax": f"{over}{into} unit",
    }


AXES = {
    **{f"{kind}.kernel": _kernel(kind, "in") for kind in _GATES},
    **{f"{kind}.recurrent_kernel": _kernel(kind, "rec") for kind in _GATES},
    "rnn.bias": {"keras": "unit", "torch": "b:xh | unit", "onnx": "1 (b:xh unit)", "flax": "unit"},
    "lstm.bias": {
        "keras": "(g:ifgo unit)",
        "torch": "b:xh | (g:ifgo unit)",
        "onnx": "1 (b:xh g:iofg unit)",
        "flax": "g:ifgo | unit",
    },
    "gru.bias": {
        "keras": "b:xh (g:zrn unit)",
        "torch": "b:xh | (g:rzn unit)",
        "onnx": "1 (b:xh g:zrn unit)",
    },
    "gru.bias@reset_before": {"keras": "(g:zrn unit)", "onnx": "1 (b:xh g:zrn unit)"},
    "conv_lstm.kernel": {"keras": "K in (g:ifgo unit)", "torch": "(g:ifgo unit) in K"},
    "conv_lstm.recurrent_kernel": {"keras": "K rec (g:ifgo unit)", "torch": "(g:ifgo unit) rec K"},
    "conv_lstm.bias": {"all": "(g:ifgo unit)"},
}
SUMS = {"rnn.bias": "b", "lstm.bias": "b", "gru.bias": "b"}  # added up where one is

_AT = "_l{level}{reverse}"
_LEAVES = {
    "kernel": {"keras": "kernel", "torch": f"weight_ih{_AT}|weight_ih", "onnx": "W"},
    "recurrent_kernel": {
        "keras": "recurrent_kernel",
        "torch": f"weight_hh{_AT}|weight_hh",
        "onnx": "R",
    },
    "bias": {
        "keras": "bias",
        "torch": f"bias_ih{_AT}|bias_ih, bias_hh{_AT}|bias_hh",
        "onnx": "B",
    },
}


def _flax(**leaves: str) -> dict[str, dict[str, str]]:
    """The leaves of a kind with those of Linen."""
    return {role: {**row, "flax": leaves[role]} for role, row in _LEAVES.items() if role in leaves}


LEAVES = {
    "rnn": _flax(kernel="i/kernel", recurrent_kernel="h/kernel", bias="i/bias"),
    "lstm": {
        **_flax(
            kernel="ii/kernel, if/kernel, ig/kernel, io/kernel",
            recurrent_kernel="hi/kernel, hf/kernel, hg/kernel, ho/kernel",
            bias="hi/bias, hf/bias, hg/bias, ho/bias",
        ),
        "projection": {"torch": f"weight_hr{_AT}|weight_hr"},
    },
    "gru": {
        **_LEAVES,
        **_flax(
            kernel="ir/kernel, iz/kernel, in/kernel",
            recurrent_kernel="hr/kernel, hz/kernel, hn/kernel",
        ),
    },
    "conv_lstm": {  # two convolutions in torch: of the input, and of the state
        "kernel": {"keras": "kernel", "torch": "0:weight"},
        "recurrent_kernel": {"keras": "recurrent_kernel", "torch": "1:weight"},
        "bias": {"keras": "bias", "torch": "0:bias"},
    },
}

WORDS = {
    "SimpleRNNCell": "rnn",
    "LSTMCell": "lstm",
    "GRUCell": "gru",
    "ConvLSTMCell": "conv_lstm",
}
