"""The three networks of MTCNN in Keras, with the weights that the package `mtcnn` publishes.

The layers are those of `mtcnn/network/*.py`, as functional models: importing that package would
import tensorflow, and only its files are wanted. The same weights are published for PyTorch by
`facenet-pytorch`; both were converted by hand, years ago, from one Caffe model.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAMES = ("pnet", "rnet", "onet")


def save_keras(folder: Path) -> list[Path]:
    """Save `pnet.keras`, `rnet.keras` and `onet.keras` with Keras itself."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name in NAMES:
        model = BUILDERS[name]()
        model.set_weights(published_keras(name))
        paths.append(folder / f"{name}.keras")
        model.save(paths[-1])
    return paths


def published_keras(name: str) -> list[Any]:
    """The published arrays of a network, in the order of Keras' `get_weights`."""
    import joblib

    arrays: list[Any] = joblib.load(installed("mtcnn") / "assets" / "weights" / f"{name}.lz4")
    return arrays


def published_torch() -> dict[str, Path]:
    """The files of the same networks for PyTorch."""
    return {name: installed("facenet_pytorch") / "data" / f"{name}.pt" for name in NAMES}


def installed(package: str) -> Path:
    """The folder of an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package}: pip install --no-deps -r requirements/models.txt")
    return Path(spec.submodule_search_locations[0])


def pnet() -> Any:
    """The proposal network: fully convolutional, for images of any size."""
    import keras
    from keras import layers

    image = keras.Input((None, None, 3))
    x = block(image, 1, filters=10, kernel=3)
    x = layers.MaxPooling2D(2, strides=2, padding="same", name="maxpooling1")(x)
    x = block(x, 2, filters=16, kernel=3)
    x = block(x, 3, filters=32, kernel=3)
    boxes = layers.Conv2D(4, 1, name="conv4-1")(x)
    faces = layers.Conv2D(2, 1, activation="softmax", name="conv4-2")(x)
    return keras.Model(image, [boxes, faces], name="pnet")


def rnet() -> Any:
    """The refinement network, for the 24×24 proposals of the first."""
    import keras
    from keras import layers

    image = keras.Input((24, 24, 3))
    x = block(image, 1, filters=28, kernel=3)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="maxpooling1")(x)
    x = block(x, 2, filters=48, kernel=3)
    x = layers.MaxPooling2D(3, strides=2, name="maxpooling2")(x)
    x = block(x, 3, filters=64, kernel=2)
    x = dense(flat(x, 3), 4, units=128)
    boxes = layers.Dense(4, name="fc5-1")(x)
    faces = layers.Dense(2, activation="softmax", name="fc5-2")(x)
    return keras.Model(image, [boxes, faces], name="rnet")


def onet() -> Any:
    """The output network, for what the second left over, at 48×48; it finds landmarks too."""
    import keras
    from keras import layers

    image = keras.Input((48, 48, 3))
    x = block(image, 1, filters=32, kernel=3)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name="maxpooling1")(x)
    x = block(x, 2, filters=64, kernel=3)
    x = layers.MaxPooling2D(3, strides=2, name="maxpooling2")(x)
    x = block(x, 3, filters=64, kernel=3)
    x = layers.MaxPooling2D(2, strides=2, padding="same", name="maxpooling3")(x)
    x = block(x, 4, filters=128, kernel=2)
    x = dense(flat(x, 4), 5, units=256)
    boxes = layers.Dense(4, name="fc6-1")(x)
    landmarks = layers.Dense(10, name="fc6-2")(x)
    faces = layers.Dense(2, activation="softmax", name="fc6-3")(x)
    return keras.Model(image, [boxes, landmarks, faces], name="onet")


def block(x: Any, number: int, filters: int, kernel: int) -> Any:
    """A convolution and its PReLU, one slope for each channel."""
    from keras import layers

    x = layers.Conv2D(filters, kernel, name=f"conv{number}")(x)
    return layers.PReLU(shared_axes=[1, 2], name=f"prelu{number}")(x)


def flat(x: Any, number: int) -> Any:
    """All values in the order width, height, channel: that of the Caffe model, not of Keras."""
    from keras import layers

    x = layers.Permute((2, 1, 3), name="permute")(x)
    return layers.Flatten(name=f"flatten{number}")(x)


def dense(x: Any, number: int, units: int) -> Any:
    """A dense layer and its PReLU, one slope for each unit."""
    from keras import layers

    x = layers.Dense(units, name=f"fc{number}")(x)
    return layers.PReLU(name=f"prelu{number}")(x)


BUILDERS: dict[str, Callable[[], Any]] = {"pnet": pnet, "rnet": rnet, "onet": onet}
