"""Zip archives and pickles by hand, every field settable: what no honest writer would make."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

LOCAL = struct.Struct("<4s5H3I2H")
CENTRAL = struct.Struct("<4s6H3I5H2I")
END = struct.Struct("<4s4H2IH")


@dataclass
class Fake:
    """A member. What is None is what an honest writer would put there."""

    name: str
    data: bytes
    method: int = 0
    flags: int = 0x0800
    local_name: str | None = None
    local_method: int | None = None
    local_size: int | None = None
    size: int | None = None
    stored: int | None = None
    crc: int | None = None
    at: int | None = None
    extra: bytes = b""
    disk: int = 0


def build_zip(
    members: Sequence[Fake],
    *,
    prefix: bytes = b"",
    suffix: bytes = b"",
    count: int | None = None,
    comment: int = 0,
    shift: int = 0,
) -> bytes:
    """The archive; `shift` is added to the offset of the directory in the end record."""
    body, directory = prefix, b""
    for m in members:
        data = zlib.compress(m.data, 9, -15) if m.method == 8 else m.data
        stored = len(data) if m.stored is None else m.stored
        crc = zlib.crc32(m.data) if m.crc is None else m.crc
        size = len(m.data) if m.size is None else m.size
        name, local = m.name.encode(), (m.local_name or m.name).encode()
        start = len(body) if m.at is None else m.at
        method = m.method if m.local_method is None else m.local_method
        told = size if m.local_size is None else m.local_size
        numbers = (crc, stored, told, len(local), 0)
        body += LOCAL.pack(b"PK\3\4", 20, m.flags, method, 0, 33, *numbers) + local + data
        sizes = (crc, stored, size, len(name), len(m.extra), 0, m.disk, 0, 0, start)
        directory += CENTRAL.pack(b"PK\1\2", 20, 20, m.flags, m.method, 0, 33, *sizes)
        directory += name + m.extra
    entries = len(members) if count is None else count
    begin = len(body) + shift
    end = END.pack(b"PK\5\6", 0, 0, entries, entries, len(directory), begin, comment)
    return body + directory + end + suffix


def text(value: str) -> bytes:
    """The opcode that pushes a string."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """The opcode that pushes a whole number."""
    data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(data)]) + data


def numbers(*values: int) -> bytes:
    """The opcodes that push a tuple of numbers."""
    return b"(" + b"".join(map(number, values)) + b"t"


def tensor(
    key: str = "0",
    numel: int = 6,
    offset: int = 0,
    shape: Sequence[int] = (2, 3),
    strides: Sequence[int] = (3, 1),
    kind: str = "FloatStorage",
    metadata: bytes = b"",
) -> bytes:
    """The opcodes of a tensor, as torch writes them."""
    storage = b"(" + text("storage") + b"ctorch\n" + kind.encode() + b"\n" + text(key)
    storage += text("cpu") + number(numel) + b"tQ"
    view = number(offset) + numbers(*shape) + numbers(*strides) + b"\x89"
    hooks = b"ccollections\nOrderedDict\n)R"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + view + hooks + metadata + b"tR"


def state(*pairs: tuple[str, bytes]) -> bytes:
    """A pickle of a dict of what the opcodes make."""
    return b"\x80\x02}(" + b"".join(text(name) + value for name, value in pairs) + b"u."


def build_pt(
    pickle: bytes | None = None, *, data: bytes = bytes(range(24)), method: int = 0
) -> bytes:
    """A `.pt` of one storage of 24 bytes, with this pickle."""
    members = [
        Fake("x/data.pkl", state(("w", tensor())) if pickle is None else pickle, method),
        Fake("x/data/0", data, method),
        Fake("x/version", b"3\n"),
    ]
    return build_zip(members)
