"""The command line: what it says, on which stream, with which exit code; no name drives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from porting import Shell, count, document, hashes, save
from safetensors.numpy import load_file

import weightsurgeon
from weightsurgeon import cli

A = count(2, 3)
MODULE = [sys.executable, "-m", "weightsurgeon"]


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    """The command line, in a folder with a checkpoint and a mapping."""
    monkeypatch.setattr(cli, "_listen", lambda: None)  # signals stay pytest's
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "k.safetensors", {"fc/kernel": A, "fc/bias": count(3)})
    (tmp_path / "m.yaml").write_text(
        document("- {layer: fc, to: head, kind: linear}", "keras", "torch")
    )
    return Shell(capsys)


# -- help and usage --------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["--help", "-h", "help"])
def test_help_names_every_command(shell: Shell, word: str) -> None:
    call = shell(word)
    assert call.code == 0
    assert call.err == ""
    assert all(f"  {name} " in call.out for name in cli.COMMANDS)
    assert all(len(line) <= 100 for line in call.out.split("\n"))


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_explains_itself(shell: Shell, command: str) -> None:
    call = shell(command, "--help")
    assert call.code == 0
    assert f"usage: weightsurgeon {command}" in call.out
    assert "--json" in call.out


def test_version(shell: Shell) -> None:
    assert shell("--version").out == f"{weightsurgeon.__version__}\n"


def test_no_command_is_bad_usage(shell: Shell) -> None:
    call = shell()
    assert call.code == 2
    assert "usage:" in call.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prot", "a", "b"], "no command 'prot'; did you mean port?"),
        (["soft_update", "a", "b"], "did you mean soft-update?"),
        (["xyz", "a", "b"], "no command 'xyz'; known: assemble, "),
        (["--json", "port", "a", "b"], "options stand behind a command, not before: --json"),
        (["merge", "linear", "a.pt=x", "-o", "b.pt"], "behind the last = stands the weight"),
        (["branches", "a", "--concat", "x"], "--concat wants LAYER=A:N,B:N, as in out=num:64,cat:"),
        (["report", "a", "-o", "a.pt"], "a.pt: a page ends in .html or .htm"),
        (["plot", "hist", "a", "-o", "a.pt"], "a.pt: a picture ends in .png or .svg"),
        (["invert", "a.yaml", "-o", "a.pt"], "a.pt: a mapping ends in .yaml or .yml"),
        (["\x1b[31m"], r"no command"),
        (["port"], "weightsurgeon port: the following arguments are required: SRC, DST"),
        (["port", "a", "b", "c"], "write ALIAS=PATH for each of several sources, not 'a'"),
        (["port", "a", "b", "--templ", "x"], "unrecognized arguments: --templ"),  # no guessing
        (["port", "a", "b.safetensors", "--to", "tf2"], "--to: invalid choice: 'tf2'"),
        (["port", "a", "b.safetensors", "--policy", "lax"], "--policy: no policy 'lax'"),
        (["port", "a", "b.safetensors", "--set", "h"], "--set wants NAME=N, as in h=12, not 'h'"),
        (["port", "a", "b.safetensors", "--set", "h=-1"], "--set wants NAME=N"),
        (["port", "a", "b.safetensors", "--set", "h=" + "9" * 5000], "--set wants NAME=N"),
        (["verify", "a", "b", "--atol", "x"], "--atol: invalid difference value: 'x'"),
        (["verify", "a", "b", "--atol", "nan"], "--atol: invalid difference value: 'nan'"),
        (["verify", "a", "b", "--atol", "-1"], "--atol: invalid difference value"),
        (["inspect", "a", "--limit", "tensors"], "--limit wants NAME=N"),
        (["inspect", "a", "--limit", "tensor=1"], "--limit: there is no limit 'tensor'"),
        (["run"], "the following arguments are required: PLAN.yaml"),
    ],
)
def test_bad_usage_is_one_line(shell: Shell, words: list[str], said: str) -> None:
    call = shell(*words)
    assert call.code == 2
    assert call.out == ""
    assert said in call.err
    assert call.err.count("\n") == 1
    assert call.err.isprintable() or call.err[:-1].isprintable()


# -- port ------------------------------------------------------------------------------------


def test_port_writes_and_reports(shell: Shell) -> None:
    call = shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml")
    assert (call.code, call.err) == (0, "")
    assert call.out.split("\n") == [
        "head.bias    copied                   m.yaml:5",
        "head.weight  relaid  in out → out in  m.yaml:5",
        "1 copied, 1 relaid · 36 B → t.safetensors",
        "",
    ]
    assert np.array_equal(load_file("t.safetensors")["head.weight"], A.T)


def test_json_is_one_object(shell: Shell) -> None:
    for words in (["--json"], ["--json", "--explain"], ["--json", "--dry-run", "--all"]):
        call = shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml", *words)
        data = json.loads(call.out)
        assert data["weightsurgeon_json"] == 1
        assert next(iter(data)) == "weightsurgeon_json"
        assert data["command"] == "port"
        assert data["output"]["written"] is ("--dry-run" not in words)
        assert ("plan" in data) is ("--explain" in words)
        assert call.out.isascii()


def test_a_refusal_is_data_too(shell: Shell) -> None:
    Path("m.yaml").write_text(document("- {layer: fd, to: head, kind: linear}", "keras", "torch"))
    call = shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml", "--json")
    assert call.code == 2
    data = json.loads(call.out)
    assert data["weightsurgeon_json"] == 1
    assert {(p["id"], p["file"], p["line"]) for p in data["problems"]} == {
        ("dead-rule", "m.yaml", 5),
        ("unmatched-source", "m.yaml", 0),
    }
    names = [p["names"] for p in data["problems"] if p["id"] == "unmatched-source"]
    assert sorted(names) == [["fc/bias"], ["fc/kernel"]]
    assert [p["text"] for p in data["problems"]] == call.err.split("\n")[:-2]
    call = shell("inspect", "gone", "--json")
    (problem,) = json.loads(call.out)["problems"]
    assert (problem["id"], problem["file"]) == ("input", "gone")


def test_a_dry_run_writes_nothing(shell: Shell, tmp_path: Path) -> None:
    before = hashes(tmp_path)
    call = shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml", "--dry-run")
    assert call.code == 0
    assert "would go to t.safetensors" in call.out
    assert hashes(tmp_path) == before


def test_explain_shows_every_expression(shell: Shell) -> None:
    call = shell("port", "k.safetensors", "t.safetensors", "--mapping", "m", "--explain")
    assert "head.weight  float32 [out=3 in=2]  ← permute(fc/kernel, order=(1, 0))" in call.out


def test_all_shows_every_name(shell: Shell) -> None:
    tensors = {f"drop.{chr(97 + i)}": count(1) for i in range(20)} | {"a": A}
    save(Path("k.safetensors"), tensors)
    Path("m.yaml").write_text(document("- {drop: drop.*}\n- {from: a, to: a}"))
    words = ["port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml"]
    assert "drop.e and 15 more (--all)" in shell(*words).out
    assert "drop.t" in shell(*words, "--all").out


def test_many_problems_are_cut_unless_all_are_asked_for(shell: Shell) -> None:
    save(Path("k.safetensors"), {"a" + "bcd"[i % 3] * i: count(1) for i in range(90)})
    Path("m.yaml").write_text(document("- {from: a, to: a}"))
    words = ["port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml"]
    lines = shell(*words).err.split("\n")
    assert lines[50:] == ["… and 39 more (--all)", "89 problems; nothing was written", ""]
    assert len(shell(*words, "--all").err.split("\n")) == 91


def test_set_and_policy(shell: Shell) -> None:
    save(Path("k.safetensors"), {"q": count(6, 4), "more": count(1)})
    Path("m.yaml").write_text(document('- {from: q, to: q, layout: "(h k) d -> d h k"}'))
    words = ["port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml"]
    call = shell(*words)
    assert call.code == 2
    assert "m.yaml:5: size: q → q: (6, 4) as [(h k) d]: h, k unknown" in call.err
    assert "m.yaml: unmatched-source: more" in call.err
    call = shell(*words, "--set", "h=3", "--policy", "unmatched_source=list")
    assert call.code == 0
    assert load_file("t.safetensors")["q"].shape == (4, 3, 2)
    assert "unmatched-source: more float32 (1,)" in call.out


def test_an_audit_ends_with_1_if_there_is_anything(shell: Shell) -> None:
    words = ["port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml", "--policy", "audit"]
    call = shell(*words)
    assert (call.code, "would go to nowhere" in call.out) == (0, True)
    save(Path("k.safetensors"), {"fc/kernel": A, "more": A})
    call = shell(*words)
    assert call.code == 1
    assert "unmatched-source: more" in call.out
    assert not Path("t.safetensors").exists()


def test_again(shell: Shell) -> None:
    Path("m.yaml").write_text(document('- {from: "{n:path}", to: "x/{n}"}', "keras", "keras"))
    assert shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml").code == 0
    call = shell("port", "t.safetensors", "u.safetensors", "--mapping", "m.yaml")
    assert call.code == 2
    assert call.err == (
        "m.yaml: twice: t.safetensors was made by this mapping; use the original, or --again\n"
    )
    assert (
        shell("port", "t.safetensors", "u.safetensors", "--mapping", "m.yaml", "--again").code == 0
    )
    assert "x/x/fc/bias" in load_file("u.safetensors")


def test_template_and_into(shell: Shell) -> None:
    save(Path("base.safetensors"), {"head.weight": A.T, "head.bias": count(3), "rest": A})
    words = ["port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml"]
    call = shell(*words, "--template", "base.safetensors")
    assert (call.code, call.err) == (
        2,
        "m.yaml: unmatched-target: rest float32 (2, 3): no rule makes it\n",
    )
    call = shell(*words, "--into", "base.safetensors")
    assert call.code == 0
    assert "kept: 1 tensors keep the base's values: rest" in call.out
    call = shell(*words, "--into", "base.safetensors", "--template", "base.safetensors")
    assert call.code == 2
    assert "not both" in call.err


# -- run and verify --------------------------------------------------------------------------


def test_run(shell: Shell) -> None:
    Path("p.yaml").write_text(
        "weightsurgeon: 1\nsources: {a: k.safetensors}\nsteps:\n"
        "- transfer: {from: a, mapping: m, as: b}\noutput: {from: b, path: t.safetensors}\n"
    )
    assert "would go to" in shell("run", "p.yaml", "--dry-run").out
    assert json.loads(shell("run", "p.yaml", "--json").out)["command"] == "run"
    assert sorted(load_file("t.safetensors")) == ["head.bias", "head.weight"]


def test_verify_ends_with_0_1_or_2(shell: Shell) -> None:
    shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml")
    words = ["verify", "k.safetensors", "t.safetensors", "--mapping", "m.yaml"]
    call = shell(*words)
    assert (call.code, call.out, call.err) == (
        0,
        "equal: 2 tensors, 9 values compared: 0 differ\n",
        "",
    )
    save(Path("t.safetensors"), {"head.weight": A.T, "head.bias": count(3) + 0.25})
    call = shell(*words)
    assert call.code == 1
    assert call.out.startswith("fc/bias → head.bias: 3 of 3 differ, worst |Δ| 0.25 at [0]\n")
    assert shell(*words, "--atol", "0.25").code == 0
    assert json.loads(shell(*words, "--json").out)["differing"] == 3
    assert shell("verify", "k.safetensors", "gone").code == 2


def test_verify_a_pattern(shell: Shell) -> None:
    """Answer 26, as a command."""
    good = np.array([[4, 0, 3, 0, 0, 0, 0, 5], [0] * 8], "f4")
    save(Path("x.safetensors"), {"a": good, "b": good.copy(), "n": np.arange(8)})
    words = [
        "verify",
        "x.safetensors",
        "--nm",
        "2:4",
        "--axis",
        "1",
        "--include",
        "a",
        "--include",
        "b",
    ]
    call = shell(*words)
    assert (call.code, call.out) == (0, "at most 2:4 along 1: 2 tensors\n")
    good[1, 4:7] = 1
    save(Path("x.safetensors"), {"a": good * 0, "b": good})
    call = shell(*words)
    assert call.code == 1
    assert "b: group [1, 1] has more than 2 non-zeros" in call.out
    (found,) = json.loads(shell(*words, "--json").out)["problems"]
    assert (found["id"], found["names"]) == ("pattern", ["b"])
    assert shell("verify", "x.safetensors").code == 2
    assert shell(*words[:4]).code == 2
    assert shell(*words[:2], "--nm", "x", "--axis", "1").code == 2


# -- inspect ---------------------------------------------------------------------------------


def test_inspect_tells_what_is_there(shell: Shell) -> None:
    call = shell("inspect", "k.safetensors")
    assert call.code == 0
    head, *rows, _ = call.out.split("\n")
    assert head == (
        "k.safetensors   safetensors · dialect keras (inferred) · 2 tensors · 9 params · 36 B"
        " · float32 100 %"
    )
    assert [row.split() for row in rows] == [
        ["fc/bias", "3", "float32", "3", "12", "B"],
        ["fc/kernel", "2×3", "float32", "6", "24", "B"],
    ]


def test_inspect_groups_what_differs_in_a_number(shell: Shell) -> None:
    save(Path("l.safetensors"), {f"l.{i}.w": A for i in range(12)})
    call = shell("inspect", "l.safetensors")
    assert "l.{0..11}.w  ×12" in call.out
    assert shell("inspect", "l.safetensors", "--all").out.count("\n") == 13


def test_inspect_selects(shell: Shell) -> None:
    call = shell("inspect", "k.safetensors", "--select", "*kernel", "--json")
    assert [t["name"] for t in json.loads(call.out)["tensors"]] == ["fc/kernel"]
    call = shell("inspect", "k.safetensors", "--exclude", "*kernel", "--json")
    assert [t["name"] for t in json.loads(call.out)["tensors"]] == ["fc/bias"]
    call = shell("inspect", "k.safetensors", "--select", "*nope")
    assert (call.code, call.err) == (2, "k.safetensors: no tensor fits '*nope'\n")


def test_inspect_obeys_limits(shell: Shell) -> None:
    call = shell("inspect", "k.safetensors", "--limit", "tensors=1")
    assert call.code == 2
    assert call.err.count("\n") == 1
    assert "tensors" in call.err
    assert shell("inspect", "k.safetensors", "--limit", "tensors=2").code == 0


def test_inspect_json(shell: Shell) -> None:
    shell("port", "k.safetensors", "t.safetensors", "--mapping", "m.yaml")
    data = json.loads(shell("inspect", "t.safetensors", "--json").out)
    assert data["weightsurgeon_json"] == 1
    assert data["inputs"][0]["dialect"] == "torch"
    assert data["totals"] == {
        "tensors": 2,
        "parameters": 9,
        "bytes": 36,
        "bytes_by_dtype": {"float32": 36},
    }
    weight = next(t for t in data["tensors"] if t["name"] == "head.weight")
    assert (weight["axes"], weight["role"], weight["ground"]) == ("out in", "kernel", "metadata")


# -- hostile names ---------------------------------------------------------------------------

HOSTILE = ["\x1b[31mred", "a\nb", "[bold]x[/bold]", "[/x]", "\u202egnp.exe", "{x}", "%s", "\r", "é"]


def test_names_of_a_file_drive_nothing(shell: Shell) -> None:
    save(Path("h.safetensors"), {name: count(1) for name in HOSTILE})
    rules = document("- {from: nothing, to: x}\n- {drop: 'a?b'}")
    Path("m.yaml").write_text(rules)
    for words in (
        ["inspect", "h.safetensors"],
        ["inspect", "h.safetensors", "--all"],
        ["inspect", "h.safetensors", "--json"],
        ["port", "h.safetensors", "o.safetensors", "--explain"],
        ["port", "h.safetensors", "p.safetensors", "--mapping", "m.yaml"],
        ["verify", "h.safetensors", "k.safetensors"],
        ["inspect", "\x1b[31m.safetensors"],
        ["port", "h.safetensors", "\x1b[31m.xyz"],
        ["port", "h.safetensors", "p.safetensors", "--mapping", "\x1b[31m"],
    ):
        call = shell(*words)
        said = call.out + call.err
        assert all(c.isprintable() or c == "\n" for c in said), words
    assert load_file("o.safetensors").keys() == set(HOSTILE)


# -- streams ---------------------------------------------------------------------------------


def spawned(words: str, folder: Path, **how: object) -> subprocess.CompletedProcess[str]:
    """A shell line with `$W` for the command."""
    root = Path(weightsurgeon.__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": str(root), "W": " ".join(MODULE)}
    return subprocess.run(
        ["bash", "-c", words], cwd=folder, env=env, capture_output=True, text=True, check=False
    )


def test_a_pipe_may_be_closed_early(tmp_path: Path) -> None:
    save(tmp_path / "l.safetensors", {f"{'x' * 50}{i:05}": count(1) for i in range(5000)})
    done = spawned("set -o pipefail; $W inspect l.safetensors --all | head -1", tmp_path)
    assert done.stderr == ""
    assert done.stdout.startswith("l.safetensors")
    assert done.returncode == 141


def test_a_closed_or_full_stdout_is_no_bug(tmp_path: Path) -> None:
    save(tmp_path / "l.safetensors", {"x": count(1)})
    done = spawned("$W inspect l.safetensors > /dev/full", tmp_path)
    assert done.returncode == 2
    assert done.stderr == "weightsurgeon: No space left on device\n"
    done = spawned("$W inspect l.safetensors >&-", tmp_path)
    assert "bug" not in done.stderr
    assert "Traceback" not in done.stderr


def test_piped_output_has_no_colour_and_help_can_be_piped(tmp_path: Path) -> None:
    save(tmp_path / "l.safetensors", {"x.w": A})
    done = spawned("$W port l.safetensors o.safetensors | cat", tmp_path)
    assert "\x1b" not in done.stdout + done.stderr
    done = spawned("set -o pipefail; $W port --help | head -1", tmp_path)
    assert done.stderr == ""


def test_a_bug_of_ours_is_70_and_debug_shows_it(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(args: list[str]) -> int:
        raise RuntimeError("\x1b[31moops")

    monkeypatch.setattr(cli, "_dispatch", broken)
    call = shell("inspect", "k.safetensors")
    assert call.code == 70
    assert call.err == (
        "weightsurgeon: a bug of ours: RuntimeError: \\x1b[31moops; please report, with --debug\n"
    )
    call = shell("inspect", "k.safetensors", "--debug")
    assert call.code == 70
    assert "Traceback" in call.err


def test_debug_shows_the_traceback_of_bad_input(shell: Shell) -> None:
    call = shell("inspect", "gone", "--debug")
    assert call.code == 2
    assert "Traceback" in call.err
    assert call.err.endswith("gone: there is no such file\n")


def test_a_signal_leaves_nothing_behind(tmp_path: Path) -> None:
    save(tmp_path / "l.safetensors", {"x.w": count(100, 100)})
    code = (
        "import os, signal, sys; from weightsurgeon import cli, writing;"
        "real = writing.execute\n"
        "def execute(*a, **k):\n"
        "    yield from ()\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    yield from real(*a, **k)\n"
        "writing.execute = execute\n"
        "cli.main(['port', 'l.safetensors', 'o.safetensors'])"
    )
    root = Path(weightsurgeon.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + 15
    assert done.stderr == "weightsurgeon: interrupted by signal 15; nothing was written\n"
    assert [p.name for p in tmp_path.iterdir()] == ["l.safetensors"]


def test_prune_on_a_schedule(shell: Shell, tmp_path: Path) -> None:
    save(tmp_path / "x.safetensors", {"w": count(4, 4, start=1)})
    words = ["prune", "x.safetensors", "-o", "y.safetensors", "--schedule", "0.75:0:4:1"]
    for step, zeros in (("1", 3), ("2", 6), ("9", 12)):
        found = shell(*words, "--include", "w", "--step", step)
        assert found.code == 0, found.err
        assert (load_file(tmp_path / "y.safetensors")["w"] == 0).sum() == zeros
    assert "--step N" in shell(*words, "--include", "w").err


def test_prune_by_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from weightsurgeon.cli.parser import Parser
    from weightsurgeon.cli.prune import arguments, keys_of
    from weightsurgeon.errors import SurgeryError

    parser = Parser()
    arguments(parser)

    def keys(*words: str) -> dict[str, object]:
        found = keys_of(parser.parse_args(["in.pt", "-o", "out.pt", *words]))
        return {k: v for k, v in found.items() if v not in ("input", "all", "error", None)}

    assert {k: str(v) for k, v in keys("--sparsity", "0.5", "--scope", "axis=out").items()} == {
        "amount": "{'sparsity': Decimal('0.5')}", "scope": "{'axis': 'out'}",
    }  # fmt: skip
    assert keys("--nm", "2:4", "--axis", "in", "--include", "*.w", "--write-mask", "m.pt") == {
        "amount": {"nm": "2:4", "axis": "in"}, "select": ["*.w"], "mask": {"write": "m.pt"},
    }  # fmt: skip
    assert keys("--fold") == {"mask": {"apply": "embedded"}}
    assert keys("--apply-mask", "m.pt") == {"mask": {"apply": "masks"}}
    assert keys("--count", "3", "--random", "7", "--scope", "tensor") == {
        "amount": {"count": 3}, "score": {"random": {"seed": 7}}, "scope": "tensor",
    }  # fmt: skip
    assert keys("--keep", "3", "--scores", "s.pt")["score"] == {"from": "scores"}
    assert keys("--sparsity", "1", "--units", "out:l1")["granularity"] == {
        "axis": "out", "norm": "l1",
    }  # fmt: skip
    assert keys("--sparsity", "1", "--units", "in")["granularity"] == {"axis": "in"}
    wanted = {"kind": "polynomial", "final": Decimal("0.9"), "begin": 0, "end": 100}
    assert keys("--schedule", "0.9:0:100", "--step", "5")["schedule"] == wanted
    assert keys("--schedule", "0.9:0:100:2")["schedule"] == wanted | {"power": 2}
    for wrong in ("0.9", "0.9:1", "0.9:a:b", "0.9:0:-1"):
        with pytest.raises(SurgeryError, match="--schedule wants FINAL:BEGIN:END"):
            keys("--schedule", wrong)
    with pytest.raises(SurgeryError, match="wants a number"):
        keys("--below", "x")
    with pytest.raises(SurgeryError, match="one of the arguments"):
        keys()
