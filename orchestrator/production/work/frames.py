"""Frames: a JSON header and an optional blob, in a file or on a socket.

::

    magic (4) | length of header (4) | length of blob (8) | CRC-32 of the header (4) | CRC-32 of the blob (4)
    header (JSON, UTF-8) | blob

All numbers are little-endian. The checksum of the header covers the lengths too, so that a reader that skips blobs
never follows a wrong length.
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "MAGIC",
    "PREFIX_SIZE",
    "DamagedFrameError",
    "Prefix",
    "arrays_of",
    "blob_of",
    "encode",
    "header_of",
    "read_prefix",
]

Arrays = Mapping[str, NDArray[Any]]

MAGIC = b"GOF1"
_PREFIX = struct.Struct("<4sIQII")
PREFIX_SIZE = _PREFIX.size
"""Bytes before the header."""
_LONGEST_HEADER = 1 << 28


class DamagedFrameError(ValueError):
    """Bytes that are no frame, or not the one that was written."""


class Prefix:
    """The lengths and checksums that a frame begins with.

    Attributes
    ----------
    header, blob : int
        Lengths in bytes.
    """

    __slots__ = ("_check", "_lengths", "blob", "blob_check", "header")

    def __init__(self, data: bytes) -> None:
        magic, self.header, self.blob, self._check, self.blob_check = _PREFIX.unpack(data)
        if magic != MAGIC or self.header > _LONGEST_HEADER:
            msg = f"expected a frame, which begins with {MAGIC!r}; found {data[:8]!r}"
            raise DamagedFrameError(msg)
        self._lengths = data[4:16]

    @property
    def size(self) -> int:
        """Length of the whole frame, this prefix included."""
        return PREFIX_SIZE + self.header + self.blob

    def check_header(self, header: bytes) -> None:
        """Raise DamagedFrameError if the header is not the one that was written."""
        if zlib.crc32(header, zlib.crc32(self._lengths)) != self._check:
            msg = f"the checksum of a header of {self.header} bytes does not fit"
            raise DamagedFrameError(msg)

    def check_blob(self, blob: bytes) -> None:
        """Raise DamagedFrameError if the blob is not the one that was written."""
        if zlib.crc32(blob) != self.blob_check:
            msg = f"the checksum of a blob of {self.blob} bytes does not fit"
            raise DamagedFrameError(msg)


def read_prefix(data: bytes) -> Prefix:
    """Return the prefix of a frame.

    Raises
    ------
    DamagedFrameError
        If the bytes are none.
    """
    return Prefix(data)


def encode(header: Mapping[str, Any], blob: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    lengths = struct.pack("<IQ", len(text), len(blob))
    check = zlib.crc32(text, zlib.crc32(lengths))
    return b"".join((MAGIC, lengths, struct.pack("<II", check, zlib.crc32(blob) if blob else 0), text, blob))


def header_of(prefix: Prefix, data: bytes) -> dict[str, Any]:
    """Return the header of a frame, checked.

    Raises
    ------
    DamagedFrameError
        If it is not what was written.
    """
    prefix.check_header(data)
    header: dict[str, Any] = json.loads(data)
    return header


def blob_of(arrays: Arrays) -> bytes:
    """Return arrays as an npz file in memory; no bytes for no arrays."""
    if not arrays:
        return b""
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def arrays_of(blob: bytes) -> dict[str, NDArray[Any]]:
    """Return the arrays of `blob_of`; nothing in them is executed."""
    if not blob:
        return {}
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}
