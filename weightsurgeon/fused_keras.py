"""A soft update of TensorFlow's variables, those of Keras models, as one compiled function."""

from __future__ import annotations

from typing import Any

from .errors import OutputError
from .fused import Pair, many, pairs_of
from .plan import Plan


class FusedKeras:
    """One graph of all assignments; the fractions are its input, so that n may change."""

    def __init__(self, pairs: list[Pair]) -> None:
        import tensorflow as tf

        self._tf = tf
        self._taus = sorted({p.tau for p in pairs})
        moves = [(self._taus.index(p.tau), p.target, p.online) for p in pairs]

        def update(taus: Any, rests: Any) -> None:
            for i, target, online in moves:
                _move(tf, target, online, self._taus[i], taus[i], rests[i])

        vector = tf.TensorSpec([len(self._taus)], tf.float64)
        self._update = tf.function(
            update, input_signature=[vector, vector], jit_compile=True
        ).get_concrete_function()
        self._inputs: dict[int, list[Any]] = {}

    @staticmethod
    def of(plan: Plan) -> FusedKeras | None:
        """Lower a plan; None where an output is more than that, or no variable of TensorFlow."""
        pairs = pairs_of(plan)
        if not pairs or not all(hasattr(x, "assign") for p in pairs for x in p[1:]):
            return None
        return FusedKeras(pairs)

    def __call__(self, n: int) -> None:
        """Make n updates at once."""
        if n == 0:
            return
        if n not in self._inputs:
            taus = [tau if n == 1 else many(tau, n) for tau in self._taus]
            rests = [1 - tau for tau in taus]
            self._inputs = {n: [self._tf.constant(x, self._tf.float64) for x in (taus, rests)]}
        self._update(*self._inputs[n])

    def stall(self) -> dict[str, int]:
        """Not measured here."""
        raise OutputError("stall is measured for tensors of torch only, so far")


def _move(tf: Any, target: Any, online: Any, fixed: float, tau: Any, rest: Any) -> None:
    """t + tau·(s − t), or s − (1 − tau)·(s − t) from a half on; in float32 at least."""
    if fixed == 1:
        target.assign(online)
        return
    wide = tf.float64 if target.dtype == tf.float64 else tf.float32
    t, s = tf.cast(target, wide), tf.cast(online, wide)
    tau, rest = tf.cast(tau, wide), tf.cast(rest, wide)
    made = t + tau * (s - t) if fixed < 0.5 else s - rest * (s - t)
    target.assign(tf.cast(made, target.dtype))
