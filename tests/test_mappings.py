"""Every shipped mapping is its own test: it loads, compiles, inverts, and leads there and back.

A new file in mappings/ is picked up as it is.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from porting import document
from strategies import same

from weightsurgeon.errors import PlanError
from weightsurgeon.expr import Expr
from weightsurgeon.formats.base import Checkpoint
from weightsurgeon.mapping import yaml_data
from weightsurgeon.mapping.compile import Job, compile_plan
from weightsurgeon.mapping.derived import Derived
from weightsurgeon.mapping.invert import invert, ordered
from weightsurgeon.mapping.load import loads
from weightsurgeon.mapping.rules import Drop
from weightsurgeon.mapping.rules import Mapping as Rules
from weightsurgeon.mapping.sizes import stray
from weightsurgeon.mapping.synthesise import size_of, synthesise
from weightsurgeon.mapping.yaml_text import dump
from weightsurgeon.plan import Plan, Target

ROOT = Path(__file__).parents[1] / "mappings"
SHIPPED = {str(p.relative_to(ROOT)): p.read_text() for p in sorted(ROOT.glob("**/*.yaml"))}


def planned(source: Checkpoint, rules: Rules, base: Checkpoint | None) -> Plan:
    """The plan of a mapping, into a base only where the rules alone do not tell every layout."""
    target = Target(dialect=rules.target.dialect)
    sources = {"source": source.source}
    axes = [n for n in ("h", "head", "in") if n not in rules.sizes]
    given = {n: size_of(n) for n in axes if not list(stray([n], rules.rules))}
    errors = list[PlanError]()
    for sizes in ({}, given):
        for structure in (None, base):
            files = {**sources, "base": structure.source} if structure else sources
            try:
                return compile_plan(Job(source, rules, target, files, structure, sizes=sizes))
            except PlanError as error:
                errors.append(error)
    raise errors[-1]


def there_and_back(text: str, file: str) -> tuple[Plan, Plan, Checkpoint]:
    """The plans of a mapping and of its inverse, over a synthetic source."""
    rules, back = loads(text, file), loads(dump(invert(text, file, lossy=True).value), file)
    source = synthesise(rules)
    there = planned(source, rules, synthesise(back))
    return there, planned(Derived(there), back, source), source


def law(text: str, file: str) -> None:
    """Inverted twice it is what it was, as data; rules with `inverse: none` apart."""
    value = yaml_data.load(text, file).value
    rules = [r for r in value["rules"] if r.get("inverse") != "none"]
    again = invert(dump(invert(text, file, lossy=True).value), file, lossy=True).value
    kept = {k: v for k, v in value.items() if k not in ("include", "exclude")}
    assert again == {**kept, "rules": ordered(rules)}


def judged(text: str, file: str) -> set[str]:
    """The tensors that came back with the bits that they had, as all that are exact must."""
    there, back, source = there_and_back(text, file)
    lost = {name for name, o in there.origins.items() if o.class_ != "exact"}
    lost |= {name for key in lost for name in there.origins[key].names}  # here and there
    equal = set[str]()
    summed = {name for name, o in back.origins.items() if o.class_ != "exact"}
    tied = {other: back.outputs[name] for other, name in back.ties.items()}
    for name, expr in {**back.outputs, **tied}.items():
        origin = back.origins[back.ties.get(name, name)]
        if origin.class_ == "exact" and not lost & {name, *origin.names}:
            equal.add(name)
            assert same(expr.numpy(), source[name].numpy()), name
    assert set(back.outputs) | set(back.ties) <= set(source)
    unaccounted = set(source) - equal - lost - summed - dropped(loads(text, file), source)
    assert not unaccounted
    return equal


def dropped(rules: Rules, source: Checkpoint) -> set[str]:
    """What the mapping leaves behind on purpose."""
    drops = [r for r in rules.rules if isinstance(r, Drop)]
    specs = source.source.specs
    return {n for n in source if any(r.select(n, specs[n], source.meaning(n)) for r in drops)}


@pytest.mark.parametrize("file", SHIPPED)
def test_a_shipped_mapping_leads_there_and_back(file: str) -> None:
    law(SHIPPED[file], file)
    assert len(judged(SHIPPED[file], file)) >= 4


def test_there_are_shipped_mappings() -> None:
    assert len(SHIPPED) >= 6


EXAMPLES = {
    "bert": (
        "torch",
        "keras",
        """\
