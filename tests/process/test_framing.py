"""Frames: what was sent comes out, however it was cut; anything else is one error."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asynctune._runner.framing import CAP, Frames, Line, frame
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.orders import FromSearch, Hello
from asynctune.errors import WireError
from asynctune.messages import FromRunner
from asynctune.wire import decode


@given(st.lists(st.binary(max_size=200), max_size=20), st.lists(st.integers(1, 50), max_size=200))
def test_cut_anywhere(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(map(frame, bodies))
    frames, out = Frames(), []
    for cut in cuts:
        out += frames.feed(stream[:cut])
        stream = stream[cut:]
    out += frames.feed(stream)

    assert out == bodies
    assert not frames.torn


@given(st.binary(min_size=1, max_size=100))
def test_cut_short(body: bytes) -> None:
    frames = Frames()

    assert frames.feed(frame(body)[:-1]) == []
    assert frames.torn
    assert frames.feed(frame(body)[-1:]) == [body]


@given(st.binary(max_size=300), st.lists(st.integers(1, 50), max_size=10))
def test_anything_else_is_one_error(stream: bytes, cuts: list[int]) -> None:
    frames = Frames()
    try:
        for cut in [*cuts, len(stream)]:
            for body in frames.feed(stream[:cut]):
                for kind in (FromRunner, FromSearch, Hello):
                    with pytest.raises(WireError):
                        decode(body, kind)
            stream = stream[cut:]
    except WireError:
        return


@pytest.mark.parametrize("length", [CAP + 1, 2**32 - 1])
@pytest.mark.fault(19)
def test_a_length_over_the_cap_is_refused_at_once(length: int) -> None:
    with pytest.raises(WireError, match="over the limit"):
        Frames().feed(struct.pack(">I", length))


def test_the_cap_itself_passes() -> None:
    body = bytes(CAP)

    assert Frames().feed(frame(body)) == [body]
    with pytest.raises(WireError, match="over the limit"):
        frame(body + b"x")


def pair() -> tuple[Line, Line]:
    ours, theirs = socket.socketpair()
    return Line(ours.detach()), Line(theirs.detach())


def test_a_line() -> None:
    line, other = pair()

    assert line.receive_nowait() is None
    other.send(b"one", b"", b"three")
    assert [line.receive(), line.receive(), line.receive_nowait(), line.receive_nowait()] == [b"one", b"", b"three", None]
    with pytest.raises(WireError):
        line.send(b"fine", bytes(CAP + 1))
    assert other.receive_nowait() is None
    other._channel.close()
    with pytest.raises(EOFError):
        line.receive()
    with pytest.raises(EOFError):
        line.receive_nowait()
    with pytest.raises(BrokenPipeError):
        line.send(b"too late")
    line._channel.close()


def test_a_line_that_was_reset() -> None:
    line, other = pair()
    line.send(b"unread")
    other._channel.close()

    with pytest.raises(EOFError):
        line.receive()
    line._channel.close()


def test_a_line_does_not_write_into_a_file(tmp_path: Path) -> None:
    # The trial has closed every descriptor, and a file of its own has got our number.
    line, other = pair()
    file = os.open(tmp_path / "data", os.O_RDWR | os.O_CREAT)
    os.dup2(file, line.fileno())

    with pytest.raises(OSError, match="non-socket"):
        line.send(b"not for you")
    assert os.pread(file, 10, 0) == b""
    os.close(file)
    line._channel.close()
    other._channel.close()


def test_a_mailbox_waits_for_nobody_who_does_not_read() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        mailbox = Mailbox(ours)
        bodies = [b"%d" % number * 100 for number in range(5000)]
        for body in bodies:
            mailbox.post(body)
        assert mailbox.is_behind
        frames, heard = Frames(), list[bytes]()
        while len(heard) < len(bodies):
            heard += frames.feed(theirs.recv(65536))
            mailbox.catch_up()
        assert heard == bodies
        assert not mailbox.is_behind
    ours.close()
