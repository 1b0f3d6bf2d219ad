"""Recurrent layers: one level, both directions, stacks of cells, and a convolutional LSTM."""

from __future__ import annotations

from typing import Any

from frameworks.cases import Case, Sizes, Table
from frameworks.normalization import within

KINDS = {"rnn": ("SimpleRNN", "RNN"), "lstm": ("LSTM", "LSTM"), "gru": ("GRU", "GRU")}


def outputs(t: Any) -> Any:
    """A module that takes the outputs of a recurrent one, and leaves its state."""

    class Outputs(t.Module):  # type: ignore[misc]
        def forward(self, x: Any) -> Any:
            return x[0]

    return Outputs()


def recurrent(kind: str, both: bool = False, bias: bool = True, **options: str) -> Any:
    """A layer of one level."""
    keras, torch = KINDS[kind]

    def build(n: Sizes, k: Any, t: Any) -> Case:
        layer = getattr(k, keras)(n.out, return_sequences=True, use_bias=bias, name="x", **options)
        how = {"nonlinearity": options["activation"]} if options else {}
        module = getattr(t, torch)
        return Case(
            (3, n.into),
            [k.Bidirectional(layer, name="x") if both else layer],
            {
                "x": module(n.into, n.out, bias=bias, bidirectional=both, batch_first=True, **how),
                "outputs": outputs(t),
            },
        )

    return build


def stacked(kind: str) -> Any:
    """Cells upon each other: the levels of one module of torch."""
    keras, torch = KINDS[kind]

    def build(n: Sizes, k: Any, t: Any) -> Case:
        cells = [getattr(k, f"{keras}Cell")(n.out) for _ in range(2)]
        return Case(
            (3, n.into),
            [k.RNN(cells, return_sequences=True, name="x")],
            {
                "x": getattr(t, torch)(n.into, n.out, num_layers=2, batch_first=True),
                "outputs": outputs(t),
            },
        )

    return build


def layers(n: Sizes, k: Any, t: Any) -> Case:
    """Layers upon each other: which are the levels of one module, a mapping must say."""
    rule = "{{layer: {0}, to: {1}, kind: lstm, options: {{level: {2}}}}}"
    names = [(f"{name}/lstm_cell", level) for level, name in enumerate("ab")]
    return Case(
        (3, n.into),
        [k.LSTM(n.out, return_sequences=True, name=name) for name in "ab"],
        {"x": t.LSTM(n.into, n.out, num_layers=2, batch_first=True), "outputs": outputs(t)},
        there="\n- ".join(rule.format(name, "x", level) for name, level in names),
        back="\n- ".join(rule.format("x", name, level) for name, level in names),
    )


def convolutional(rank: int) -> Any:
    """A convolutional LSTM: in torch two convolutions, of the input and of the state."""

    def build(n: Sizes, k: Any, t: Any) -> Case:
        kernel, conv = n.kernel[:rank], getattr(t, f"Conv{rank}d")

        class ConvLSTM(t.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                super().__init__()
                self.input = conv(n.into, 4 * n.out, kernel)
                self.state = conv(n.out, 4 * n.out, kernel, padding="same", bias=False)

            def forward(self, x: Any) -> Any:
                hidden = memory = None
                for step in x.unbind(2):
                    gates = self.input(step)
                    gates = gates if hidden is None else gates + self.state(hidden)
                    i, f, g, o = gates.chunk(4, 1)
                    kept = 0 if memory is None else f.sigmoid() * memory
                    memory = kept + i.sigmoid() * g.tanh()
                    hidden = o.sigmoid() * memory.tanh()
                return hidden

        return Case(
            (3, *n.extent[:rank], n.into),
            [getattr(k, f"ConvLSTM{rank}D")(n.out, kernel, name="x")],
            {"x": ConvLSTM()},
            first=True,
            there="{layer: x/conv_lstm_cell, to: [x.input, x.state], kind: conv_lstm}",
            back="{layer: [x.input, x.state], to: x/conv_lstm_cell, kind: conv_lstm}",
        )

    return build


def distributed(n: Sizes, k: Any, t: Any) -> Case:
    """A layer at each step of a sequence: the wrapper's name stands in front of the layer's."""
    layer = k.TimeDistributed(k.Dense(n.out, name="fc"), name="x")
    return Case((3, n.into), [layer], {"x": within(t, fc=t.Linear(n.into, n.out))})


RECURRENT: Table = {
    **{kind: recurrent(kind) for kind in KINDS},
    **{f"{kind}_both_ways": recurrent(kind, both=True) for kind in KINDS},
    **{f"{kind}_without_bias": recurrent(kind, bias=False) for kind in KINDS},
    **{f"{kind}_cells": stacked(kind) for kind in KINDS},
    "rnn_relu": recurrent("rnn", activation="relu"),
    "lstm_layers": layers,
    **{f"conv_lstm{rank}d": convolutional(rank) for rank in (1, 2, 3)},
    "time_distributed": distributed,
}
