"""Bad input in one clear line: file, line or tensor, what to do; exit code 2, nothing changed."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from porting import Shell, count, document, hashes, save
from safetensors.numpy import load_file

import weightsurgeon
from weightsurgeon import cli

A = count(2, 3)
KERNEL = count(4, 4)


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    """The command line, in a folder with two checkpoints and a mapping."""
    monkeypatch.setattr(cli, "_listen", lambda: None)
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in.safetensors", {"fc/kernel": A, "fc/bias": count(3)})
    save(tmp_path / "base.safetensors", {"head.weight": A.T, "head.bias": count(3)})
    rules("- {layer: fc, to: head, kind: linear}")
    return Shell(capsys)


def rules(text: str, source: str = "keras", target: str = "torch") -> None:
    Path("m.yaml").write_text(document(text, source, target))


def raw(header: object, data: bytes = b"") -> bytes:
    """A safetensors file as it should not be."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda p: None, "there is no such file"),
    "folder": (lambda p: p.mkdir(), "is a folder, not a checkpoint file"),
    "fifo": (os.mkfifo, "is no regular file"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "text": (lambda p: p.write_text("weights!\n" * 9), "is none of the containers read here"),
    "lfs": (
        lambda p: p.write_text(
            "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n"
        ),
        "git-lfs pointer; fetch the real file with git lfs pull",
    ),
    "html": (lambda p: p.write_text("<!DOCTYPE html><title>404</title>"), "looks like a web page"),
    "short header": (lambda p: p.write_bytes(raw({"a": ENTRY}, bytes(8))[:20]), ""),
    "short data": (lambda p: p.write_bytes(raw({"a": ENTRY}, bytes(7))), ""),
    "long data": (lambda p: p.write_bytes(raw({"a": ENTRY}, bytes(9))), ""),
    "bad json": (lambda p: p.write_bytes(raw(b'{"a": ')), ""),
    "bad dtype": (lambda p: p.write_bytes(raw({"a": {**ENTRY, "dtype": "F31"}}, bytes(8))), "F31"),
}


@pytest.mark.parametrize("case", FILES)
@pytest.mark.parametrize("place", ["src", "template", "a", "b", "inspect"])
def test_a_file_that_is_no_checkpoint(shell: Shell, tmp_path: Path, case: str, place: str) -> None:
    make, words = FILES[case]
    make(tmp_path / "bad.safetensors")
    before = hashes(tmp_path)
    call = shell(
        *{
            "src": ["port", "bad.safetensors", "out.safetensors"],
            "template": [
                "port",
                "in.safetensors",
                "out.safetensors",
                "--template",
                "bad.safetensors",
            ],
            "a": ["verify", "bad.safetensors", "in.safetensors"],
            "b": ["verify", "in.safetensors", "bad.safetensors"],
            "inspect": ["inspect", "bad.safetensors"],
        }[place]
    )
    assert call.code == 2
    assert call.out == ""
    assert call.err.count("\n") == 1
    assert call.err.startswith("bad.safetensors: ")
    assert words in call.err
    assert hashes(tmp_path) == before


def test_a_wrong_suffix_is_read_by_content_and_remarked(shell: Shell) -> None:
    os.rename("in.safetensors", "in.pt")  # noqa: PTH104
    call = shell("inspect", "in.pt")
    assert call.code == 0
    assert "remark: the suffix says torch, the content is safetensors" in call.out


MAPPINGS: dict[str, tuple[str, list[str]]] = {
    "unknown key": (
        "- {layer: fc, to: head, knd: linear}",
        ["m.yaml:5: schema: the key 'knd' is unknown; did you mean 'kind'?"],
    ),
    "no yaml": ("- {layer: fc, to: [head", ["m.yaml:7: schema: is no YAML"]),
    "a rule that matches nothing": (
        "- {layer: fc, to: head, kind: linear}\n- {layer: fd, to: tail, kind: linear}",
        ["m.yaml:6: dead-rule: 'fd' matches no tensor of the source; nearest: fc"],
    ),
    "unmatched source": (
        "- {from: fc/kernel, to: head.weight, layout: i o -> o i}",
        [
            "m.yaml: unmatched-source: fc/bias float32 (3,): no rule takes it",
            "unmatched-target: head.bias",
        ],
    ),
    "unmatched target": (
        "- {drop: fc/bias}\n- {from: fc/kernel, to: head.weight, layout: i o -> o i}",
        ["m.yaml: unmatched-target: head.bias float32 (3,): no rule makes it"],
    ),
    "two sources for one target": (
        "- {layer: fc, to: head, kind: linear, optional: true}\n- {init: head.bias, shape: [3]}",
        ["m.yaml:6: collision: head.bias is made from an init and from fc/bias (m.yaml:5)"],
    ),
    "shape": (
        "- {from: fc/kernel, to: head.weight, layout: i o -> i o}\n"
        "- {from: fc/bias, to: head.bias}",
        ["m.yaml:5: shape: fc/kernel → head.weight: float32 (2, 3) does not fit float32 (3, 2)"],
    ),
    "no such target": (
        "- {layer: fc, to: haed, kind: linear}",
        ["m.yaml:5: no-such-target: haed.weight is made, but the target has no such tensor"],
    ),
}


@pytest.mark.parametrize("case", MAPPINGS)
@pytest.mark.parametrize("mode", ["--template", "--into"])
def test_a_mapping_that_does_not_fit(shell: Shell, tmp_path: Path, case: str, mode: str) -> None:
    text, wanted = MAPPINGS[case]
    rules(text)
    before = hashes(tmp_path)
    call = shell(
        "port",
        "in.safetensors",
        "out.safetensors",
        "--mapping",
        "m.yaml",
        mode,
        "base.safetensors",
        *(["--policy", "strict"] if mode == "--into" else []),
    )
    assert call.code == 2
    for words in wanted:
        assert words in call.err
    assert hashes(tmp_path) == before


