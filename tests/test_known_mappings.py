"""Mappings of published networks, on tensors of their names: each value in its place, and back.

The sizes are small, the names those of the files; what comes out is said by plain numpy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Array, Bench, count, document

from weightsurgeon.mapping.invert import invert
from weightsurgeon.mapping.load import loads
from weightsurgeon.mapping.yaml_text import dump


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def tensors(**shapes: tuple[int, ...]) -> dict[str, Array]:
    return {n: count(*s, start=1000 * i) for i, (n, s) in enumerate(shapes.items())}


def same(found: dict[str, Array], wanted: dict[str, Any]) -> None:
    assert sorted(found) == sorted(wanted)
    for name, x in wanted.items():
        assert np.array_equal(found[name], x), name


def there_and_back(bench: Bench, text: str, x: dict[str, Array], **how: Any) -> dict[str, Array]:
    """What a mapping makes; its inverse gives the source again, bit for bit."""
    out = bench.port(x, loads(text), **how)
    assert bench.report is not None
    assert {row.class_ for row in bench.report.rows} == {"exact"}
    back = bench.port(out, loads(dump(invert(text).value)), **how)
    same(back, x)
    return out


BERT = """\
weightsurgeon: 1
source: {dialect: torch, optional_prefix: "bert."}
target: {dialect: keras}
sizes: {h: 12}
tables:
  norm: {attention.output.LayerNorm: self_attention_layer_norm, output.LayerNorm: feedforward_layer_norm}
  ffn: {intermediate.dense: feedforward_intermediate_dense, output.dense: feedforward_output_dense}
rules:
- {drop: ["*position_ids", "cls.*"], optional: true, inverse: none}
- {layer: "embeddings.{e:word|position|token_type}_embeddings", to: "{e@token|position|segment}_embedding", kind: embedding}
- {layer: embeddings.LayerNorm, to: embeddings_layer_norm, kind: layernorm}
- {from: "encoder.layer.{i:int}.attention.self.{p:query|key|value}.weight",
   to: "transformer_layer_{i}/self_attention_layer/{p}/kernel", layout: "(h k) d -> d h k"}
- {from: "encoder.layer.{i:int}.attention.self.{p:query|key|value}.bias",
   to: "transformer_layer_{i}/self_attention_layer/{p}/bias", layout: "(h k) -> h k"}
- {from: "encoder.layer.{i:int}.attention.output.dense.weight",
   to: "transformer_layer_{i}/self_attention_layer/attention_output/kernel", layout: "d (h k) -> h k d"}
- {from: "encoder.layer.{i:int}.attention.output.dense.bias",
   to: "transformer_layer_{i}/self_attention_layer/attention_output/bias"}
- {layer: "encoder.layer.{i:int}.{m@norm}", to: "transformer_layer_{i}/{m@norm}", kind: layernorm}
- {layer: "encoder.layer.{i:int}.{m@ffn}", to: "transformer_layer_{i}/{m@ffn}", kind: linear}
- {layer: pooler.dense, to: pooled_dense, kind: linear}
"""  # noqa: E501  # as its file writes it


def bert(layers: int = 2, d: int = 8, f: int = 6) -> dict[str, Array]:
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (5, d),
        "embeddings.position_embeddings.weight": (4, d),
        "embeddings.token_type_embeddings.weight": (2, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
        "pooler.dense.weight": (d, d),
        "pooler.dense.bias": (d,),
    }
    for i in range(layers):
        at = f"encoder.layer.{i}"
        for p in ("self.query", "self.key", "self.value", "output.dense"):
            shapes |= {f"{at}.attention.{p}.weight": (d, d), f"{at}.attention.{p}.bias": (d,)}
        for norm in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}.{norm}.weight": (d,), f"{at}.{norm}.bias": (d,)}
        shapes |= {f"{at}.intermediate.dense.weight": (f, d), f"{at}.intermediate.dense.bias": (f,)}
        shapes |= {f"{at}.output.dense.weight": (d, f), f"{at}.output.dense.bias": (d,)}
    return tensors(**shapes)


def test_bert(bench: Bench) -> None:
    x = bert()
    out = there_and_back(bench, BERT, x, sizes={"h": 4})
    assert len(out) == len(x)
    query = x["encoder.layer.1.attention.self.query.weight"]
    at = "transformer_layer_1/self_attention_layer"
    assert np.array_equal(out[f"{at}/query/kernel"], query.reshape(4, 2, 8).transpose(2, 0, 1))
    output = x["encoder.layer.1.attention.output.dense.weight"]
    assert np.array_equal(
        out[f"{at}/attention_output/kernel"], output.reshape(8, 4, 2).transpose(1, 2, 0)
    )
    assert np.array_equal(out["segment_embedding/embeddings"], x[
        "embeddings.token_type_embeddings.weight"
    ])  # fmt: skip
    prefixed = {f"bert.{n}": y for n, y in x.items()} | {"cls.predictions.bias": count(5)}
    same(bench.port(prefixed, loads(BERT), sizes={"h": 4}), out)
    (line, *_) = bench.refuse(x, loads(BERT))
    assert "shape: " in line
    assert "8 is not h=12" in line


def test_old_names_of_layernorms_are_read_too(bench: Bench) -> None:
    x = bert(1)
    old = {n.replace("LayerNorm.weight", "LayerNorm.gamma"): y for n, y in x.items()}
    old = {n.replace("LayerNorm.bias", "LayerNorm.beta"): y for n, y in old.items()}
    first = bench.port(x, loads(BERT), sizes={"h": 4})
    same(bench.port(old, loads(BERT), sizes={"h": 4}), first)


MIXTRAL = """\
weightsurgeon: 1
source: {dialect: torch}
target: {dialect: torch}
rules:
- {from: ["model.layers.{i:int}.block_sparse_moe.experts.{e...}.w1.weight",
          "model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight"],
   to: "model.layers.{i}.mlp.experts.gate_up_proj", layout: "g e | o d -> e (g o) d"}
