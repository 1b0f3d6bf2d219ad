"""Many tensors to many: lists, gathers, scatters, unequal parts; gaps and what else is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import FIRST, Array, Bench, count, document, mapping, refusals


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def same(found: dict[str, Array], wanted: dict[str, Any]) -> None:
    assert found.keys() == wanted.keys()
    for name, x in wanted.items():
        assert np.array_equal(found[name], x), name


FUSE = """\
- {from: ["l.{i:int}.experts.{e...}.w1", "l.{i}.experts.{e}.w3"], to: "l.{i}.gate_up",
   layout: "g e | o d -> e (g o) d"}
- {from: "l.{i:int}.experts.{e...}.w2", to: "l.{i}.down", layout: "e | d o -> e d o"}
- {from: "{n:path}", to: "{n}"}"""
PART = """\
- {from: "l.{i:int}.gate_up", to: ["l.{i}.experts.{e...}.w1", "l.{i}.experts.{e...}.w3"],
   layout: "e (g o) d -> g e | o d"}
- {from: "l.{i:int}.down", to: "l.{i}.experts.{e...}.w2", layout: "e d o -> e | d o"}
- {from: "{n:path}", to: "{n}"}"""


def experts(layers: int = 2, count_: int = 3) -> dict[str, Array]:
    found = {"head": count(2, 2)}
    for i in range(layers):
        for e in range(count_):
            for w, shape in (("w1", (4, 3)), ("w2", (3, 4)), ("w3", (4, 3))):
                found[f"l.{i}.experts.{e}.{w}"] = count(*shape, start=100 * i + 10 * e + int(w[1]))
    return found


def test_experts_are_fused_and_parted_again(bench: Bench) -> None:
    x = experts()
    fused = bench.port(x, FUSE)
    wanted: dict[str, Any] = {"head": x["head"]}
    for i in range(2):
        gate, up, down = (
            np.stack([x[f"l.{i}.experts.{e}.{w}"] for e in range(3)]) for w in ("w1", "w3", "w2")
        )
        wanted |= {f"l.{i}.gate_up": np.concatenate([gate, up], 1), f"l.{i}.down": down}
    same(fused, wanted)
    assert bench.actions()["l.0.gate_up"] == "relaid"
    assert bench.report is not None
    (row,) = [r for r in bench.report.rows if r.name == "l.1.down"]
    assert row.sources == tuple(f"l.1.experts.{e}.w2" for e in range(3))
    same(bench.port(fused, PART), x)


def test_a_list_or_words_join_and_part(bench: Bench) -> None:
    q, k, v = (count(2, 3, start=10 * i) for i in range(3))
    x = {"a.q.w": q, "a.k.w": k, "a.v.w": v}
    joined = {"a.in.w": np.concatenate([q, k, v])}
    gather = '- {from: "{m}.{p:q|k|v...}.w", to: "{m}.in.w", layout: "p | o d -> (p o) d"}'
    listed = '- {from: [a.q.w, a.k.w, a.v.w], to: a.in.w, layout: "which | o d -> (which o) d"}'
    scatter = '- {from: "{m}.in.w", to: "{m}.{p:q|k|v...}.w", layout: "(p o) d -> p | o d"}'
    apart = '- {from: a.in.w, to: [a.q.w, a.k.w, a.v.w], layout: "(p o) d -> p | o d"}'
    for rule in (gather, listed):
        same(bench.port(x, rule), joined)
    for rule in (scatter, apart):
        same(bench.port(joined, rule), x)
        assert [r.sources for r in bench.report.rows] == [("a.in.w",)] * 3  # type: ignore[union-attr]
    both = '- {from: [a.q.w, a.k.w, a.v.w], to: [x, y, z], layout: "p | o d -> p | d o"}'
    same(bench.port(x, both), {"x": q.T, "y": k.T, "z": v.T})


def test_every_sixth_layer_is_gathered(bench: Bench) -> None:
    x = {f"layers.{n}.up": count(2, 3, start=10 * n) for n in range(6)}
    there = '- {from: "layers.{3*j...+b}.up", to: "wi.{b}", layout: "j | o d -> d j o"}'
    out = bench.port(x, there)
    same(out, {
        f"wi.{b}": np.stack([x[f"layers.{b}.up"], x[f"layers.{3 + b}.up"]]).transpose(2, 0, 1)
        for b in range(3)
    })  # fmt: skip
    back = '- {from: "wi.{b:int}", to: "layers.{3*j...+b}.up", layout: "d j o -> j | o d"}'
    same(bench.port(out, back), x)


def test_unequal_parts(bench: Bench) -> None:
    qkv = count(12 * 4, 5)
    rule = '- {from: l.qkv, to: [l.q, l.k, l.v], layout: "(p h k) d -> p | (h k) d", sizes: SIZES}'
    parts = {"l.q": qkv[:32], "l.k": qkv[32:40], "l.v": qkv[40:]}
    for sizes in ("{h: [8, 2, 2], k: 4}", "{h: [_, 2, 2], k: 4}", "{h: [n, 2, 2], k: 4, n: 8}"):
        same(bench.port({"l.qkv": qkv}, rule.replace("SIZES", sizes)), parts)
    back = (
        '- {from: [l.q, l.k, l.v], to: l.qkv, layout: "p | o d -> (p o) d", sizes: {o: [_, _, _]}}'
    )
    same(bench.port(parts, back), {"l.qkv": qkv})
    (line,) = bench.refuse(parts, back.replace(", sizes: {o: [_, _, _]}", ""))
    assert line == (
        f"m.yaml:{FIRST}: shape: l.q, l.k, l.v → l.qkv: (8, 5) does not fit [o d]: 8 is not o=32"
    )
    (line,) = bench.refuse({"l.qkv": qkv}, rule.replace("SIZES", "{h: [8, 2, 3], k: 4}"))
    assert line.endswith("h has 12 entries, the parts [8, 2, 3] do not")
    (line,) = bench.refuse({"l.qkv": qkv}, rule.replace("SIZES", "{h: [n, 2, 2], k: 4}"))
    assert "size: l.qkv → l.q, l.k, l.v: a part of h is as long as n; give sizes: {n: …}" in line


def test_repeat_and_sum(bench: Bench) -> None:
    x = count(2, 3)
    rule = '- {from: "u.{i:int}.w", to: "m.{i}.{e...}.w", layout: "o d -> e | o d", repeat: {e: 4}}'
    same(bench.port({"u.0.w": x}, rule), {f"m.0.{e}.w": x for e in range(4)})
    back = '- {from: "m.{i:int}.{e...}.w", to: "u.{i}.w", layout: "e | o d -> o d", repeat: {e: 4}}'
    four = {f"m.0.{e}.w": x for e in range(4)}
    same(bench.port(four, back), {"u.0.w": x})
    (line,) = bench.refuse({**four, "m.0.2.w": x + 1}, back)
    assert line.startswith(f"m.yaml:{FIRST}: unequal: m.0.0.w and m.0.2.w are one tensor")
    (line,) = bench.refuse({n: y for n, y in four.items() if "3" not in n}, back)
    assert line.startswith(f"m.yaml:{FIRST}: shape: ")
    add = '- {from: [ih, hh], to: b, layout: "b:xh | u -> u", sum: b}'
    same(bench.port({"ih": count(4), "hh": 10 * count(4)}, add), {"b": 11 * count(4)})
    assert bench.lines("sum") == ["b added up: b"]
    assert bench.actions() == {"b": "computed"}
    assert [r.class_ for r in bench.report.rows] == ["function"]  # type: ignore[union-attr]
    part = '- {from: b, to: [ih, hh], layout: "u -> b:xh | u", sum: b}'
    same(bench.port({"b": count(4)}, part), {"ih": count(4), "hh": 0 * count(4)})
    assert bench.lines("sum") == []


def test_values_and_dtypes_behind_a_gather(bench: Bench) -> None:
    x = {"a.0": count(2), "a.1": count(2, start=2)}
    rule = (
        '- {from: "a.{e...}", to: a, layout: "e | o -> (e o)", scale: 2, shift: 1, cast: float16}'
    )
    out = bench.port(x, rule)
    assert out["a"].dtype == np.float16
    same(out, {"a": np.array([1, 3, 5, 7])})


def test_a_root_of_an_axis_behind_a_gather(bench: Bench) -> None:
    x = {"a.0": count(4), "a.1": count(4, start=4)}
    rule = '- {from: "a.{e...}", to: a, layout: "e | o -> (e o)", scale: "1/sqrt(o)"}'
    same(bench.port(x, rule), {"a": np.arange(8) / 2})
    uneven = rule.replace(", scale", ", sizes: {o: [_, _]}, scale")
    (line,) = bench.refuse(x, uneven)
    assert line == f"m.yaml:{FIRST}: size: a.{{0..1}} → a: scale: o differs from part to part"


def test_the_base_tells_sizes_and_has_the_last_word(bench: Bench) -> None:
    x = {"w": count(6, 2)}
    rule = '- {from: w, to: "e.{e...}.w", layout: "(e o) d -> e | o d"}'
    (line,) = bench.refuse(x, rule)
    assert ": size: w → e.{e...}.w: (6, 2) as [(e o) d]: e, o unknown; give sizes: {e: …}" in line
    three = {f"e.{e}.w": x["w"][2 * e : 2 * e + 2] for e in range(3)}
    same(bench.port(x, rule, three), three)
    same(bench.port(x, rule.replace("}'", "}'"), sizes={"e": 3}), three)
    (line,) = bench.refuse(x, rule, {f"e.{e}.w": count(4, 2) for e in range(3)})
    assert ": shape: w → e.{e...}.w: (6, 2) does not fit [(e o) d]" in line


# -- gaps and other refusals -----------------------------------------------------------------


def test_a_gap_names_what_is_there_and_what_is_not(bench: Bench) -> None:
    x = experts(count_=8)
    for name in list(x):
        if ".experts." in name and int(name.split(".")[3]) in (3, 4, 5, 6):
            del x[name]
    lines = bench.refuse(x, FUSE)
    assert lines == [
        f"m.yaml:{FIRST}: gap: l.{{0..1}}.experts: {{e}} is 0..2, 7;"
        " missing l.0.experts.3.w1 and 15 more",
        f"m.yaml:{FIRST + 2}: gap: l.{{0..1}}.experts: {{e}} is 0..2, 7;"
        " missing l.0.experts.3.w2 and 7 more",
    ]


def test_one_absent_tensor_and_who_took_it(bench: Bench) -> None:
    x = experts()
    one = {n: y for n, y in x.items() if n != "l.1.experts.2.w3"}
    assert bench.refuse(one, FUSE) == [
        f"m.yaml:{FIRST}: gap: l.1.experts: {{e}} is 0..2; missing l.1.experts.2.w3"
    ]
    drop = f"- {{drop: l.1.experts.2.w3}}\n{FUSE}"
    (line,) = bench.refuse(x, drop)
    assert line.endswith(f"missing l.1.experts.2.w3 (taken by m.yaml:{FIRST})")
    out = bench.port(one, FUSE, policy="gap=skip")
    assert set(out) == {"head", "l.0.gate_up", "l.0.down", "l.1.down"}
    assert bench.lines("gap")[0].startswith("left out: l.1.experts: {e} is 0..2; missing")


def test_groups_count_the_same_unless_the_range_varies(bench: Bench) -> None:
    x = {f"l.0.{e}": count(2) for e in range(3)} | {f"l.1.{e}": count(2) for e in range(2)}
    rule = '- {from: "l.{i:int}.{e...}", to: "l.{i}", layout: "e | d -> e d"RANGE}'
    (line,) = bench.refuse(x, rule.replace("RANGE", ""))
    assert line == f"m.yaml:{FIRST}: gap: l.1: {{e}} is 0..1; missing l.1.2"
    out = bench.port(x, rule.replace("RANGE", ", range: {e: varies}"))
    assert [out["l.0"].shape, out["l.1"].shape] == [(3, 2), (2, 2)]
    lines = bench.refuse(x, rule.replace("RANGE", ", range: {e: 4}"))
    assert [line.partition("missing ")[2] for line in lines] == ["l.0.3", "l.1.2 and 1 more"]


def test_a_range_takes_a_part_and_pins_plain_captures(bench: Bench) -> None:
    x = {f"e.{n}": count(2, start=n) for n in range(4)}
    rules = """\