def test_a_transposed_square_matrix_is_found_by_its_axes(shell: Shell, tmp_path: Path) -> None:
    rules("- {layer: fc, to: fc, kind: linear}", "keras", "keras")
    save(Path("in.safetensors"), {"fc/kernel": KERNEL})
    assert shell("port", "in.safetensors", "k.safetensors", "--mapping", "m.yaml").code == 0
    rules("- {layer: fc, to: fc, kind: linear}", "torch", "torch")
    save(Path("in.safetensors"), {"fc.weight": KERNEL})
    assert shell("port", "in.safetensors", "t.safetensors", "--mapping", "m.yaml").code == 0
    rules("- {from: fc/kernel, to: fc.weight, layout: a b -> a b}")
    before = hashes(tmp_path)
    call = shell(
        "port",
        "k.safetensors",
        "o.safetensors",
        "--mapping",
        "m.yaml",
        "--template",
        "t.safetensors",
    )
    assert call.code == 2
    assert call.err == (
        "m.yaml:5: axes: fc/kernel → fc.weight: a is `in` here and `out` in the target\n"
    )
    assert hashes(tmp_path) == before


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("nowhere/out.safetensors", "nowhere/out.safetensors: "),
        ("m.yaml/out.safetensors", "m.yaml/out.safetensors: "),
        ("folder.safetensors", "folder.safetensors: "),
        ("fifo.safetensors", "fifo.safetensors: "),
        ("out.xyz", "out.xyz: no container has this suffix; known: .safetensors"),
    ],
)
def test_an_output_that_cannot_be_written(
    shell: Shell, tmp_path: Path, output: str, words: str
) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    os.mkfifo(tmp_path / "fifo.safetensors")
    before = hashes(tmp_path)
    call = shell("port", "in.safetensors", output, "--mapping", "m.yaml")
    assert call.code == 2
    assert call.out == ""
    assert call.err.startswith(words)
    assert call.err.count("\n") == 1
    assert hashes(tmp_path) == before
    left = {
        "in.safetensors",
        "base.safetensors",
        "m.yaml",
        "folder.safetensors",
        "fifo.safetensors",
    }
    assert {p.name for p in tmp_path.iterdir()} == left


def test_a_file_size_limit_leaves_the_old_output(shell: Shell, tmp_path: Path) -> None:
    """As a full disk would: the file may not grow beyond 64 KiB."""
    save(tmp_path / "big.safetensors", {"x.w": count(400, 400)})
    save(tmp_path / "out.safetensors", {"old": A})
    rules('- {from: x.w, to: x, layout: "a b -> b a"}', "torch", "torch")
    before = hashes(tmp_path)

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (65_536, 65_536))

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "weightsurgeon",
            "port",
            "big.safetensors",
            "out.safetensors",
            "--mapping",
            "m.yaml",
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(weightsurgeon.__file__).parents[1])},
        preexec_fn=limited,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("out.safetensors: ")
    assert hashes(tmp_path) == before


def test_an_output_equal_to_the_input_works(shell: Shell, tmp_path: Path) -> None:
    call = shell("port", "in.safetensors", "in.safetensors", "--mapping", "m.yaml")
    assert call.code == 0
    assert np.array_equal(load_file("in.safetensors")["head.weight"], A.T)
    assert {p.name for p in tmp_path.iterdir()} == {"in.safetensors", "base.safetensors", "m.yaml"}


def test_a_refusal_leaves_the_input_that_is_also_the_output(shell: Shell, tmp_path: Path) -> None:
    rules("- {from: nope, to: x}")
    before = hashes(tmp_path)
    assert shell("port", "in.safetensors", "in.safetensors", "--mapping", "m.yaml").code == 2
    assert hashes(tmp_path) == before


def test_inputs_never_change(shell: Shell, tmp_path: Path) -> None:
    before = hashes(tmp_path)
    words = ["--mapping", "m.yaml", "--into", "base.safetensors"]
    assert shell("port", "in.safetensors", "out.safetensors", *words).code == 0
    after = hashes(tmp_path)
    after.pop("out.safetensors")
    assert after == before


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("gone.yaml", None, "p.yaml:4: schema: there is no mapping gone.yaml"),
        ("bad.yaml", "[", "bad.yaml:1: schema: is no YAML"),
        ("bad.yaml", "weightsurgeon: 1\nrules: [{from: a}]", "bad.yaml:2: schema: the key 'to' is"),
    ],
)
def test_a_plan_that_names_a_bad_mapping(
    shell: Shell, tmp_path: Path, name: str, text: str | None, words: str
) -> None:
    if text is not None:
        Path(name).write_text(text)
    Path("p.yaml").write_text(
        "weightsurgeon: 1\nsources: {a: in.safetensors}\nsteps:\n"
        f"- transfer: {{from: a, mapping: {name}, as: b}}\n"
        "output: {from: b, path: out.safetensors}\n"
    )
    before = hashes(tmp_path)
    call = shell("run", "p.yaml")
    assert call.code == 2
    assert call.err.startswith(words)
    assert call.err.count("\n") == 1
    assert hashes(tmp_path) == before


@pytest.mark.parametrize("path", ["gone.yaml", ".", "in.safetensors"])
def test_a_plan_that_is_none(shell: Shell, path: str) -> None:
    call = shell("run", path)
    assert call.code == 2
    assert call.err.count("\n") == 1
    assert "schema: " in call.err
