"""Makes small.keras, the input of the examples: a convolution, a batch norm, Flatten, two Dense.

KERAS_BACKEND=torch python examples/make_small.py
"""

from __future__ import annotations

from pathlib import Path

import keras
from keras import layers


def small() -> keras.Model:
    """The network; its weights are random, with a fixed seed."""
    keras.utils.set_random_seed(7)
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding="same", name="conv1")(image)
    x = layers.BatchNormalization(name="bn1")(x)
    x = layers.PReLU(shared_axes=[1, 2], name="prelu1")(x)
    x = layers.MaxPooling2D(2)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(6, activation="relu", name="fc1")(x)
    x = layers.Dense(2, name="fc2")(x)
    return keras.Model(image, x, name="small")


if __name__ == "__main__":
    small().save(Path(__file__).with_name("small.keras"))
