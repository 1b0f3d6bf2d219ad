"""Whole mappings through the command line: port, verify, a changed value, and the way back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from porting import Array, Shell, count, save
from safetensors import safe_open
from safetensors.numpy import load_file
from test_known_mappings import BERT, GPT2, MHA, MIXTRAL, STACK, bert

from weightsurgeon.mapping.load import find


def resnet50() -> dict[str, Array]:
    """The names of Keras' ResNet50, as its builder gives them; small tensors."""
    found = dict[str, Array]()

    def conv(name: str, size: int = 1) -> None:
        found.update(
            {f"{name}_conv/kernel": count(size, size, 2, 2), f"{name}_conv/bias": count(2)}
        )
        leaves = ("gamma", "beta", "moving_mean", "moving_variance")
        found.update({f"{name}_bn/{n}": count(2, start=1 + i) for i, n in enumerate(leaves)})

    conv("conv1", 7)
    for stage, blocks in ((2, 3), (3, 4), (4, 6), (5, 3)):
        for block in range(1, blocks + 1):
            for k in (*((0,) if block == 1 else ()), 1, 2, 3):
                conv(f"conv{stage}_block{block}_{k}", 3 if k == 2 else 1)
    return found | {"predictions/kernel": count(2, 5), "predictions/bias": count(5)}


def mixtral() -> dict[str, Array]:
    """Two layers of four experts: 41 tensors, as transformers lists them."""
    found = {f"{n}.weight": count(4, 3) for n in ("model.embed_tokens", "lm_head")}
    found["model.norm.weight"] = count(3)
    for i in range(2):
        at = f"model.layers.{i}"
        for e in range(4):
            for w, shape in ((1, (4, 3)), (2, (3, 4)), (3, (4, 3))):
                name = f"{at}.block_sparse_moe.experts.{e}.w{w}.weight"
                found[name] = count(*shape, start=100 * e + w)
        found[f"{at}.block_sparse_moe.gate.weight"] = count(4, 3, start=i)
        for n in ("q", "k", "v", "o"):
            found[f"{at}.self_attn.{n}_proj.weight"] = count(3, 3)
        for n in ("input_layernorm", "post_attention_layernorm"):
            found[f"{at}.{n}.weight"] = count(3)
    return found


def gpt2() -> dict[str, Array]:
    """Two layers: 30 tensors, of which two are a causal mask and the tied head; 37 names there."""
    found = {"wte.weight": count(7, 4), "wpe.weight": count(5, 4)}
    found |= {"lm_head.weight": found["wte.weight"], "h.0.attn.bias": count(1, 1, 5, 5)}
    for i in range(2):
        at = f"h.{i}"
        for name, a, b in (
            ("attn.c_attn", 4, 12), ("attn.c_proj", 4, 4), ("mlp.c_fc", 4, 8), ("mlp.c_proj", 8, 4),
        ):  # fmt: skip
            found |= {f"{at}.{name}.weight": count(a, b), f"{at}.{name}.bias": count(b)}
        found |= {f"{at}.{n}.{w}": count(4) for n in ("ln_1", "ln_2") for w in ("weight", "bias")}
    return found | {"ln_f.weight": count(4), "ln_f.bias": count(4)}


def recurrent() -> dict[str, Array]:
    found = dict[str, Array]()
    for at in ("lstm", "lstm_1", "bi/forward_lstm", "bi/backward_lstm"):
        found |= {f"{at}/lstm_cell/kernel": count(3, 8), f"{at}/lstm_cell/bias": count(8)}
        found[f"{at}/lstm_cell/recurrent_kernel"] = count(2, 8)
    found |= {"gru/gru_cell/kernel": count(3, 6), "gru/gru_cell/recurrent_kernel": count(2, 6)}
    return found | {"gru/gru_cell/bias": count(2, 6)}


def attention() -> dict[str, Array]:
    found = dict[str, Array]()
    for p in ("query", "key", "value"):
        found |= {f"mha/{p}/kernel": count(6, 2, 3), f"mha/{p}/bias": count(2, 3)}
    at = "mha/attention_output"
    return found | {f"{at}/kernel": count(2, 3, 6), f"{at}/bias": count(6)}


