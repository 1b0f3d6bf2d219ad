"""Finding and reading a mapping's file; its hash is that of what it says."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from porting import document, lines_of, mapping

from weightsurgeon.errors import PlanError
from weightsurgeon.mapping.load import SHIPPED, find, load, loads, read_text
from weightsurgeon.mapping.yaml_data import MAX_BYTES


def test_a_mapping_is_found_beside_the_plan_then_here_then_among_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    beside, here = tmp_path / "plans", tmp_path / "here"
    for folder in (beside, here):
        (folder / "mtcnn").mkdir(parents=True)
    monkeypatch.chdir(here)
    shipped = find("mtcnn/pnet")
    assert SHIPPED[0] in shipped.parents or SHIPPED[1] in shipped.parents
    (here / "mtcnn" / "pnet.yaml").write_text("x")
    assert find("mtcnn/pnet", str(beside / "p.yaml")).resolve() == here / "mtcnn" / "pnet.yaml"
    (beside / "mtcnn" / "pnet.yaml").write_text("x")
    assert find("mtcnn/pnet", str(beside / "p.yaml")) == beside / "mtcnn" / "pnet.yaml"
    assert find("mtcnn/pnet.yaml", str(beside / "p.yaml")) == beside / "mtcnn" / "pnet.yaml"
    assert find(str(here / "mtcnn" / "pnet.yaml")) == here / "mtcnn" / "pnet.yaml"


def test_a_mapping_that_is_nowhere_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(PlanError) as caught:
        load("nope/never", str(tmp_path / "p.yaml"))
    (line,) = lines_of(caught.value)
    assert "there is no mapping nope/never; shipped are attention/keras-to-torch" in line
    assert "mtcnn/onet" in line


@pytest.mark.parametrize("path", sorted(p for s in SHIPPED for p in s.glob("**/*.yaml")), ids=str)
def test_every_shipped_mapping_loads(path: Path) -> None:
    found = load(str(path))
    assert found.rules
    assert found.file == path.name


def test_what_cannot_be_read_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: caf\xe9\n")
    (tmp_path / "folder.yaml").mkdir()
    os.mkfifo(tmp_path / "fifo.yaml")
    cases = {
        "latin.yaml": r"latin\.yaml:2: schema: is no UTF-8 text",
        "folder.yaml": "schema: cannot be read: Is a directory",
        "absent.yaml": "schema: cannot be read: No such file",
        "fifo.yaml": "schema: cannot be read: is no regular file",
    }
    for name, words in cases.items():
        with pytest.raises(PlanError, match=words) as caught:
            read_text(tmp_path / name)
        assert name in lines_of(caught.value)[0]


def test_a_huge_file_is_not_read_to_its_end(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse
    assert len(read_text(path)) <= MAX_BYTES + 4
    with pytest.raises(PlanError, match="is longer than"):
        load(str(path))


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + document("- {from: a, to: b}").encode())
    assert len(load(str(path)).rules) == 1


def test_the_hash_is_that_of_the_data() -> None:
    one = mapping("- {from: a, to: b, optional: true}  # a comment")
    other = mapping("-\n  to: b\n  'from': a\n  optional: true")
    assert one.hash == other.hash
    assert one.hash != mapping("- {from: a, to: c, optional: true}").hash
    assert loads(document("- &r {from: a, to: b}\n- *r")).hash == (
        loads(document("- {from: a, to: b}\n- {from: a, to: b}")).hash
    )
    assert mapping("- {init: a, shape: [1], value: 0.50}").hash == (
        mapping("- {init: a, shape: [1], value: 5e-1}").hash
    )
