"""`plot` and `connections` on a real file: pictures are written, wrong words are one line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from porting import Shell

from weightsurgeon import cli

SMALL = Path(__file__).parent.parent.parent / "examples" / "small.keras"


@pytest.fixture
def shell(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Shell:
    """The command line, in an empty folder."""
    monkeypatch.setattr(cli, "_listen", lambda: None)  # signals stay pytest's
    monkeypatch.chdir(tmp_path)
    return Shell(capsys)


KINDS = ("kernels", "small-multiples", "banding", "hist", "norms")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_every_kind_draws(kind: str, suffix: str, shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / f"x.{suffix}"
    done = shell("plot", kind, SMALL, "-o", out)
    assert done.code == 0, done.err
    assert out.read_bytes().startswith(b"\x89PNG" if suffix == "png" else b"<svg")
    assert str(out) in done.out


def test_what_was_drawn_is_data(shell: Shell, tmp_path: Path) -> None:
    done = shell("plot", "norms", SMALL, "-o", tmp_path / "n.png", "--json")
    assert json.loads(done.out)["picture"]["width"] > 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["kernels", "-o", "x.jpg"], "a picture ends in .png or .svg"),
        (["kernels", "--unit", "999", "-o", "x.png"], "has units 0.."),
        (["nmf", "-o", "x.png", "--tensor", "nope"], "no tensor nope"),
        (["shapes", "-o", "x.png"], "invalid choice"),
    ],
)
def test_wrong_words_are_one_line(words: list[str], said: str, shell: Shell) -> None:
    done = shell("plot", words[0], SMALL, *words[1:])
    assert done.code == 2
    assert said in done.err
    assert done.err.count("\n") == 1


def test_connections_tell_the_tail(shell: Shell) -> None:
    names = [t["name"] for t in json.loads(shell("inspect", SMALL, "--json").out)["tensors"]]
    name = next(n for n in names if n.endswith("kernel"))
    done = shell("connections", SMALL, "--tensor", name, "--unit", "0")
    assert done.code == 0, done.err
    assert "participation" in done.out
    found = json.loads(shell("connections", SMALL, "--tensor", name, "--unit", "0", "--json").out)
    assert found["holding"]["0.99"] <= found["count"]
    assert shell("connections", SMALL, "--tensor", name, "--unit", "99999").code == 2
