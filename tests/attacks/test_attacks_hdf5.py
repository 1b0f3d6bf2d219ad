"""Hostile HDF5 and Keras files, each beside a harmless twin: no other file, bounded work."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest
from memory import peak_kib

from weightsurgeon.errors import (
    BrokenFile,
    FormatError,
    LimitExceeded,
    RefusedFile,
    SurgeryError,
    UnsupportedFile,
)
from weightsurgeon.expr import whole
from weightsurgeon.formats import open_source

PLACE = "layers/dense/vars/0"
KERNEL = np.arange(6, dtype="f4").reshape(2, 3)
Fill = Callable[[Any], Any]


class Attack(NamedTuple):
    """What is put into a file, the refusal it must meet, and the twin that must open."""

    hostile: Fill
    error: type[FormatError]
    words: str
    twin: Fill


def harmless(file: Any) -> None:
    file[PLACE] = KERNEL


def virtual(file: Any) -> None:
    layout = h5py.VirtualLayout((2, 3), "f4")
    layout[:] = h5py.VirtualSource("canary.h5", "x", (2, 3))
    file.create_virtual_dataset(PLACE, layout)


def filtered(code: int) -> Fill:
    def fill(file: Any) -> None:
        create = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        create.set_chunk((2, 3))
        create.set_filter(code, h5py.h5z.FLAG_OPTIONAL, (0,))
        space = h5py.h5s.create_simple((2, 3))
        made = h5py.h5d.create(file.id, b"w", h5py.h5t.IEEE_F32LE, space, create)
        made.write(h5py.h5s.ALL, h5py.h5s.ALL, KERNEL)
        h5py.Group(file.id).move("w", PLACE)

    return fill


def named(value: Any) -> Fill:
    def fill(file: Any) -> None:
        harmless(file)
        file["layers/dense/vars"].attrs["name"] = value

    return fill


def deep(levels: int) -> Fill:
    def fill(file: Any) -> None:
        harmless(file)
        for _ in range(levels):
            file = file.create_group("a")

    return fill


def dataset(**options: Any) -> Fill:
    return lambda file: file.create_dataset(PLACE, **options)


GZIP = dataset(data=KERNEL, compression="gzip")
ATTACKS = {
    "an external link": Attack(
        lambda f: f.update({PLACE: h5py.ExternalLink("canary.h5", "x")}),
        RefusedFile, "link into another file",
        lambda f: f.update({PLACE: KERNEL, "layers/x": h5py.SoftLink("/nowhere")})),
    "a virtual dataset": Attack(virtual, RefusedFile, "virtual", harmless),
    "external storage": Attack(
        dataset(shape=(2, 3), dtype="f4", external=[("canary.raw", 0, 24)]),
        RefusedFile, "data in another file", harmless),
    "a filter that is a plugin": Attack(filtered(305), RefusedFile, "filter 305", filtered(1)),
    "a huge chunk": Attack(
        dataset(shape=(2**29,), dtype="f4", chunks=(2**27,)),
        LimitExceeded, "chunk_bytes=536870912", GZIP),
    "huge dims in a tiny file": Attack(
        dataset(shape=(2**40, 2**10), dtype="f4", chunks=(64, 64)),
        LimitExceeded, "expansion",
        dataset(data=KERNEL, maxshape=(None, None), chunks=(64, 64))),
    "dims beyond what can be addressed": Attack(
        dataset(shape=(2**40, 2**40), dtype="f4", chunks=(64, 64)), SurgeryError, "address", GZIP),  # type: ignore[arg-type]
    "groups nested too deeply": Attack(deep(4200), LimitExceeded, "nested", deep(50)),
    "object references": Attack(
        dataset(shape=(1,), dtype=h5py.ref_dtype), UnsupportedFile, "no tensor", harmless),
    "variable-length strings": Attack(
        dataset(data=["a", "bc"]), UnsupportedFile, "no tensor", harmless),
    "a compound that is no complex": Attack(
        dataset(shape=(1,), dtype=[("a", "f4"), ("b", "f8")]), UnsupportedFile, "no tensor",
        dataset(data=np.ones((2, 3), "c8"))),
    "an enum that is no bool": Attack(
        dataset(data=[0, 1], dtype=h5py.enum_dtype({"A": 0, "B": 1})), UnsupportedFile, "no tensor",
        dataset(data=np.ones((2, 3), "?"))),
    "two bytes of unknown dtype": Attack(
        dataset(data=np.zeros((2, 3), "V2")), UnsupportedFile, "unknown dtype",
        dataset(data=np.zeros((2, 3), "f2"))),
    "a null dataspace": Attack(
        lambda f: f.update({PLACE: h5py.Empty("f4")}), UnsupportedFile, "dataspace",
        dataset(shape=(0, 3), dtype="f4")),
    "a named type": Attack(
        lambda f: f.update({"t": np.dtype("f4")}), UnsupportedFile, "named type", harmless),
    "a name that is a number": Attack(named(3), BrokenFile, "no text", named("fc")),
}  # fmt: skip


def write(path: Path, fill: Fill) -> Path:
    with h5py.File(path, "w") as file:
        fill(file)
    return path


@pytest.mark.parametrize("case", ATTACKS)
def test_an_attack_is_refused_and_its_twin_opens(
    tmp_path: Path, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = ATTACKS[case]
    monkeypatch.chdir(tmp_path)  # where a canary would be found
    write(tmp_path / "canary.h5", lambda f: f.update(x=KERNEL))
    (tmp_path / "canary.raw").write_bytes(bytes(24))
    start = time.monotonic()
    with pytest.raises(attack.error, match=attack.words) as caught:
        open_source(str(write(tmp_path / "x.weights.h5", attack.hostile)))
    assert time.monotonic() - start < 5
    assert "\n" not in str(caught.value)
    twin = open_source(str(write(tmp_path / "twin.weights.h5", attack.twin)))
    for name, spec in twin.specs.items():
        twin.read(name, whole(spec))
    assert len(twin.specs) == 1


def test_a_soft_link_is_said_and_not_followed(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        harmless(file)
        file["layers/dense_1/vars/0"] = h5py.SoftLink(f"/{PLACE}")

    source = open_source(str(write(tmp_path / "x.weights.h5", fill)))
    assert list(source.specs) == ["layers/dense/kernel"]
    assert any("soft link" in remark for remark in source.remarks)


def test_cycles_and_many_paths_are_walked_once(tmp_path: Path) -> None:
    def fill(file: Any) -> None:
        groups = [file.create_group(f"g{i}") for i in range(41)]
        for above, below in pairwise(groups):
            above["l"], above["r"] = below, below
        groups[-1]["back"] = file["/"]
        harmless(file)

    start = time.monotonic()
    source = open_source(str(write(tmp_path / "x.weights.h5", fill)))
    assert time.monotonic() - start < 2
    assert list(source.specs) == ["layers/dense/kernel"]
    assert any("81 second names" in remark for remark in source.remarks)


def test_datasets_that_share_bytes_are_refused(tmp_path: Path) -> None:
    data = bytearray(
        write(tmp_path / "x.weights.h5", lambda f: f.update(a=KERNEL, b=KERNEL)).read_bytes()
    )
    with h5py.File(tmp_path / "x.weights.h5") as file:
        first, second = (file[n].id.get_offset().to_bytes(8, "little") for n in "ab")
    assert data.count(second) == 1
    (tmp_path / "y.weights.h5").write_bytes(data.replace(second, first))
    with pytest.raises(BrokenFile, match="shares bytes"):
        open_source(str(tmp_path / "y.weights.h5"))


def test_a_heap_whose_object_is_too_long_is_refused(tmp_path: Path) -> None:
    """libhdf5 1.14.6 loops for ever on it."""
    data = bytearray(write(tmp_path / "x.weights.h5", named("fc")).read_bytes())
    at = data.index(b"GCOL") + 16 + 24 + 8  # the length of the free rest, behind "fc"
    data[at : at + 2] = (0x2700).to_bytes(2, "little")
    (tmp_path / "y.weights.h5").write_bytes(data)
    start = time.monotonic()
    with pytest.raises(BrokenFile, match="heap"):
        open_source(str(tmp_path / "y.weights.h5"))
    assert time.monotonic() - start < 2


def test_every_prefix_ends_in_an_error(tmp_path: Path) -> None:
    data = write(tmp_path / "x.weights.h5", harmless).read_bytes()
    path = tmp_path / "cut.weights.h5"
    for size in range(1, len(data), 61):
        path.write_bytes(data[:size])
        with pytest.raises(FormatError):
            open_source(str(path))


def test_changed_bytes_end_in_values_or_an_error(tmp_path: Path) -> None:
    """In a child: libhdf5 promises nothing about memory on damaged files."""
    write(tmp_path / "x.weights.h5", named("fc"))
    code = """if True:
        import sys
        from weightsurgeon.errors import SurgeryError
        from weightsurgeon.expr import whole
        from weightsurgeon.formats import open_source
        data, path = open(sys.argv[1], "rb").read(), sys.argv[2]
        for at in range(0, len(data), 7):
            changed = bytearray(data)
            changed[at] ^= 0xFF
            open(path, "wb").write(changed)
            try:
                source = open_source(path)
                for name, spec in source.specs.items():
                    source.read(name, whole(spec))
            except SurgeryError as error:
                assert chr(10) not in str(error)
        """
    argv = [sys.executable, "-c", code, str(tmp_path / "x.weights.h5"), str(tmp_path / "y")]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


# -- .keras ----------------------------------------------------------------------------------

CONFIG = {"class_name": "Sequential", "config": {"name": "m", "layers": [
    {"class_name": "Dense", "config": {"name": "fc", "use_bias": False}}]}}  # fmt: skip


def weights() -> bytes:
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        harmless(file)
    return held.getvalue()


def keras_file(path: Path, **members: bytes | None) -> Path:
    whole_file: dict[str, bytes | None] = {
        "metadata.json": b"{}",
        "config.json": json.dumps(CONFIG).encode(),
        "model.weights.h5": weights(),
        **{name.replace("__", "."): data for name, data in members.items()},
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in whole_file.items():
            if data is not None:
                archive.writestr(name, data)
    return path


def test_the_harmless_keras_file_opens(tmp_path: Path) -> None:
    source = open_source(str(keras_file(tmp_path / "x.keras")))
    assert list(source.specs) == ["fc/kernel"]
    assert source.read("fc/kernel", whole(source.specs["fc/kernel"])).tolist() == KERNEL.tolist()


NESTED = b'{"class_name": "X", "config": {"name": "x", "layer": ' * 5000 + b"1" + b"}}" * 5000
TWICE = b'{"class_name": "X", "class_name": "Y", "config": {}}'


@pytest.mark.parametrize(
    ("members", "error", "words"),
    [
        ({"config__json": NESTED}, LimitExceeded, "nested"),
        ({"config__json": TWICE}, BrokenFile, "stands twice"),
        ({"config__json": b"[]"}, BrokenFile, "no config"),
        ({"config__json": b"{"}, BrokenFile, "no sound JSON"),
        ({"config__json": b"[" + b"[]," * 3_000_000 + b"[]]"}, LimitExceeded, "entries"),
        ({"config__json": None}, BrokenFile, "no Keras file"),
        ({"model__weights__h5": None}, BrokenFile, "no weights"),
        ({"model__weights__h5": b"x" * 600}, BrokenFile, "no sound HDF5"),
        ({"model__weights__npz": b"x"}, BrokenFile, "several members of weights"),
        ({"model__weights__h5": None, "model__weights__npz": b"x"}, UnsupportedFile, "npz"),
        ({"weightsurgeon__json": b'{"a": 1}'}, BrokenFile, "map of strings"),
    ],
)
def test_hostile_members_are_refused(
    tmp_path: Path, members: dict[str, Any], error: type[FormatError], words: str
) -> None:
    with pytest.raises(error, match=words):
        open_source(str(keras_file(tmp_path / "x.keras", **members)))


def test_a_config_runs_nothing(tmp_path: Path) -> None:
    code = {"module": "os", "class_name": "system", "config": {"name": "touch here"}}
    config = {"class_name": "Sequential", "config": {"name": "m", "layers": [code]}}
    path = keras_file(tmp_path / "x.keras", config__json=json.dumps(config).encode())
    script = (
        "import sys; from weightsurgeon.formats import open_source; open_source(sys.argv[1]);"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax'} & sys.modules.keys()))"
    )
    argv = [sys.executable, "-c", script, str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "[]"
    assert [p.name for p in tmp_path.iterdir()] == ["x.keras"]


@pytest.mark.parametrize("case", ["a huge chunk", "huge dims in a tiny file"])
def test_refusals_take_little_memory(tmp_path: Path, case: str) -> None:
    path = write(tmp_path / "x.weights.h5", ATTACKS[case].hostile)
    rise = peak_kib(
        "try: open_source(sys.argv[1])\nexcept LimitExceeded: pass\nelse: raise SystemExit(1)",
        str(path),
        setup="import h5py\nfrom weightsurgeon.errors import LimitExceeded\n"
        "from weightsurgeon.formats import open_source",
    )
    assert rise < 100 * 1024
