"""What is known of a value in a Keras model: how its last axis came about, and of which shape."""

from __future__ import annotations

from typing import NamedTuple

from .keras_calls import Size


class Flat(NamedTuple):
    """What is known of a value's last axis.

    shape  of the map that was flattened into it, without batch, channels last; () if none was
    map    a convolution made it, so that a rank-2 map has channels (a sequence has none)
    doubt  why the shape cannot be told, "" where it can
    first  the map's channels are its first axis: a channels_first convolution or a Permute did it
    stirred  why a vector made of the map may have its entries in any order; no matter to a map
    """

    shape: Size = ()
    map: bool = False
    doubt: str = ""
    first: bool = False
    stirred: str = ""


class Origin(NamedTuple):
    """Which layers made the entries of a value's last axis, and what a Reshape made of that axis.

    makers  `id` of the Dense, and of the layers behind it that have a value for each entry
    units   how many entries the Dense makes
    map     the shape that a Reshape gave them, () as long as they are a vector
    """

    makers: frozenset[int] = frozenset()
    units: int = 0
    map: Size = ()


class Value(NamedTuple):
    """What a layer takes and makes; `size` is the shape without batch, where it is known."""

    flat: Flat
    size: Size | None = None
    origin: Origin = Origin()


PLAIN = Flat()
NOTHING = Value(PLAIN)
