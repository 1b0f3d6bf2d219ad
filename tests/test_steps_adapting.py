"""Adapters merged into their base: the known answers, against float64; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from porting import lines_of, save
from safetensors.numpy import load_file
from strategies import Array, same

from weightsurgeon.api import merge
from weightsurgeon.errors import SurgeryError
from weightsurgeon.expr import array, evaluate, slices
from weightsurgeon.ops.arithmetic import cast
from weightsurgeon.ops.low_rank import Factors, low_rank

RNG = np.random.default_rng(3)
CONFIG = {"peft_type": "LORA", "r": 4, "lora_alpha": 6}


def normal(*shape: int) -> Array:
    return RNG.normal(size=shape).astype("f4")


def pair(out: int, inner: tuple[int, ...], r: int = 4) -> tuple[Array, Array]:
    """A and B of a linear layer (inner: in) or a convolution (in, kh, kw)."""
    return normal(r, *inner), normal(out, r, *(1 for _ in inner[1:]))


def product(a: Array, b: Array) -> Array:
    """B@A in float64, in the shape of a kernel."""
    flat = b.reshape(b.shape[0], -1).astype("f8") @ a.reshape(a.shape[0], -1).astype("f8")
    made: Array = flat.reshape(b.shape[0], *a.shape[1:])
    return made


def adapter(
    folder: Path, tensors: Mapping[str, Array], config: Mapping[str, Any] | None = None
) -> Path:
    """The file of an adapter, its config beside it; `__` in a name is a dot."""
    folder.mkdir(exist_ok=True)
    (folder / "adapter_config.json").write_text(json.dumps({**CONFIG, **(config or {})}))
    names = {f"base_model.model.{n.replace('__', '.')}": x for n, x in tensors.items()}
    return save(folder / "adapter_model.safetensors", names)


def merged(folder: Path, base: dict[str, Any], path: Path, **keys: Any) -> dict[str, Array]:
    start = save(folder / "base.safetensors", base)
    merge("lora", {str(path): keys.pop("weight", 1)}, folder / "out.safetensors", start, **keys)
    return load_file(folder / "out.safetensors")


def close(found: Array, wanted: Array) -> bool:
    """Equal but for the last bit: BLAS adds in another order."""
    return bool((np.abs(found - wanted) <= np.spacing(np.abs(wanted).astype("f4"))).all())


def test_56_every_kind_of_layer_is_float64_with_one_rounding(tmp_path: Path) -> None:
    shapes = {"lin": (5, 7), "one": (6, 3, 1, 1), "conv": (6, 3, 3, 3), "emb": (9, 5), "n": (5,)}
    base = {f"{name}.weight": normal(*shape) for name, shape in shapes.items()}
    pairs = {"lin": pair(5, (7,)), "one": pair(6, (3, 1, 1)), "conv": pair(6, (3, 3, 3))}
    tensors = {f"{n}__lora_{s}__weight": x for n, ab in pairs.items() for s, x in zip("AB", ab)}  # noqa: B905
    a, b = pair(5, (9,))
    tensors |= {"emb__lora_embedding_A": a, "emb__lora_embedding_B": b, "n__weight": normal(5)}
    found = merged(tmp_path, base, adapter(tmp_path / "x", tensors))
    for name, ab in pairs.items():
        assert close(found[f"{name}.weight"], base[f"{name}.weight"] + 1.5 * product(*ab))
    assert close(found["emb.weight"], base["emb.weight"] + 1.5 * product(a, b).T)
    assert same(found["n.weight"], tensors["n__weight"])  # modules_to_save


def test_56_fan_in_fan_out_and_how_a_config_scales(tmp_path: Path) -> None:
    base = {f"h.{i}.c.weight": normal(7, 5) for i in range(3)}
    (a, b), (c, d) = pair(5, (7,)), pair(5, (7,), r=2)
    names = ("h__0__c", "h__1__c")
    tensors = {f"{n}__lora_{s}__weight": x for n, ab in zip(names, [(a, b), (c, d)], strict=True)
               for s, x in zip("AB", ab, strict=True)}  # fmt: skip
    config: dict[str, Any] = {"fan_in_fan_out": True, "use_rslora": True}
    config |= {"rank_pattern": {"h.1.c": 2}, "alpha_pattern": {"1.c": 3}}
    path = adapter(tmp_path / "x", tensors, config)
    found = merged(tmp_path, base, path, weight=0.5)
    kernels = [f"h.{i}.c.weight" for i in range(3)]
    assert close(found[kernels[0]], base[kernels[0]] + 0.5 * 6 / 2 * product(a, b).T)
    assert close(found[kernels[1]], base[kernels[1]] + 0.5 * 3 / np.sqrt(2) * product(c, d).T)
    assert same(found[kernels[2]], base[kernels[2]])


def test_56_a_tied_head_is_adapted_once(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    a, b = pair(6, (4,))
    weight = torch.from_numpy(normal(6, 4))
    torch.save({"emb.weight": weight, "head.weight": weight}, tmp_path / "base.pt")
    path = adapter(tmp_path / "x", {"head__lora_A__weight": a, "head__lora_B__weight": b})
    merge("lora", [str(path)], tmp_path / "out.pt", tmp_path / "base.pt")
    found = torch.load(tmp_path / "out.pt")
    assert found["emb.weight"].data_ptr() == found["head.weight"].data_ptr()
    assert close(found["emb.weight"].numpy(), weight.numpy() + 1.5 * product(a, b))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("size", [1, 3, 7, 64])
def test_56_any_block_has_the_same_bytes(dtype: str, size: int) -> None:
    x, a, b = normal(23, 31).astype(getattr(ml_dtypes, dtype, dtype)), normal(8, 31), normal(23, 8)
    made = low_rank(array(x), [Factors(0.3, array(b), array(a))])
    exact = low_rank(array(x.astype("f8")), [Factors(0.3, array(b), array(a))]).numpy()
    assert same(made.numpy(), cast(array(exact), dtype).numpy())
    out = np.empty_like(x)
    for row in range(0, 23, size):
        for column in range(0, 31, size):
            block = ((row, min(row + size, 23)), (column, min(column + size, 31)))
            out[slices(block)] = evaluate(made, block)
    assert same(out, made.numpy())


def test_a_weight_of_0_changes_nothing(tmp_path: Path) -> None:
    a, b = pair(5, (7,))
    base = {"w.weight": np.full((5, 7), -0.0, "f4")}
    path = adapter(tmp_path / "x", {"w__lora_A__weight": a, "w__lora_B__weight": b})
    assert same(merged(tmp_path, base, path, weight=0)["w.weight"], base["w.weight"])


@pytest.mark.parametrize(
    ("config", "tensors", "text"),
    [
        ({"peft_type": "IA3"}, {}, "is not LORA"),
        ({"use_dora": True}, {}, "that is no plain LoRA"),
        ({"init_lora_weights": "pissa_niter_4"}, {}, "that is no plain LoRA"),
        ({"r": 8}, {}, "r is 4 in lora_A, but 8 in adapter_config.json"),
        ({"lora_alpha": "6"}, {}, "lora_alpha is 6, no positive number"),
        ({}, {"w__lora_B__weight": (5, 3)}, "r is 4 in lora_A"),
        ({}, {"w__lora_B__weight": (6, 4)}, "does not fit"),
        ({}, {"w__lora_B__bias": (5,)}, "no matrix of a plain LoRA"),
        ({}, {"w__lora_magnitude_vector": (5,)}, "DoRA rescales"),
        ({}, {"v__lora_A__weight": (4, 7)}, "v.weight has only lora_A"),
        ({}, {"v__lora_A__weight": (4, 7), "v__lora_B__weight": (5, 4)}, "the base lacks v.weight"),
        ({}, {"head__weight": (2, 7)}, "does not fit"),
    ],
)
def test_56_what_is_no_plain_adapter_of_the_base_is_refused(
    tmp_path: Path, config: dict[str, Any], tensors: dict[str, tuple[int, ...]], text: str
) -> None:
    a, b = pair(5, (7,))
    given = {"w__lora_A__weight": a, "w__lora_B__weight": b}
    path = adapter(tmp_path / "x", given | {n: normal(*s) for n, s in tensors.items()}, config)
    base = {"w.weight": normal(5, 7), "head.weight": normal(3, 7)}
    with pytest.raises(SurgeryError) as caught:
        merged(tmp_path, base, path)
    assert any(text in line for line in lines_of(caught.value)), lines_of(caught.value)
    assert not (tmp_path / "out.safetensors").exists()


def test_layers_that_the_base_lacks_may_be_listed(tmp_path: Path) -> None:
    a, b = pair(5, (7,))
    names = [f"{n}__lora_{s}__weight" for n in "wv" for s in "AB"]
    path = adapter(tmp_path / "x", dict(zip(names, (a, b, a, b), strict=True)))
    base = {"w.weight": normal(5, 7)}
    found = merged(tmp_path, base, path, match="intersection")
    assert close(found["w.weight"], base["w.weight"] + 1.5 * product(a, b))


def test_an_adapter_without_a_config_or_with_nan_is_refused(tmp_path: Path) -> None:
    a, b = pair(5, (7,))
    path = adapter(
        tmp_path / "x", {"w__lora_A__weight": a * np.float32("nan"), "w__lora_B__weight": b}
    )
    base = {"w.weight": normal(5, 7)}
    with pytest.raises(SurgeryError, match="has values that are not finite"):
        merged(tmp_path, base, path)
    (tmp_path / "x" / "adapter_config.json").unlink()
    with pytest.raises(SurgeryError, match=r"wants adapter_config\.json beside it"):
        merged(tmp_path, base, path)