RESNET50 = find("resnet50/keras-to-torchvision").read_text()
# mapping, source, tensors here and stored there, words for the way there and for the way back
CASES: dict[str, tuple[str, dict[str, Array], int, int, list[str], list[str]]] = {
    "bert": (BERT, bert(), 39, 39, ["--set", "h=4"], ["--set", "h=4"]),
    "mixtral": (MIXTRAL, mixtral(), 41, 21, [], []),
    "resnet50": (RESNET50, resnet50(), 320, 267 + 53, [], ["--lossy"]),
    "gpt2": (GPT2, gpt2(), 30, 37 - 1, [], []),
    "recurrent": (STACK, recurrent(), 15, 20, [], []),
    "attention": (MHA, attention(), 8, 4, [], ["--set", "h=2"]),
}


@pytest.mark.parametrize("name", CASES)
def test_port_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    text, tensors, here, there, words, _ = CASES[name]
    shell, out = Shell(capsys), tmp_path / "out.safetensors"
    source, mapping = save(tmp_path / "in.safetensors", tensors), tmp_path / "m.yaml"
    mapping.write_text(text)
    assert len(tensors) == here
    assert shell("port", source, out, "--mapping", mapping, *words).code == 0
    made = load_file(out)
    assert len(made) == there
    told = shell("verify", source, out, "--mapping", mapping, *words)
    assert (told.code, told.err) == (0, "")
    victim = sorted(n for n in made if made[n].dtype.kind == "f")[there // 3]
    made[victim].flat[0] += 1
    with safe_open(out, "numpy") as file:
        changed = save(tmp_path / "changed.safetensors", made, file.metadata())
    told = shell("verify", source, changed, "--mapping", mapping, *words)
    assert told.code == 1
    assert f"{victim}: 1 of {made[victim].size} differ" in told.out


@pytest.mark.parametrize("name", CASES)
def test_the_way_back_is_bit_equal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text, tensors, _, _, words, back = CASES[name]
    shell, out, again = Shell(capsys), tmp_path / "out.safetensors", tmp_path / "back.safetensors"
    source, mapping = save(tmp_path / "in.safetensors", tensors), tmp_path / "m.yaml"
    inverse = tmp_path / "inverse.yaml"
    mapping.write_text(text)
    lossy = [w for w in back if w == "--lossy"]
    assert shell("invert", mapping, "-o", inverse, *lossy).code == 0
    assert shell("port", source, out, "--mapping", mapping, *words).code == 0
    more = [w for w in back if w not in lossy]
    assert shell("port", out, again, "--mapping", inverse, *more).code == 0
    found = load_file(again)
    if name == "resnet50":  # biases went into the means: the same function, other values
        assert found.keys() == tensors.keys()
        return
    assert {n for n in tensors if n not in found} <= {"lm_head.weight", "h.0.attn.bias"}
    assert all(np.array_equal(x, tensors[n]) for n, x in found.items())


def test_experts_parted_fused_and_parted_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell, (a, b, c) = Shell(capsys), (tmp_path / f"{n}.safetensors" for n in "abc")
    first = save(tmp_path / "first.safetensors", mixtral())
    fuse, part = tmp_path / "fuse.yaml", tmp_path / "part.yaml"
    fuse.write_text(MIXTRAL)
    assert shell("invert", fuse, "-o", part).code == 0
    for src, dst, how in ((first, b, fuse), (b, a, part), (a, b, fuse), (b, c, part)):
        assert shell("port", src, dst, "--mapping", how, "--no-fsync").code == 0
    assert a.read_bytes() == c.read_bytes()
    assert all(np.array_equal(x, mixtral()[n]) for n, x in load_file(c).items())


def test_a_tie_that_the_other_file_lacks_is_a_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shell, out, mapping = Shell(capsys), tmp_path / "out.safetensors", tmp_path / "m.yaml"
    mapping.write_text(GPT2)
    source = save(tmp_path / "in.safetensors", gpt2())
    assert shell("port", source, out, "--mapping", mapping).code == 0
    untied = save(tmp_path / "untied.safetensors", load_file(out))  # the tie is in the metadata
    told = shell("verify", source, untied, "--mapping", mapping)
    assert told.code == 1
    assert "head.weight is tied, but the target has no such tensor" in told.out