- {from: "model.layers.{i:int}.block_sparse_moe.experts.{e...}.w2.weight",
   to: "model.layers.{i}.mlp.experts.down_proj", layout: "e | d o -> e d o"}
- {from: "model.layers.{i:int}.block_sparse_moe.gate.weight", to: "model.layers.{i}.mlp.gate.weight"}
- {from: "{n:path}", to: "{n}"}
"""  # noqa: E501  # as its file writes it


def test_mixtral(bench: Bench) -> None:
    x = tensors(**{
        f"model.layers.{i}.block_sparse_moe.experts.{e}.w{w}.weight": (3, 4) if w == 2 else (4, 3)
        for i in range(2) for e in range(4) for w in (1, 2, 3)
    })  # fmt: skip
    x |= {f"model.layers.{i}.block_sparse_moe.gate.weight": count(4, 3, start=i) for i in range(2)}
    x["model.norm.weight"] = count(3)
    out = there_and_back(bench, MIXTRAL, x)
    assert len(out) == 2 * 3 + 1
    at = "model.layers.1.block_sparse_moe.experts"
    gate, up, down = (np.stack([x[f"{at}.{e}.w{w}.weight"] for e in range(4)]) for w in (1, 3, 2))
    fused = out["model.layers.1.mlp.experts.gate_up_proj"]
    assert np.array_equal(fused, np.concatenate([gate, up], 1))
    assert np.array_equal(out["model.layers.1.mlp.experts.down_proj"], down)


GPT2 = """\
weightsurgeon: 1
source: {dialect: torch, optional_prefix: "transformer."}
target: {dialect: torch}
rules:
- {drop: ["h.*.attn.bias", "h.*.attn.masked_bias"], optional: true, inverse: none}
- {drop: lm_head.weight, equal_to: wte.weight, optional: true}
- {tie: head.weight, with: tok.weight}
- {from: "{m:wte|wpe}.weight", to: "{m@tok|pos}.weight"}
- {from: "h.{i:int}.attn.c_attn.weight", to: "blocks.{i}.attn.{p:q|k|v...}.weight", layout: "d (p o) -> p | o d"}
- {from: "h.{i:int}.attn.c_attn.bias", to: "blocks.{i}.attn.{p:q|k|v...}.bias", layout: "(p o) -> p | o"}
- {layer: "h.{i:int}.{m:attn.c_proj|mlp.c_fc|mlp.c_proj}", to: "blocks.{i}.{m}", kind: linear_t -> linear}
- {layer: "h.{i:int}.{m:ln_1|ln_2}", to: "blocks.{i}.{m}", kind: layernorm}
- {layer: ln_f, to: ln_f, kind: layernorm}
"""  # noqa: E501  # as its file writes it


def test_gpt2(bench: Bench) -> None:
    d = 4
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (7, d), "wpe.weight": (5, d)}
    for i in range(2):
        at = f"h.{i}"
        shapes |= {f"{at}.attn.c_attn.weight": (d, 3 * d), f"{at}.attn.c_attn.bias": (3 * d,)}
        shapes |= {f"{at}.attn.c_proj.weight": (d, d), f"{at}.attn.c_proj.bias": (d,)}
        shapes |= {f"{at}.mlp.c_fc.weight": (d, 8), f"{at}.mlp.c_fc.bias": (8,)}
        shapes |= {f"{at}.mlp.c_proj.weight": (8, d), f"{at}.mlp.c_proj.bias": (d,)}
        shapes |= {f"{at}.{n}.{w}": (d,) for n in ("ln_1", "ln_2") for w in ("weight", "bias")}
    shapes |= {"ln_f.weight": (d,), "ln_f.bias": (d,)}
    x = tensors(**shapes)
    masked = {**x, "h.0.attn.bias": count(1, 1, 5, 5), "lm_head.weight": x["wte.weight"]}
    out = bench.port(masked, loads(GPT2))
    assert len(out) == len(x) + 2 * 4  # c_attn becomes three
    assert bench.actions()["head.weight"] == "tied"  # which this container holds once
    packed = x["h.1.attn.c_attn.weight"]
    for p, name in enumerate("qkv"):
        found = out[f"blocks.1.attn.{name}.weight"]
        assert np.array_equal(found, packed[:, p * d : p * d + d].T)
        bias = x["h.1.attn.c_attn.bias"][p * d : p * d + d]
        assert np.array_equal(out[f"blocks.1.attn.{name}.bias"], bias)
    assert np.array_equal(out["blocks.0.mlp.c_fc.weight"], x["h.0.mlp.c_fc.weight"].T)
    same(bench.port(out, loads(dump(invert(GPT2).value))), x)
    assert bench.actions()["lm_head.weight"] == "tied"
    wrong = {**masked, "lm_head.weight": x["wte.weight"] + 1}
    (line,) = bench.refuse(wrong, loads(GPT2))
    assert "unequal: lm_head.weight differs from wte.weight" in line


MHA = """\
weightsurgeon: 1
source: {dialect: keras}
target: {dialect: torch}
rules:
- {from: "{m:path}/{p:query|key|value...}/kernel", to: "{m}.in_proj_weight", layout: "p | d h k -> (p h k) d"}
- {from: "{m:path}/{p:query|key|value...}/bias", to: "{m}.in_proj_bias", layout: "p | h k -> (p h k)"}
- {from: "{m:path}/attention_output/kernel", to: "{m}.out_proj.weight", layout: "h k d -> d (h k)"}
- {from: "{m:path}/attention_output/bias", to: "{m}.out_proj.bias"}
"""  # noqa: E501  # as its file writes it


def test_attention(bench: Bench) -> None:
    x = dict[str, Array]()
    for m in ("a/mha", "b"):
        for p in ("query", "key", "value"):
            x |= {f"{m}/{p}/kernel": count(6, 2, 3, start=len(x)), f"{m}/{p}/bias": count(2, 3)}
        x |= {
            f"{m}/attention_output/kernel": count(2, 3, 6),
            f"{m}/attention_output/bias": count(6),
        }
    out = bench.port(x, loads(MHA))
    kernels = [x[f"a/mha/{p}/kernel"].reshape(6, 6).T for p in ("query", "key", "value")]
    assert np.array_equal(out["a.mha.in_proj_weight"], np.concatenate(kernels))
    back = loads(dump(invert(MHA).value))
    same(bench.port(out, back, sizes={"h": 2}), x)
    lines = bench.refuse(out, back)
    assert any("size: " in line and "h, k unknown" in line for line in lines)


RULES: dict[str, tuple[str, str, dict[str, Array], Any]] = {
    "Flatten → Dense": (
        '{from: fc1.weight, to: fc1/kernel, layout: "o (c y x) -> (y x c) o", sizes: {y: 7, x: 7}}',
        "keras", {"fc1.weight": (x := count(3, 2 * 49))},
        {"fc1/kernel": x.reshape(3, 2, 7, 7).transpose(2, 3, 1, 0).reshape(98, 3)},
    ),
    "depthwise": (
        '{from: "dw.{i:int}.weight", to: "dw{i:nth}/kernel", layout: "(c m) 1 y x -> y x c m",'
        " sizes: {m: 2}}",
        "keras", {f"dw.{i}.weight": count(6, 1, 3, 3, start=i) for i in range(2)},
        {f"dw{s}/kernel": count(6, 1, 3, 3, start=i).reshape(3, 2, 3, 3).transpose(2, 3, 0, 1)
         for i, s in enumerate(("", "_1"))},
    ),
    "Gemma's 1 + w": (
        '{from: "layers.{i:int}.input_layernorm.weight", to: "decoder_{i}/norm/scale", shift: 1}',
        "keras", {"layers.0.input_layernorm.weight": count(4)},
        {"decoder_0/norm/scale": 1 + count(4)},
    ),
    "every sixth": (
        '{from: "layers.{6*j...+b}.up.weight", to: "layers_{b}/wi/kernel",'
        ' layout: "j | o d -> d j o"}',
        "keras", {f"layers.{n}.up.weight": count(2, 3, start=n) for n in range(12)},
        {f"layers_{b}/wi/kernel": np.stack([count(2, 3, start=b), count(2, 3, start=6 + b)])
         .transpose(2, 0, 1) for b in range(6)},
    ),
    "rotary pairs → halves": (
        '{from: "l.{i:int}.wq", to: "l.{i}.q_proj", layout: "(h r two) d -> (h two r) d",'
        " sizes: {h: 32, two: 2}}",
        "torch", {"l.0.wq": (x := count(32 * 3 * 2, 5))},
        {"l.0.q_proj": x.reshape(32, 3, 2, 5).swapaxes(1, 2).reshape(192, 5)},
    ),
    "unequal parts": (
        '{from: l.qkv, to: [l.q, l.k, l.v], layout: "(p h k) d -> p | (h k) d",'
        " sizes: {h: [8, 2, 2], k: 4}}",
        "torch", {"l.qkv": (x := count(48, 5))}, {"l.q": x[:32], "l.k": x[32:40], "l.v": x[40:]},
    ),
    "unequal parts in each group": (
        '{from: t.qkv, to: [t.q, t.k, t.v], layout: "(n p m k) d -> p | (n m k) d",'
        " sizes: {n: 2, m: [4, 1, 1], k: 3}}",
        "torch", {"t.qkv": (x := count(36, 5))},
        {f"t.{p}": x.reshape(2, 6, 3, 5)[:, a:b].reshape(-1, 5)
         for p, a, b in (("q", 0, 4), ("k", 4, 5), ("v", 5, 6))},
    ),
    "Flax ConvTranspose": (
        '{from: up.weight, to: up/kernel, layout: "i o y x -> -y -x i o"}',
        "keras", {"up.weight": (x := count(2, 3, 4, 5))},
        {"up/kernel": x[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)},
    ),
    "Flax LSTM gates": (
        '{from: "cell.{g:ii|if|ig|io...}.kernel", to: cell/kernel,'
        ' layout: "g | i u -> i (g:ifgo u)"}',
        "keras", {f"cell.{g}.kernel": count(2, 3, start=10 * n) for n, g in
                  enumerate(("ii", "if", "ig", "io"))},
        {"cell/kernel": np.concatenate([count(2, 3, start=10 * n) for n in range(4)], 1)},
    ),
    "dense → experts": (
        '{from: "up.{i:int}.w", to: "moe.{i}.{e...}.w", layout: "o d -> e | o d", repeat: {e: 4}}',
        "keras", {"up.3.w": count(2, 3)}, {f"moe.3.{e}.w": count(2, 3) for e in range(4)},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("rule", "to", "x", "wanted"), RULES.values(), ids=RULES)
def test_small_rules(
    bench: Bench, rule: str, to: str, x: dict[str, Array], wanted: dict[str, Any]
) -> None:
    text = document(f"- {rule}", "torch", to)
    same(bench.port(x, loads(text)), wanted)
    back = loads(dump(invert(text).value))
    same(bench.port({n: np.ascontiguousarray(y) for n, y in wanted.items()}, back), x)


STACK = """\
weightsurgeon: 1
source: {dialect: keras}
target: {dialect: torch}
rules:
- {layer: "lstm{n:nth}/lstm_cell", to: rnn, kind: lstm, options: {level: "{n:int}"}}
- {layer: bi/forward_lstm/lstm_cell, to: birnn, kind: lstm}
- {layer: bi/backward_lstm/lstm_cell, to: birnn, kind: lstm, options: {direction: backward}}
- {layer: gru/gru_cell, to: gru, kind: gru}
"""


def test_recurrent_stacks(bench: Bench) -> None:
    x = dict[str, Array]()
    for i, layer in enumerate(("lstm", "lstm_1", "bi/forward_lstm", "bi/backward_lstm")):
        at = f"{layer}/lstm_cell"
        x |= {f"{at}/kernel": count(3, 8, start=i), f"{at}/bias": count(8, start=i)}
        x[f"{at}/recurrent_kernel"] = count(2, 8, start=i)
    x |= {"gru/gru_cell/kernel": count(3, 6), "gru/gru_cell/recurrent_kernel": count(2, 6)}
    x["gru/gru_cell/bias"] = count(2, 6)
    out = there_and_back(bench, STACK, x)
    assert len(out) == 5 * 4
    assert np.array_equal(out["rnn.weight_ih_l1"], x["lstm_1/lstm_cell/kernel"].T)
    backward = x["bi/backward_lstm/lstm_cell/bias"]
    assert np.array_equal(out["birnn.bias_ih_l0_reverse"], backward)
    assert not out["birnn.bias_hh_l0_reverse"].any()
    gates = x["gru/gru_cell/bias"][1].reshape(3, 2)[[1, 0, 2]].ravel()
    assert np.array_equal(out["gru.bias_hh_l0"], gates)