- {from: "e.{n...}", to: first, layout: "n | d -> n d", range: {n: 2}}
- {from: "e.{n...}", to: rest, layout: "n | d -> n d", range: {n: [2, 4]}}"""
    out = bench.port(x, rules)
    same(out, {"first": np.stack([x["e.0"], x["e.1"]]), "rest": np.stack([x["e.2"], x["e.3"]])})
    back = """\
- {from: first, to: "e.{n...}", layout: "n d -> n | d"}
- {from: rest, to: "e.{n...}", layout: "n d -> n | d", range: {n: [2, 4]}}"""
    same(bench.port(out, back), x)
    same(bench.port(x, '- {from: "e.{n:int}", to: "f.{n}", range: {n: 4}}'),
         {f"f.{n}": y for n, y in enumerate(x.values())})  # fmt: skip
    lines = bench.refuse(x, '- {from: "e.{n:int}", to: "f.{n}", range: {n: 6}}')
    assert lines == [f"m.yaml:{FIRST}: gap: {{n}} is 0..3; missing e.4 and 1 more"]


def test_what_cannot_be_told_apart(bench: Bench) -> None:
    x = {"a.0.w": count(2), "a/0/w": count(2), "a.1.w": count(2)}
    (line,) = bench.refuse(x, '- {from: "a.{e...}.w", to: b, layout: "e | d -> e d"}')
    assert "ambiguous: a.0.w and a/0/w are the same to this rule" in line
    lines = bench.refuse(
        {"a.0": count(2), "a.1": count(2)},
        '- {from: ["a.{x}", "{y:path}.{x}"], to: "b.{x}", layout: "p | d -> p d"}',
    )
    assert any("capture" in line for line in lines)
    lines = bench.refuse(
        {"a.q": count(2), "a.k": count(2)},
        '- {from: ["a.{x}", "a.q"], to: "b", layout: "p | d -> p d"}',
    )
    assert any("capture: all names of a list have the same captures; x" in line for line in lines)
    lines = bench.refuse(
        {"a.q": count(2), "b.q": count(2)},
        '- {from: ["a.{x}", "{y:a|b}.q"], to: "c", layout: "p | d -> p d"}',
    )
    assert lines
    fits = '- {from: ["{n:path}", "{n:path}.w"], to: "c.{n}", layout: "p | d -> p d"}'
    (line, *_) = bench.refuse({"a.w": count(2)}, fits)
    assert "ambiguous: a.w fits '{n:path}' and '{n:path}.w' of one list" in line


@pytest.mark.parametrize(
    ("rule", "id", "words"),
    [
        ('from: [a, b], to: c', "layout", "a list needs a layout with a bar"),
        ('from: "a.{e...}", to: c', "layout", "{e...} needs a layout with a bar"),
        ('from: a, to: b, sizes: {h: [1, 2]}', "layout", "parts needs a layout"),
        ('from: "a.{e...}", to: c, layout: "o d -> o d"', "layout", "of `from` has before it e"),
        ('from: ["a.{e...}", "b.{e}"], to: c, layout: "e g | o d -> e g o d"', "layout",
         "of `from` has before it (any name for the list) e"),
        ('from: a, to: c, layout: "p | o d -> (p o) d"', "layout", "has before it nothing"),
        ('from: [a, b], to: c, layout: "p | o d -> o d"', "layout", "say `repeat` or `sum`"),
        ('from: [a, b], to: c, layout: "p | o d -> (p o) d", repeat: {o: 2}', "layout",
         "o is repeated or summed, but not on one side only"),
        ('from: "a.{e...}", to: "c.{e}", layout: "e | o -> e o"', "capture",
         "{e...} of the other side stands here without the dots"),
        ('from: "a.{x:path...}", to: c, layout: "x | o -> x o"', "capture",
         "only numbers and words are gathered"),
        ('from: "a.{x}", to: "c.{x}", range: {x: 3}', "schema", "x is no number in these names"),
        ('from: "a.{x:int}", to: "c.{x}", range: {x: [3, 3]}', "schema", "wants a count"),
        ('from: [a, b], to: c, layout: "p | o -> (p o)", crop: {o: [0, 2]}', "schema",
         "crop and pad of many tensors are not built yet"),
        ('from: [a, b], to: c, layout: "p | o -> (p o)", sizes: {o: [1, -2]}', "schema",
         "wants a size, the name of one, or _"),
        ('from: [a, b], to: c, layout: "p | o -> (p o)", sizes: {o: []}', "schema", "each part"),
        ('from: [], to: c, layout: "p | o -> (p o)"', "schema", "wants"),
    ],
)  # fmt: skip
def test_a_rule_is_refused_at_load(rule: str, id: str, words: str) -> None:
    found = refusals(document(f"- {{{rule}}}"))
    assert any(i == id and line == FIRST and words in text for i, line, text in found), found


def test_axes_are_checked_in_every_part(bench: Bench) -> None:
    """Two square kernels that their file knows, joined along the wrong axis."""
    rules = mapping("- {layer: a, to: a, kind: linear}\n- {layer: b, to: b, kind: linear}")
    bench.port({"a.weight": count(4, 4), "b.weight": count(4, 4)}, rules)
    known = bench.output.rename(bench.folder / "known.safetensors")
    from weightsurgeon.api import port
    from weightsurgeon.errors import PlanError

    rule = '- {from: [a.weight, b.weight], to: c, layout: "p | in out -> in (p out)"}'
    with pytest.raises(PlanError, match=r"axes: a\.weight, b\.weight → c: the layout reads"):
        port(known, bench.output, mapping(rule))
    port(known, bench.output, mapping(rule.replace("p | in out -> in (p", "p | out in -> in (p")))


@pytest.mark.parametrize(
    ("x", "rule", "words"),
    [
        ({"a.0": count(2), "a.1000000000": count(2)},
         'from: "a.{e...}", to: a, layout: "e | d -> e d"',
         "gap: a: {e} is 0, 1000000000; missing a.1 and 999999998 more"),
        ({"a.0": count(2)},
         'from: "a.{e...}", to: a, layout: "e | d -> e d", range: {e: 1000000000000}',
         "gap: a: {e} is 0; missing a.1 and 999999999998 more"),
        ({"a.0": count(2)}, 'from: "a.{e:int}", to: "b.{e}", range: {e: 1000000000000}',
         "gap: {e} is 0; missing a.1 and 999999999998 more"),
        ({"a": count(2)}, 'from: a, to: "b.{e...}", layout: "d -> e | d", repeat: {e: 100000000}',
         "[e | d]: e: 100000000 tensors; 1 to 100000 are made of one"),
        ({"a": count(2)}, 'from: a, to: b, layout: "d -> e d", repeat: {e: 100000000000}',
         "[e d]: e: 100000000000 tensors; 1 to 100000 are made of one"),
        ({"a": count(0, 2)}, 'from: a, to: "b.{e...}", layout: "e d -> e | d"',
         "[e | d]: e: 0 tensors; 1 to 100000"),
        ({"a": count(0, 2)}, 'from: a, to: b, layout: "s d -> d", sum: s',
         "[d]: s: 0 tensors; 1 to 100000"),
        ({"a.0": count(2), "a.1": count(2, dtype="float16")},
         'from: "a.{e...}", to: a, layout: "e | d -> e d"', "dtypes differ, float16 (1, 2) and"),
        ({"a.0": count(2), "a.1": count(2, 2)}, 'from: "a.{e...}", to: a, layout: "e | d -> e d"',
         "a tensor of shape (2, 2) cannot be read as [d]"),
    ],
)  # fmt: skip
def test_numbers_in_names_and_rules_take_no_memory(
    bench: Bench, x: dict[str, Array], rule: str, words: str
) -> None:
    (line,) = bench.refuse(x, f"- {{{rule}}}")
    assert line.startswith(f"m.yaml:{FIRST}: ")
    assert words in line
