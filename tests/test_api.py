"""The verbs in Python: paths or open checkpoints in, a report out."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from porting import count, document, hashes, mapping, save
from safetensors.numpy import load_file

import weightsurgeon as ws
from weightsurgeon.errors import MissingTensor, OutputError

A = count(2, 3)


def test_open_is_a_mapping_of_lazy_tensors(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"fc/kernel": A})
    with ws.open(str(path), dialect="keras") as found:
        assert list(found) == ["fc/kernel"]
        assert found["fc/kernel"].spec.shape == (2, 3)
        assert np.array_equal(found["fc/kernel"].numpy(), A)
        assert found.dialect == "keras"
        assert "nope" not in found
        assert found.get("nope") is None
        with pytest.raises(MissingTensor, match="holds no tensor nope"):
            found["nope"]
        assert ws.open(found) is found


def test_port_takes_paths_checkpoints_names_and_rules(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"fc/kernel": A})
    (tmp_path / "m.yaml").write_text(
        document("- {layer: fc, to: head, kind: linear}", "keras", "torch")
    )
    rules = mapping("- {layer: fc, to: head, kind: linear}", "keras", "torch")
    for given in (str(tmp_path / "m.yaml"), tmp_path / "m.yaml", tmp_path / "m", rules):
        for opened in (source, str(source), ws.open(source)):
            report = ws.port(opened, tmp_path / "out.safetensors", given)
            assert report.written
            out = load_file(tmp_path / "out.safetensors")
            assert np.array_equal(out["head.weight"], A.T)


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"x.w": A})
    before = hashes(tmp_path)
    report = ws.port(source, tmp_path / "out.safetensors", dry_run=True)
    assert not report.written
    assert "1 copied · 24 B would go to" in str(report)
    assert hashes(tmp_path) == before


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"x.w": A, "y.w": count(5, 7)})
    seen: list[int] = []
    rules = mapping('- {from: x.w, to: x}\n- {from: y.w, to: y, layout: "a b -> b a"}')
    ws.port(source, tmp_path / "out.safetensors", rules, progress=seen.append)
    assert sum(seen) == A.nbytes + 35 * 4


def test_a_report_is_data_and_text(tmp_path: Path) -> None:
    tensors = {f"l.{i}.w": A for i in range(3)}
    source = save(tmp_path / "a.safetensors", tensors)
    rules = mapping(
        '- {from: "l.{i:int}.w", to: "m.{i}", layout: "a b -> b a"}', more="notes: [hi]"
    )
    report = ws.port(source, tmp_path / "out.safetensors", rules)
    data = report.to_json()
    assert data["weightsurgeon_json"] == 1
    assert data["tensors"][0] == {
        "name": "m.0",
        "from": ["l.0.w"],
        "rule": "m.yaml:5",
        "action": "relaid",
        "class": "exact",
    }
    assert data["notes"] == ["hi"]
    text = str(report)
    assert "m.{0..2} ×3  relaid" in text
    assert "note: hi" in text
    assert "3 relaid · 72 B →" in text


def test_the_output_may_be_an_input(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"fc/kernel": count(300, 200)})
    rules = mapping("- {layer: fc, to: fc, kind: linear}", "keras", "torch")
    ws.port(path, path, rules)
    assert np.array_equal(load_file(path)["fc.weight"], count(300, 200).T)
    assert [p.name for p in tmp_path.iterdir()] == ["a.safetensors"]


def test_the_output_may_be_the_base(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"x": A})
    base = save(tmp_path / "b.safetensors", {"y": 0 * A, "z": 5 * A})
    ws.port(source, base, mapping("- {from: x, to: y}"), into=base)
    out = load_file(base)
    assert np.array_equal(out["y"], A)
    assert np.array_equal(out["z"], 5 * A)


def test_the_same_run_makes_the_same_bytes(tmp_path: Path) -> None:
    source = save(tmp_path / "a.safetensors", {"x.w": A, "b.w": count(40, 30)})
    rules = mapping('- {from: "{n}.w", to: "{n}", layout: "a b -> b a"}')
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        ws.port(source, tmp_path / folder / "out.safetensors", rules)
    one, two = (hashes(tmp_path / folder) for folder in ("one", "two"))
    assert one == two


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no container has this suffix"):
        ws.port(save(tmp_path / "a.safetensors", {"x": A}), tmp_path / "out.zip")


def test_run_and_verify_are_verbs_too(tmp_path: Path) -> None:
    save(tmp_path / "a.safetensors", {"x": A})
    plan = tmp_path / "p.yaml"
    plan.write_text(
        "weightsurgeon: 1\nsources: {a: a.safetensors}\nsteps: []\n"
        "output: {from: a, path: b.safetensors}\n"
    )
    assert not ws.run(plan, dry_run=True).written
    assert ws.run(str(plan)).written
    assert ws.verify(tmp_path / "a.safetensors", tmp_path / "b.safetensors").equal


@pytest.mark.parametrize("durable", [True, False])
def test_the_disk_is_waited_for_only_where_that_is_wanted(
    durable: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    save(tmp_path / "a.safetensors", {"a.weight": A})
    ws.port(tmp_path / "a.safetensors", tmp_path / "b.safetensors", durable=durable)
    assert bool(calls) == durable
    assert ws.verify(tmp_path / "a.safetensors", tmp_path / "b.safetensors").equal
