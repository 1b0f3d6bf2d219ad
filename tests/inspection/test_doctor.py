"""`doctor`: each finding planted and found with its number, a healthy net silent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras_json import checkpoint as in_memory
from keras_json import layer, model, tensor
from porting import Shell
from samples import normal, written

import weightsurgeon as ws
from weightsurgeon.errors import SurgeryError
from weightsurgeon.inspection.health import RULES, Health, limits_of

Array = np.ndarray[Any, Any]


def stack(scale: float, depth: int = 20, width: int = 256) -> dict[str, Array]:
    """He-initialised layers of a ReLU net, times a factor."""
    std = scale * np.sqrt(2 / width)
    tensors = {}
    for i in range(depth):
        tensors[f"net.{i}.weight"] = normal(width, width, seed=i, scale=std)
        tensors[f"net.{i}.bias"] = np.zeros(width, "f4")
    return tensors


def examined(path: Path, tensors: dict[str, Array], **more: Any) -> Health:
    file = written(path / "m.safetensors", tensors, metadata={"format": "pt"})
    return ws.doctor(file, **more)


def codes(found: Health) -> list[str]:
    return [f.code for f in found.findings]


def test_a_he_initialised_stack_is_silent(tmp_path: Path) -> None:
    found = examined(tmp_path, stack(1.0))
    assert codes(found) == []
    assert "✓ nothing found" in str(found)
    assert found.values == 20 * (256 * 256 + 256)


@pytest.mark.parametrize(("scale", "code", "total"), [(2, "W010", 12.04), (0.5, "W011", -12.04)])
def test_gain_is_summed_along_a_chain(
    tmp_path: Path, scale: float, code: str, total: float
) -> None:
    found = examined(tmp_path, stack(scale))
    (finding,) = found.findings
    assert (finding.code, finding.tensor, finding.label) == (code, "net.19.weight", "heuristic")
    assert float(finding.evidence.split()[3]) == pytest.approx(total, abs=0.1)


def test_a_normalisation_starts_the_sum_anew(tmp_path: Path) -> None:
    tensors = {}
    for i, (name, values) in enumerate(stack(2.0, depth=8, width=64).items()):
        tensors[name] = values
        if i % 2:
            tensors[f"norm.{i}.weight"] = np.ones(64, "f4")
    assert codes(examined(tmp_path, tensors)) == []


def test_bad_values(tmp_path: Path) -> None:
    tensors = stack(1.0, 2, 64)
    tensors["net.1.weight"][5, 5] = np.nan
    tensors["net.0.weight"][1, 2] = np.inf
    found = examined(tmp_path, tensors)
    assert [(f.code, f.tensor, f.evidence) for f in found.findings[:2]] == [
        ("W002", "net.0.weight", "1 Inf, first at [1, 2]"),
        ("W001", "net.1.weight", "1 NaN, first at [5, 5]"),
    ]
    assert found.worst()


def test_a_dead_unit_and_what_proves_it(tmp_path: Path) -> None:
    tensors = stack(1.0, 2, 64)
    tensors["net.0.weight"][12] = 0
    tensors["net.0.bias"][12] = -0.1
    found = [f for f in examined(tmp_path, tensors).findings if f.code == "W020"]
    assert [(f.unit, f.evidence) for f in found] == [(12, "incoming 0, bias -0.100")]
    assert found[0].label == "heuristic"  # the layout itself is inferred


def test_the_interval_rule_agrees_with_samples(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weights = -np.abs(rng.standard_normal((4, 16))).astype("f4")
    weights[3, :4] = 0.5
    bias = np.array([-0.1, 5, 0, -3], "f4")
    found = examined(tmp_path, {"l.weight": weights, "l.bias": bias}, input_range=(0, 1))
    units = {f.unit for f in found.findings if f.code == "W020"}
    x = rng.uniform(0, 1, (10_000, 16))
    fires = (x @ weights.T + bias > 0).any(0)
    assert units == {0, 2, 3}
    assert {u for u in range(4) if not fires[u]} == {0, 2, 3}


def test_dead_and_unused_in_a_keras_file() -> None:
    found = ws.doctor("examples/small.keras")
    assert codes(found) == ["W030"]  # its batch normalisation is fresh
    model = ws.open("examples/small.keras")
    model.source.read = _edited(model.source.read)  # type: ignore[method-assign]
    edited = ws.doctor(model)
    assert ("W020", "fc1/kernel", 2, "certain") in [
        (f.code, f.tensor, f.unit, f.label) for f in edited.findings
    ]
    assert ("W021", "fc1/kernel", 3) in [(f.code, f.tensor, f.unit) for f in edited.findings]


def _edited(read: Any) -> Any:
    """Unit 2 of fc1 gets no input and a negative bias, unit 3 no reader."""

    def wrapped(name: str, block: Any, out: Any = None) -> Any:
        values = read(name, block, out)
        if name == "fc1/kernel":
            columns = np.arange(*block[1])
            values[:, columns == 2] = 0
        if name == "fc1/bias":
            values[...] = -1
        if name == "fc2/kernel":
            values[np.arange(*block[0]) == 3] = 0
        return values

    return wrapped


def test_duplicates_by_bits_and_by_direction(tmp_path: Path) -> None:
    tensors = stack(1.0, 1, 64)
    weights = tensors["net.0.weight"]
    weights[9], weights[20] = weights[4], weights[3] * np.float32(1.5)
    found = [f for f in examined(tmp_path, tensors).findings if f.code == "W022"]
    assert [(f.unit, f.label) for f in found] == [(9, "certain"), (20, "heuristic")]
    assert "unit 4, bit for bit" in found[0].evidence


def test_untrained_constant_and_aliases(tmp_path: Path) -> None:
    tensors = stack(1.0, 2, 64)
    init = written(tmp_path / "init.safetensors", tensors)
    moved = tensors | {"net.1.weight": normal(64, 64, seed=9, scale=0.2)}
    moved["net.1.extra"] = np.full((3, 3), 0.5, "f4")
    found = examined(tmp_path, moved, init=init)
    assert [(f.code, f.tensor) for f in found.findings] == [
        ("W031", "net.1.extra"),
        ("W030", "net.0.weight"),
    ]


def test_what_a_narrower_dtype_would_do(tmp_path: Path) -> None:
    tensors = {"a.weight": normal(64, 64), "b.weight": normal(64, 64, scale=1e-9)}
    tensors["a.weight"][0, 0] = 70_000
    found = examined(tmp_path, tensors, target="float16")
    by_code = {f.code: f for f in found.findings}
    assert by_code["W004"].tensor == "a.weight"
    assert by_code["W005"].evidence == "100 % of what is not 0"
    assert "W050" in by_code
    assert not {"W004", "W005"} & set(codes(examined(tmp_path, tensors, target="bfloat16")))
    with pytest.raises(SurgeryError, match="no target 'float99'"):
        examined(tmp_path, tensors, target="float99")


def test_rank_outliers_and_what_could_be_pruned(tmp_path: Path) -> None:
    u, v = normal(64, 1), normal(1, 64, seed=1)
    sparse = normal(64, 64, seed=2)
    sparse[:, :30] *= np.float32(1e-6)
    loud = normal(64, 64, seed=3, scale=0.01)
    loud[7] *= 1000
    tensors = {"a.weight": u @ v, "a.bias": u[:, 0], "b.weight": sparse, "c.weight": loud}
    tensors["c.bias"] = u[:, 0]
    found = examined(tmp_path, tensors)
    assert {("W040", "a.weight"), ("W060", "b.weight"), ("W050", "c.weight")} <= {
        (f.code, f.tensor) for f in found.findings
    }
    assert not found.worst("warning")
    assert found.worst("info")


def test_thresholds_are_moved_and_rules_turned_off(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("W010: {decades: 20}\nW060: off\n")
    assert codes(examined(tmp_path, stack(2.0), rules=rules)) == []
    assert "W010" in codes(examined(tmp_path, stack(2.0)))
    for wrong, said in (
        ({"W999": "off"}, "no rule is 'W999'"),
        ({"W050": 3}, "W050 wants off, or its thresholds"),
        ({"W050": {"x": 3}}, "W050 has no threshold 'x'; it has: ratio, size"),
        ({"W050": {"ratio": "x"}}, "W050.ratio wants a number"),
    ):
        with pytest.raises(SurgeryError, match=said):
            limits_of(wrong)
    (tmp_path / "list.yaml").write_text("- W010\n")
    with pytest.raises(SurgeryError, match="rules are a map"):
        examined(tmp_path, stack(1.0, 1, 8), rules=tmp_path / "list.yaml")


@pytest.mark.parametrize("n", [4, 9])  # 9: as many channels as places
def test_depthwise_units_are_dead_or_unused_but_no_twins(n: int) -> None:
    seen = [tensor(name, 0, (None, 8, 8, n)) for name in ("a", "c", "d")]
    own = {"use_bias": True, "activation": "relu", "data_format": "channels_last"}
    body = [
        layer("InputLayer", "a", batch_shape=[None, 8, 8, n]),
        layer("Conv2D", "c", [seen[0]], filters=n, kernel_size=[1, 1], **own),
        layer("DepthwiseConv2D", "d", [seen[1]], depth_multiplier=1, kernel_size=[3, 3], **own),
        layer("Conv2D", "e", [seen[2]], filters=n, kernel_size=[1, 1], **own),
    ]
    values = {f"{x}/kernel": normal(1, 1, n, n, seed=i) for i, x in enumerate("ce")}
    values |= {f"{x}/bias": np.full(n, 0.1, "f4") for x in "cde"}
    values["d/kernel"] = normal(3, 3, n, 1, seed=3)
    values["d/kernel"][:, :, 1] = values["d/kernel"][:, :, 0]
    values["d/kernel"][:, :, 2] = 0
    values["d/bias"][2] = -0.1
    found = ws.doctor(in_memory(model(body, [["a", 0, 0]], ["e", 0, 0]), values)).findings
    told = [(f.code, f.tensor, f.unit, f.label) for f in found if f.unit is not None]
    assert told == [("W021", "c/kernel", 2, "certain"), ("W020", "d/kernel", 2, "certain")]


def sharded(folder: Path) -> Path:
    """Three shards and their index."""
    for i in range(3):
        written(folder / f"{i}.safetensors", {f"l{i}.w": normal(8, 8, seed=i)})
    files = {f"l{i}.w": f"{i}.safetensors" for i in range(3)}
    path = folder / "m.safetensors.index.json"
    path.write_text(json.dumps({"weight_map": files}))
    return path


def test_a_set_with_a_bad_shard_is_examined_without_it(tmp_path: Path, shell: Shell) -> None:
    path = sharded(tmp_path)
    assert codes(ws.doctor(path)) == []
    whole = (tmp_path / "1.safetensors").read_bytes()
    (tmp_path / "1.safetensors").write_bytes(whole[:-4])
    found = ws.doctor(path)
    assert [(f.code, f.tensor, f.level) for f in found.findings] == [
        ("W070", "1.safetensors", "error")
    ]
    assert found.values == 2 * 64
    assert (shell("doctor", path).code, shell("stats", path).code) == (1, 2)
    (tmp_path / "1.safetensors").unlink()
    assert codes(ws.doctor(path)) == ["W070"]
    for i in (0, 2):
        (tmp_path / f"{i}.safetensors").write_bytes(b"")
    said = shell("doctor", path)
    assert (said.code, len(said.err.splitlines())) == (2, 1)


def test_shards_and_index_that_disagree_are_told(tmp_path: Path) -> None:
    path = sharded(tmp_path)
    tensors = {"l0.w": normal(8, 8, seed=5), "l1.w": normal(8, 8, seed=6), "new": normal(2)}
    written(tmp_path / "1.safetensors", tensors)
    written(tmp_path / "2.safetensors", {"other": normal(3)})
    found = [(f.code, f.tensor, f.evidence) for f in ws.doctor(path).findings]
    assert found == [
        ("W070", "1.safetensors", "holds new, which no index knows"),
        ("W071", "1.safetensors", "holds l0.w, which the index places in 0.safetensors"),
        ("W070", "2.safetensors", "lacks l2.w, which the index promises"),
        ("W070", "2.safetensors", "holds other, which no index knows"),
    ]


def test_a_shard_elsewhere_is_refused_still(tmp_path: Path) -> None:
    path = sharded(tmp_path)
    path.write_text(json.dumps({"weight_map": {"l0.w": "0.safetensors", "x": "/etc/passwd"}}))
    with pytest.raises(SurgeryError):
        ws.doctor(path)


@pytest.mark.parametrize(("factor", "codes_"), [(1.6, ["W012"]), (1.1, []), (0.05, ["W012"])])
def test_a_recurrent_radius_is_told(factor: float, codes_: list[str]) -> None:
    body = [
        layer("InputLayer", "a", batch_shape=[None, 4, 3]),
        layer("SimpleRNN", "r", [tensor("a", 0, (None, 4, 3))], units=16, activation="tanh"),
    ]
    turned, _ = np.linalg.qr(normal(16, 16, seed=3))
    values = {"r/simple_rnn_cell/kernel": normal(3, 16), "r/simple_rnn_cell/bias": normal(16)}
    values["r/simple_rnn_cell/recurrent_kernel"] = (factor * turned).astype("f4")
    found = ws.doctor(in_memory(model(body, [["a", 0, 0]], ["r", 0, 0]), values))
    assert [f.code for f in found.findings if f.code == "W012"] == codes_


def test_every_rule_says_what_it_means() -> None:
    for code, rule in RULES.items():
        assert rule.severity in ("error", "warning", "info"), code
        assert rule.title
        assert rule.meaning
        assert rule.next


def test_on_the_command_line(tmp_path: Path, shell: Shell) -> None:
    tensors = stack(1.0, 2, 64)
    tensors["net.1.weight"][5, 5] = np.nan
    file = written(tmp_path / "m.safetensors", tensors, metadata={"format": "pt"})
    call = shell("doctor", file)
    assert call.code == 1
    assert call.out.startswith("✗ error  W001 certain")
    data = json.loads(shell("doctor", file, "--json").out)
    assert data["command"] == "doctor"
    assert data["findings"][0]["evidence"] == "1 NaN, first at [5, 5]"
    assert shell("doctor", "examples/small.keras").code == 0
    assert shell("doctor", "examples/small.keras", "--fail-on", "warning").code == 1
    assert "--fail-on wants one of" in shell("doctor", file, "--fail-on", "x").err
    for words in ("1", "1,0", "a,b", "0,inf"):
        assert "wants LO,HI" in shell("doctor", file, "--input-range", words).err