- {drop: ["*position_ids", "cls.*"], optional: true, inverse: none}
- {layer: "e.{e:word|position}_embeddings", to: "{e@token|position}_embedding", kind: embedding}
- {from: "l.{i:int}.{p:query|key}.weight", to: "t_{i}/{p}/kernel", layout: "(h k) d -> d h k"}
- {from: "l.{i:int}.{p:query|key}.bias", to: "t_{i}/{p}/bias", layout: "(h k) -> h k"}
- {layer: "l.{i:int}.{m@norm}", to: "t_{i}/{m@norm}", kind: layernorm}
- {layer: pooler.dense, to: pooled_dense, kind: linear}""",
        "tables: {norm: {a.LayerNorm: a_norm, o.LayerNorm: f_norm}}",
    ),
    "experts": (
        "torch",
        "torch",
        """\
- {from: ["l.{i:int}.e.{e...}.w1", "l.{i}.e.{e}.w3"], to: "l.{i}.up",
   layout: "g e | o d -> e (g o) d"}
- {from: "l.{i:int}.e.{e...}.w2", to: "l.{i}.down", layout: "e | d o -> e d o"}
- {from: "{n:path}", to: "{n}"}""",
        "",
    ),
    "gpt2": (
        "torch",
        "torch",
        """\
- {drop: lm_head.weight, equal_to: wte.weight, optional: true}
- {tie: head.weight, with: tok.weight}
- {from: "{m:wte|wpe}.weight", to: "{m@tok|pos}.weight", layout: "v d -> v d"}
- {from: "h.{i:int}.c.weight", to: "b.{i}.{p:q|k|v...}.weight", layout: "d (p o) -> p | o d"}
- {layer: "h.{i:int}.{m:c_fc|c_proj}", to: "b.{i}.{m}", kind: linear_t -> linear}""",
        "",
    ),
    "resnet": (
        "keras",
        "torch",
        """\
- {layer: "conv{s:int}_block{b:int}_{k:1|2|3}_conv", to: "layer{s-1}.{b-1}.conv{k}", kind: conv,
   roles: {bias: {fold_into: "layer{s-1}.{b-1}.bn{k}"}}}
- {layer: "conv{s:int}_block{b:int}_{k:1|2|3}_bn", to: "layer{s-1}.{b-1}.bn{k}", kind: batchnorm,
   eps: {source: 1.001e-5, target: 1e-5}}
- {layer: predictions, to: fc, kind: linear}""",
        "",
    ),
    "small": (
        "torch",
        "keras",
        """\
- {from: fc1.weight, to: fc1/kernel, layout: "o (c y x) -> (y x c) o", sizes: {y: 7, x: 7}}
- {from: "n.{i:int}.weight", to: "d_{i}/norm/scale", shift: 1}
- {from: l.qkv, to: [l.q, l.k, l.v], layout: "(p h k) d -> p | (h k) d",
   sizes: {h: [8, 2, 2], k: 4}}
- {from: wte.weight, to: tok/embeddings, layout: "v d -> v d", pad: {v: {from: 60, to: 64}}}
- {from: up.weight, to: up/kernel, layout: "i o y x -> -y -x i o"}
- {from: "cell.{g:ii|if|ig|io...}.kernel", to: cell/kernel, layout: "g | i u -> i (g:ifgo u)"}""",
        "",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_rules_can_say_leads_there_and_back(name: str) -> None:
    source, target, rules, more = EXAMPLES[name]
    text = document(rules, source, target, more)
    law(text, f"{name}.yaml")
    assert len(judged(text, f"{name}.yaml")) > 3


def test_what_an_earlier_rule_takes_is_left_out() -> None:
    rules = loads(document('- {from: "a.1", to: b}\n- {from: "a.{i:int}", to: "c.{i}"}'))
    found = synthesise(rules)
    assert list(found) == ["a.1", "a.2"]
    assert isinstance(found["a.1"], Expr)
