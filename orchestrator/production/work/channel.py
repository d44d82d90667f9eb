"""Frames over a socket between a worker and its fitter."""

from __future__ import annotations

import select
import socket
from collections.abc import Mapping
from typing import Any

from orchestrator.production.work.frames import PREFIX_SIZE, encode, header_of, read_prefix

__all__ = ["Channel", "ChannelClosedError"]

_AT_ONCE = 1 << 18


class ChannelClosedError(Exception):
    """The other side is gone."""


class Channel:
    """One end of the connection.

    Parameters
    ----------
    link : socket.socket
    """

    def __init__(self, link: socket.socket) -> None:
        self.link = link
        self._buffer = bytearray()
        self._poll = select.poll()
        self._poll.register(link, select.POLLIN)

    def send(self, header: Mapping[str, Any], blob: bytes = b"") -> None:
        """Send a frame.

        Raises
        ------
        ChannelClosedError
            If nobody takes it.
        """
        try:
            self.link.sendall(encode(header, blob))
        except OSError as error:
            raise ChannelClosedError from error

    def receive(self, seconds: float | None = None) -> tuple[dict[str, Any], bytes] | None:
        """Return the next frame; None if there is none within this time.

        Raises
        ------
        ChannelClosedError
            If the other side has gone, and all that it sent was received.
        """
        while True:
            frame = self._whole()
            if frame is not None:
                return frame
            if seconds is not None and not self._poll.poll(max(0, int(seconds * 1000))):
                return None
            try:
                data = self.link.recv(_AT_ONCE)
            except ConnectionError as error:
                raise ChannelClosedError from error
            if not data:
                raise ChannelClosedError
            self._buffer += data

    def _whole(self) -> tuple[dict[str, Any], bytes] | None:
        """Take a frame off the buffer, if one is there as a whole."""
        if len(self._buffer) < PREFIX_SIZE:
            return None
        prefix = read_prefix(bytes(self._buffer[:PREFIX_SIZE]))
        if len(self._buffer) < prefix.size:
            return None
        end = PREFIX_SIZE + prefix.header
        header = header_of(prefix, bytes(self._buffer[PREFIX_SIZE:end]))
        blob = bytes(self._buffer[end : prefix.size])
        del self._buffer[: prefix.size]
        return header, blob

    def close(self) -> None:
        """Close this end."""
        self.link.close()
