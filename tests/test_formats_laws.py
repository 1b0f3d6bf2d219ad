"""What every container must do, driven by its row in FORMATS and its CARRIES (formats.md 13).

A container that can be written without a template joins with no new test code.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strategies import Memory, noise, same

from weightsurgeon import execute as engine
from weightsurgeon.carrying import carried
from weightsurgeon.errors import FormatError, PlanError
from weightsurgeon.expr import array, evaluate, slices, whole
from weightsurgeon.formats import FORMATS, create_sink, module_of, open_source
from weightsurgeon.formats.base import Checkpoint, Order, Source
from weightsurgeon.ops.movement import permute
from weightsurgeon.plan import Plan, Target
from weightsurgeon.writing import write

WRITABLE = [
    name for name, row in FORMATS.items() if row.suffixes and not module_of(name).CARRIES.templates
]
SHAPES = [(), (0,), (0, 5), (1,), (3,), (2, 3, 4), (1, 2, 1, 2, 1, 2, 1, 2)]

pytestmark = pytest.mark.parametrize("container", WRITABLE)


def suffix(container: str) -> str:
    return FORMATS[container].suffixes[0]


def every_dtype(container: str) -> dict[str, Any]:
    """Random bits of every dtype that the container carries, in every shape."""
    from strategies import DENSE

    carries = module_of(container).CARRIES
    return {
        f"{dtype.name}.{i}": noise(shape, dtype, i)
        for dtype in DENSE
        if dtype.name in carries.dtypes
        for i, shape in enumerate(SHAPES)
    }


def saved(container: str, path: Path, tensors: dict[str, Any], **more: Any) -> Source:
    order = Order({name: array(x).spec for name, x in tensors.items()}, **more)
    sink = create_sink(container, str(path), order)
    try:
        for name, values in reversed(tensors.items()):  # in any order
            sink.write(name, whole(order.specs[name]), np.ascontiguousarray(values))
        sink.commit()
    finally:
        sink.abort()
    return open_source(str(path))


def values_of(source: Source, name: str) -> Any:
    return source.read(name, whole(source.specs[name]))


def test_write_and_read_is_identity(container: str, tmp_path: Path) -> None:
    tensors = every_dtype(container)
    assert len(tensors) >= 10 * len(SHAPES)
    source = saved(container, tmp_path / f"x{suffix(container)}", tensors)
    assert source.container == container
    assert source.specs.keys() == tensors.keys()
    for name, values in tensors.items():
        assert same(values_of(source, name), values.reshape(values.shape)), name


def test_extents_are_the_bytes_of_the_tensors(container: str, tmp_path: Path) -> None:
    tensors = every_dtype(container)
    source = saved(container, tmp_path / f"x{suffix(container)}", tensors)
    for name, values in tensors.items():
        extent = source.extent(name)
        if extent is not None:
            assert extent.nbytes == values.nbytes
            assert os.pread(extent.fd, extent.nbytes, extent.offset) == values.tobytes()


def test_blocks_are_slices_of_the_whole(container: str, tmp_path: Path) -> None:
    values = noise((4, 5, 6), "float32")
    source = saved(container, tmp_path / f"x{suffix(container)}", {"x": values})
    random = np.random.default_rng(0)
    for _ in range(40):
        block = tuple(tuple(sorted(random.integers(0, n + 1, 2).tolist())) for n in values.shape)
        expected = np.ascontiguousarray(values[slices(block)])
        assert same(source.read("x", block), expected)
        out = np.empty(expected.shape, "f4")
        assert source.read("x", block, out) is out
        assert same(out, expected)


def test_any_memory_is_written_as_its_values(container: str, tmp_path: Path) -> None:
    base = np.arange(24, dtype="f4").reshape(4, 6)
    tensors = {
        "fortran": np.asfortranarray(base),
        "strided": base[::2, ::3],
        "backwards": base[::-1, ::-1],
        "broadcast": np.broadcast_to(base[0], (3, 6)),
        "big": base.astype(">f4"),
    }
    source = Memory({name: array(x).numpy() for name, x in tensors.items()})
    lazy = {name: array(x) for name, x in tensors.items()}
    path = tmp_path / f"x{suffix(container)}"
    sink = create_sink(container, str(path), Order({n: x.spec for n, x in lazy.items()}))
    for _ in engine.execute(Plan(lazy, {"s": source}), sink):
        pass
    sink.commit()
    found = open_source(str(path))
    for name, values in tensors.items():
        assert np.array_equal(values_of(found, name), values), name
        assert values_of(found, name).dtype == np.dtype("f4")


NAMES = ["a", "A", "ä", "a\u0308", "a b", "a.b/c", "x" * 10_000, "..", "../../escape", "/abs",
         "\x1b[31m", "a\nb", "data.pkl", "😀", "-", "a\\b", "__proto__"]  # fmt: skip


def test_names_make_the_round_trip_or_are_refused(container: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    tensors = {name: np.full((2,), i, "f4") for i, name in enumerate(NAMES)}
    source = saved(container, folder / f"x{suffix(container)}", tensors)
    for name, values in tensors.items():
        assert same(values_of(source, name), values), repr(name[:20])
    assert [p.name for p in tmp_path.rglob("*")] == ["inside", f"x{suffix(container)}"]


def test_what_it_cannot_hold_is_refused_at_once(container: str, tmp_path: Path) -> None:
    carries = module_of(container).CARRIES
    tensors = {"a\ud800": np.zeros(1), **{name: np.zeros(1) for name in carries.reserved}}
    expected = len(tensors)
    if "complex128" not in carries.dtypes:
        tensors["c"] = np.zeros(1, "c16")
        expected += 1
    source = Memory(tensors)
    plan = Plan(dict(Checkpoint(source, {}, None, "")), {"s": source}, Target("x", container))
    with pytest.raises(PlanError) as caught:
        carried(plan)
    assert len(caught.value.problems) == expected
    assert str(caught.value).replace("\n", "").isprintable()


def test_no_tensors_are_a_checkpoint_too(container: str, tmp_path: Path) -> None:
    assert saved(container, tmp_path / f"x{suffix(container)}", {}).specs == {}


def test_metadata_is_carried(container: str, tmp_path: Path) -> None:
    metadata = {"weightsurgeon.version": "1", "author": 'é " \\ \n', "long": "x" * 10**6}
    path = tmp_path / f"x{suffix(container)}"
    source = saved(container, path, {"a": np.zeros(2)}, metadata=metadata)
    for key, text in metadata.items():
        assert source.metadata[key] == text


def test_content_decides_and_not_the_suffix(container: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix(container)}"
    saved(container, path, {"a": np.zeros(2)}).close()
    for name in ("noext", "x.h5" if container != "keras-h5" else "x.pt"):
        other = tmp_path / name
        other.write_bytes(path.read_bytes())
        source = open_source(str(other))
        assert source.container == container
        assert bool(source.remarks) is (name != "noext")


def plan_of(container: str, source: Source, path: Path) -> Plan:
    x = Checkpoint(source, {}, None, "")
    outputs = {name: permute(e, (1, 0)) if name.endswith("2") else e for name, e in x.items()}
    return Plan(outputs, {"s": source}, Target(str(path), container))


def test_the_same_plan_gives_the_same_bytes(
    container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = saved(container, tmp_path / f"in{suffix(container)}", every_dtype(container))
    first, second = (tmp_path / name for name in (f"a{suffix(container)}", f"b{suffix(container)}"))
    write(plan_of(container, source, first))
    monkeypatch.setattr(engine, "SCRATCH_BYTES", 16)
    monkeypatch.setattr(engine, "PIECE_BYTES", 8)
    monkeypatch.chdir(tmp_path)
    write(plan_of(container, source, second))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("link", ["itself", "symlink", "hard link"])
def test_the_output_may_be_the_input(container: str, tmp_path: Path, link: str) -> None:
    path, out = tmp_path / f"x{suffix(container)}", tmp_path / f"y{suffix(container)}"
    tensors = {"a.1": noise((6, 4), "float32"), "a.2": noise((6, 4), "int16")}
    source = saved(container, path, tensors)
    if link == "symlink":
        out.symlink_to(path)
    elif link == "hard link":
        out.hardlink_to(path)
    else:
        out = path
    write(plan_of(container, source, out))
    found = open_source(str(out))
    assert same(values_of(found, "a.1"), tensors["a.1"])
    assert same(values_of(found, "a.2"), np.ascontiguousarray(tensors["a.2"].T))


def test_opening_reads_headers_only(
    container: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = {f"t{i}": np.zeros((512, 512), "f4") for i in range(8)}
    path = tmp_path / f"x{suffix(container)}"
    saved(container, path, tensors).close()
    preadv, read = os.preadv, list[int]()

    def counted(fd: int, views: Any, offset: int) -> int:
        got = preadv(fd, views, offset)
        read.append(got)
        return got

    monkeypatch.setattr(os, "preadv", counted)
    source = open_source(str(path))
    assert 0 < sum(read) <= 2 * 64 * 1024
    read.clear()
    x = Checkpoint(source, {}, None, "")["t3"]
    evaluate(x, ((1, 3), (0, 512)))
    assert sum(read) <= 2 * 512 * 4 + 64


def test_every_prefix_is_one_error(container: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix(container)}"
    saved(container, path, {"a": np.arange(3.0), "b": np.ones((2, 2), "i1")}).close()
    content = path.read_bytes()
    step = max(1, len(content) // 150)
    for at in range(0, len(content), step):
        path.write_bytes(content[:at])
        with pytest.raises(FormatError) as caught:
            open_source(str(path))
        assert str(caught.value).isprintable()


def test_a_byte_changed_is_a_value_or_one_error(container: str, tmp_path: Path) -> None:
    path = tmp_path / f"x{suffix(container)}"
    saved(container, path, {"a": np.arange(3.0), "b": np.ones((2, 2), "i1")}).close()
    content = bytearray(path.read_bytes())
    random = np.random.default_rng(3)
    outcomes = set[bool]()
    for at in random.integers(0, len(content), 150).tolist():
        before, content[at] = content[at], int(random.integers(0, 256))
        path.write_bytes(content)
        content[at] = before
        try:
            source = open_source(str(path))
            for name in source.specs:
                values_of(source, name)
        except FormatError:
            outcomes.add(False)
        else:
            outcomes.add(True)
    path.write_bytes(content)
    assert same(values_of(open_source(str(path)), "a"), np.arange(3.0))
    assert False in outcomes
