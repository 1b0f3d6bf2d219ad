"""Models of Hugging Face against KerasHub's: saved, ported into a live model, equal outputs.

The weights are random; names and files are those that transformers itself writes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras_hub
import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open
from safetensors.torch import load_file

import weightsurgeon as ws

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs
RANDOM = np.random.default_rng(0)
IDS = RANDOM.integers(0, 50, (2, 10))
IMAGES = RANDOM.standard_normal((2, 16, 16, 3)).astype("float32")
SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "intermediate_size": 16}
HUB = {"vocabulary_size": 50, "num_layers": 2, "hidden_dim": 8}
TOKENS = {"token_ids": IDS, "padding_mask": IDS * 0 + 1}


def saved(model: Any, folder: Path) -> Path:
    """What transformers writes, with every tensor made random: norms and biases too."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in model.parameters():
            tensor.copy_(torch.randn_like(tensor) * 0.2 + (tensor.ndim == 1))
    model.eval().save_pretrained(folder)
    return folder / "model.safetensors"


def bert() -> tuple[Any, Any, Callable[[Any], Any], Callable[[Any], Any], dict[str, int]]:
    config = transformers.BertConfig(
        vocab_size=50, num_attention_heads=2, max_position_embeddings=12, hidden_act="gelu_new",
        **SMALL,
    )  # fmt: skip
    hub = keras_hub.models.BertBackbone(
        num_heads=2, intermediate_dim=16, max_sequence_length=12, **HUB
    )
    tokens = TOKENS | {"segment_ids": IDS * 0}
    return (
        transformers.BertModel(config),
        hub,
        lambda m: m(torch.tensor(IDS))[0],
        lambda m: m(tokens)["sequence_output"],
        {"h": 2},
    )


def vit() -> tuple[Any, Any, Callable[[Any], Any], Callable[[Any], Any], dict[str, int]]:
    config = transformers.ViTConfig(
        num_attention_heads=2, image_size=16, patch_size=4, layer_norm_eps=1e-6, **SMALL
    )
    hub = keras_hub.models.ViTBackbone(
        image_shape=(16, 16, 3), patch_size=4, num_layers=2, num_heads=2, hidden_dim=8, mlp_dim=16
    )
    pixels = torch.tensor(IMAGES.transpose(0, 3, 1, 2))
    return transformers.ViTModel(config), hub, lambda m: m(pixels)[0], lambda m: m(IMAGES), {"h": 2}


def gpt2() -> tuple[Any, Any, Callable[[Any], Any], Callable[[Any], Any], dict[str, int]]:
    config = transformers.GPT2Config(vocab_size=50, n_embd=8, n_layer=2, n_head=2, n_positions=12)
    hub = keras_hub.models.GPT2Backbone(
        num_heads=2, intermediate_dim=32, max_sequence_length=12, **HUB
    )
    return (
        transformers.GPT2LMHeadModel(config),
        hub,
        lambda m: m.transformer(torch.tensor(IDS))[0],
        lambda m: m(TOKENS),
        {"h": 2},
    )


def llama() -> tuple[Any, Any, Callable[[Any], Any], Callable[[Any], Any], dict[str, int]]:
    config = transformers.LlamaConfig(
        vocab_size=50, num_attention_heads=4, num_key_value_heads=2, rms_norm_eps=1e-6, **SMALL
    )
    hub = keras_hub.models.LlamaBackbone(
        num_query_heads=4, num_key_value_heads=2, intermediate_dim=16, **HUB
    )
    return (
        transformers.LlamaForCausalLM(config),
        hub,
        lambda m: m.model(torch.tensor(IDS))[0],
        lambda m: m(TOKENS),
        {"h": 4, "g": 2},
    )


@pytest.mark.parametrize("make", [bert, vit, gpt2, llama], ids=lambda f: str(f.__name__))
def test_outputs_agree_and_the_way_back_is_bit_equal(make: Any, tmp_path: Path) -> None:
    theirs, ours, run, call, sizes = make()
    source, name = saved(theirs, tmp_path), f"{make.__name__}/hf-to-keras"
    before = {id(v) for v in ours.variables}
    ws.port(source, ours, mapping=name, sizes=sizes)
    assert {id(v) for v in ours.variables} == before
    wanted, got = (x.detach().numpy() for x in (run(theirs), call(ours)))
    assert np.abs(got - wanted).max() <= 1e-5
    back = tmp_path / "back.safetensors"
    inverted = inverse(name, tmp_path)
    ws.port(ours, back, mapping=inverted, sizes=sizes)
    ported, original = load_file(back), load_file(source)
    for key, values in ported.items():
        key_ = next(k for k in original if k.endswith(key))
        assert torch.equal(values, original[key_]), key


def inverse(name: str, folder: Path) -> Path:
    """The shipped mapping, inverted by the command line."""
    from weightsurgeon import cli

    out = folder / "inverse.yaml"
    root = Path(ws.__file__).parent.parent / "mappings"
    assert cli._guarded(["invert", str(root / f"{name}.yaml"), "-o", str(out), "--lossy"]) == 0
    return out


def test_fused_experts_are_what_transformers_builds(tmp_path: Path) -> None:
    config = transformers.MixtralConfig(
        vocab_size=50, num_attention_heads=4, num_key_value_heads=2, num_local_experts=4, **SMALL
    )
    model = transformers.MixtralForCausalLM(config)
    source = saved(model, tmp_path)
    with safe_open(source, "pt") as file:
        assert any("experts.3.w1" in k for k in file.keys())  # noqa: SIM118  # no mapping
    fused = tmp_path / "fused.safetensors"
    ws.port(source, fused, mapping="mixtral/experts-to-fused")
    state = model.state_dict()
    ported = load_file(fused)
    assert set(ported) == set(state)
    assert all(torch.equal(v, state[k]) for k, v in ported.items())


def test_split_attention_of_gpt2(tmp_path: Path) -> None:
    theirs, *_ = gpt2()
    source, split = saved(theirs, tmp_path), tmp_path / "split.safetensors"
    ws.port(source, split, mapping="gpt2/hf-to-split")
    whole = theirs.state_dict()["transformer.h.1.attn.c_attn.weight"]
    ported = load_file(split)
    parts = torch.cat([ported[f"blocks.1.attn.{p}.weight"] for p in "qkv"])
    assert torch.equal(parts, whole.T)
