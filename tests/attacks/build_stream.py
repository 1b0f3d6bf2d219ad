"""Streams of torch before 1.6 by hand, every part settable: what no honest writer would make."""

from __future__ import annotations

from collections.abc import Sequence

from attacks.build_zip import number, state, tensor, text

MAGIC = 0x1950A86A20F9469CFC6C
DATA = bytes(range(24))


def old(opcodes: bytes, view: bytes = b"N") -> bytes:
    """The opcodes of a tensor with the sixth item that persistent ids had then."""
    return opcodes.replace(b"tQ", view + b"tQ", 1)


def pickled(body: bytes) -> bytes:
    """A pickle of these opcodes."""
    return b"\x80\x02" + body + b"."


def listed(*keys: str) -> bytes:
    """The pickle of a list of keys."""
    return pickled(b"](" + b"".join(map(text, keys)) + b"e")


def little(flag: bytes = b"\x88") -> bytes:
    """The pickle of what is said about the machine."""
    return pickled(b"}" + text("little_endian") + flag + b"s")


def run(data: bytes = DATA, numel: int = 6) -> bytes:
    """The bytes of a storage, with their count before them."""
    return numel.to_bytes(8, "little", signed=True) + data


def build_stream(
    value: bytes | None = None,
    *,
    magic: bytes | None = None,
    version: bytes | None = None,
    system: bytes | None = None,
    keys: bytes | None = None,
    runs: Sequence[bytes] = (run(),),
    suffix: bytes = b"",
) -> bytes:
    """A stream of one storage of 24 bytes; None is what an honest writer would put there."""
    pickles = (
        pickled(number(MAGIC)) if magic is None else magic,
        pickled(number(1001)) if version is None else version,
        little() if system is None else system,
        state(("w", old(tensor()))) if value is None else value,
        listed("0") if keys is None else keys,
    )
    return b"".join(pickles) + b"".join(runs) + suffix
