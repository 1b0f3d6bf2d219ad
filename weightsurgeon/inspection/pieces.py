"""What each kind of call does to an expanded path that reaches it: a row a kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..conventions import WORDS
from ..errors import SurgeryError, shown
from ..formats.graph import Node
from . import expanded
from .expanded import Path

if TYPE_CHECKING:
    from .expansion import Walk

EDGES = "padding: exact only where no window leaves the map"
Piece = Callable[["Walk", Node, list[Path | None]], Path]


def _one(node: Node, name: str, default: int = 1) -> int:
    """An option that must be the same along both axes."""
    value = node.options.get(name, default)
    sizes = set(value) if isinstance(value, (list, tuple)) else {value}
    if len(sizes) != 1:
        raise SurgeryError(f"{shown(node.name)}: {name} {value} differ between the axes")
    return int(sizes.pop() or default)


def _chained(path: Path | None, kernel: Any, stride: int = 1, dilation: int = 1) -> Path:
    return (
        expanded.path(kernel, stride, dilation)
        if path is None
        else path.then(kernel, stride, dilation)
    )


def _activated(node: Node, path: Path) -> Path:
    name = node.options.get("activation")
    name = "" if name in (None, "linear") else str(name)
    if node.options.get("padding") == "same":
        path = path.flagged(EDGES)
    return path.flagged(f"{shown(node.name)}: {shown(name)} taken as identity") if name else path


def _convolution(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    kernel = walk.kernel(node)
    groups = int(node.options.get("groups") or 1)
    if groups > 1:
        kernel = expanded.grouped(kernel, groups)
    path = _chained(paths[0], kernel, _one(node, "strides"), _one(node, "dilation_rate"))
    return _activated(node, path)


def _depthwise(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    raw = _raw(walk, node, "kernel")
    kernel = walk.chosen(node, expanded.depthwise(raw))
    path = _chained(paths[0], kernel, _one(node, "strides"), _one(node, "dilation_rate"))
    return _activated(node, path)


def _separable(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    first = expanded.depthwise(_raw(walk, node, "depthwise_kernel"))
    path = _chained(paths[0], first, _one(node, "strides"), _one(node, "dilation_rate"))
    return _activated(node, path.then(walk.chosen(node, _raw(walk, node, "pointwise_kernel"))))


def _raw(walk: Walk, node: Node, role: str) -> Any:
    """The values as they lie in the file, `kh kw in mult`."""
    name = walk.tensor(node, role)
    if name is None:
        raise SurgeryError(f"{shown(node.layer)} has no {role} here")
    return walk.view(walk.checkpoint[name].numpy().astype("float64"))


def _norm(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    import numpy as np

    variance = walk.values(node, "variance")
    epsilon = float(node.options.get("epsilon", 1e-3))
    scale = walk.view(walk.values(node, "gamma") / np.sqrt(variance + epsilon))
    path = _there(paths)
    return replace(path, kernel=path.kernel * scale)


def _there(paths: list[Path | None]) -> Path:
    path = next((p for p in paths if p is not None), None)
    if path is None:
        raise SurgeryError("an expansion starts at a layer with a kernel")
    return path


def _same(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    return _there(paths)


def _padding(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    return _there(paths).flagged(EDGES)


def _activation(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    name = node.options.get("activation") or node.kind
    if name == "linear":
        return _there(paths)
    return _there(paths).flagged(f"{shown(node.name)}: {shown(name)} taken as identity")


def _pool(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    path, size = _there(paths), _one(node, "pool_size", 2)
    stride = _one(node, "strides", size)
    kernel = walk.view(expanded.average_pool(size, path.kernel.shape[3]))
    path = path.then(kernel, stride)
    if node.options.get("padding") == "same":
        path = path.flagged(EDGES)
    if node.kind.startswith("Max"):
        path = path.flagged(f"{shown(node.name)}: a maximum, approximated by the mean")
    return path


def _sum(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    there = [p for p in paths if p is not None]
    found = there[0]
    for other in there[1:]:
        if other.stride != found.stride:
            raise SurgeryError(
                f"{shown(node.name)} adds paths of strides {found.stride} and {other.stride}"
            )
        total = expanded.residual(found.kernel, other.kernel)
        found = replace(found, kernel=total, flags=(*found.flags, *other.flags))
    return _without(node, paths, found)


def _join(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    import numpy as np

    shapes = {n.name: n.shape for n in walk.graph.nodes}
    parts, there = list[Any](), _there(paths)
    for name, path in zip(node.inputs, paths, strict=True):
        shape = shapes[name]
        if path is not None:
            parts.append(path.kernel)
        elif shape and shape[-1]:
            parts.append(np.zeros((1, 1, there.kernel.shape[2], shape[-1])))
        else:
            raise SurgeryError(
                f"{shown(node.name)}: how many channels {shown(name)} has is not known"
            )
    if len({p.stride for p in paths if p is not None}) > 1:
        raise SurgeryError(f"{shown(node.name)} joins paths of different strides")
    h, w = (max(p.shape[i] for p in parts) for i in (0, 1))
    joined = np.concatenate([expanded.centred(p, h, w) for p in parts], axis=3)
    return _without(node, paths, replace(there, kernel=joined))


def _without(node: Node, paths: list[Path | None], path: Path) -> Path:
    left = [n for n, p in zip(node.inputs, paths, strict=True) if p is None]
    if not left:
        return path
    return path.flagged(f"{shown(node.name)}: without {', '.join(map(shown, left))}")


def _mean(walk: Walk, node: Node, paths: list[Path | None]) -> Path:
    import numpy as np

    path, shapes = _there(paths), {n.name: n.shape for n in walk.graph.nodes}
    shape = shapes[node.inputs[0]]
    if shape is None or len(shape) != 3 or not shape[0] or not shape[1]:
        raise SurgeryError(f"{shown(node.name)}: the size of the map it averages is not known")
    h, w, channels = shape[0], shape[1], path.kernel.shape[3]
    each = walk.view(np.eye(channels) / (h * w))
    return path.then(np.broadcast_to(each, (h, w, channels, channels)))


PIECES: dict[str, Piece] = {
    **{word: _convolution for word, kind in WORDS.items() if kind == "conv" and "3D" not in word},
    **{word: _depthwise for word, kind in WORDS.items() if kind == "depthwise"},
    **{word: _separable for word, kind in WORDS.items() if kind == "separable"},
    "Dense": _convolution,
    "BatchNormalization": _norm,
    **dict.fromkeys(("Dropout", "SpatialDropout2D", "GaussianNoise", "Flatten", "Identity"), _same),
    **dict.fromkeys(("ReLU", "LeakyReLU", "PReLU", "ELU", "Activation"), _activation),
    **dict.fromkeys(("AveragePooling2D", "MaxPooling2D"), _pool),
    "ZeroPadding2D": _padding,
    "Add": _sum,
    "Concatenate": _join,
    "GlobalAveragePooling2D": _mean,
}
