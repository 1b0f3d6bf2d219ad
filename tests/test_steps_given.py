"""Plans given as data: decimals as Python shows them, aliases, keys set from outside."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from porting import Shell, count, document, lines_of, save
from safetensors.numpy import load_file

from weightsurgeon.api import open as open_
from weightsurgeon.api import run
from weightsurgeon.errors import SurgeryError
from weightsurgeon.steps.given import document_of, with_settings

A = count(2)


def plan(folder: Path, **transfer: Any) -> dict[str, Any]:
    (folder / "m.yaml").write_text(document('- {from: "x.{l}", to: "y.{l}"}'))
    keys = {"from": "a", "mapping": folder / "m.yaml", "as": "b"} | transfer
    out = {"from": "b", "path": folder / "out.safetensors"}
    return {"weightsurgeon": 1, "steps": [{"transfer": keys}], "output": out}


def refused(given: Any, **how: Any) -> list[str]:
    with pytest.raises(SurgeryError) as caught:
        run(given, **how)
    return lines_of(caught.value)


def test_a_plan_is_a_dict_and_its_sources_are_aliases(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"x.w": A})
    with open_(path) as a:
        run(plan(tmp_path), a=a)
    assert np.array_equal(load_file(tmp_path / "out.safetensors")["y.w"], A)
    (tmp_path / "out.safetensors").unlink()
    given = plan(tmp_path)
    run(given | {"sources": {"a": "nowhere.safetensors"}}, a=path)  # an alias goes first
    assert (tmp_path / "out.safetensors").exists()
    assert "sources" not in given


def test_what_is_wrong_with_a_dict_has_its_path_of_keys(tmp_path: Path) -> None:
    path = save(tmp_path / "a.safetensors", {"x.w": A})
    lines = refused(plan(tmp_path, kept=True, frm=1) | {"stpes": []}, a=path, z=path)
    wanted = [
        "schema: stpes: the key 'stpes' is unknown; did you mean 'steps'?",
        "schema: steps.0.transfer.kept: kept wants error | list, not 'True'",
        "schema: steps.0.transfer.frm: the key 'frm' is unknown; did you mean 'from'?",
        "schema: sources.z: nothing reads 'z'",
    ]
    assert sorted(lines) == sorted(wanted)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.29, Decimal("0.29")),
        (1e-12, Decimal("1e-12")),
        ((1, 2.5), [1, Decimal("2.5")]),
        ({1: Path("x/y")}, {"1": "x/y"}),
        (True, True),
        (float("inf"), float("inf")),  # no number of a plan: refused by whoever wants one
    ],
)
def test_values_are_those_that_yaml_gives(value: Any, wanted: Any) -> None:
    found = document_of({"v": value}).value["v"]
    assert (found, type(found)) == (wanted, type(wanted))


STEPS = [{"transfer": {"from": "a", "as": "b"}}, {"transfer": {"from": "b", "as": "c"}}]


@pytest.mark.parametrize(
    ("setting", "at"),
    [("b.unused", (0, "unused")), ("c.unused", (1, "unused")), ("c.sizes.h", (1, "sizes", "h"))],
)
def test_a_setting_finds_its_step(setting: str, at: tuple[Any, ...]) -> None:
    found = with_settings(document_of({"steps": STEPS}), {setting: 0.5}).value["steps"]
    value = found[at[0]]["transfer"]
    for key in at[1:]:
        value = value[key]
    assert value == Decimal("0.5")
    assert sum("unused" in entry["transfer"] for entry in found) == (at[-1] == "unused")


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("unused", "--set unused: is a key of several steps: steps.0.transfer.unused, steps.1."),
        ("tua", "--set tua: is no step's key"),
        ("d.unused", "--set d.unused: is no step's key"),
        ("output", "--set output: is no step's key"),
    ],
)
def test_a_setting_without_a_place_is_refused(setting: str, words: str) -> None:
    (line,) = refused({"steps": STEPS}, settings={setting: "list"})
    assert words in line


def test_settings_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path / "a.safetensors", {"x.w": A, "z": A})
    (tmp_path / "m.yaml").write_text(document('- {from: "x.{l}", to: "y.{l}"}'))
    (tmp_path / "p.yaml").write_text(
        "weightsurgeon: 1\nsources: {a: a.safetensors}\n"
        "steps:\n- transfer: {from: a, mapping: m.yaml, as: b}\n"
        "output: {from: b, path: out.safetensors}\n"
    )
    shell = Shell(capsys)
    words = ["run", tmp_path / "p.yaml", "--set", "unused=ignore", "--step", 3]
    other = tmp_path / "other.safetensors"
    assert shell(*words, "--set", f"output.path={other}").code == 0
    assert list(load_file(other)) == ["y.w"]
    assert "unused wants error" in shell(*words[:2], "--set", "unused=yes").err
    assert "p.yaml:4: schema: unused" in shell(*words[:2], "--set", "unused={a: 1}").err
    assert "--set wants KEY=VALUE" in shell(*words[:2], "--set", "unused").err
    assert "is no YAML" in shell(*words[:2], "--set", "unused=[").err
