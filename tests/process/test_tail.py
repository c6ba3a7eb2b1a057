"""The end of a log, as it is shown."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from asynctune._engine.tail import tail_of


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"", ""),
        (b"one\ntwo\n", "one\ntwo"),
        (b"\n\none\n\ntwo\n\n", "one\n\ntwo"),
        (b"no end", "no end"),
        (b" 10%|#  \r 50%|## \r100%|###\n", "100%|###"),
        (b"windows\r\nends\r\n", "windows\nends"),
        (b"\x1b[31mred\x1b[0m \x1b]0;title\x07\x1b(Bplain", "red Bplain"),
        (b"a\x00b\x07\ttab", "a?b?    tab"),
        ("é…".encode()[:-1], "é\ufffd"),
    ],
)
def test_as_a_terminal_would_leave_it(written: bytes, shown: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(written)
    assert tail_of(path) == shown


def test_of_a_long_one_the_last_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("".join(f"line {number}\n" for number in range(10_000)))
    lines = tail_of(path).splitlines()
    assert lines[-1] == "line 9999"
    assert lines == [f"line {number}" for number in range(10_000 - len(lines), 10_000)]
    assert 1900 < sum(len(line) + 1 for line in lines) <= 2000
    path.write_text("x" * 10_000)
    assert tail_of(path) == "x" * 2000


def test_what_is_no_log_has_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("secret")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
    for name in ("link", "pipe", "socket", "none", "none/none"):
        assert tail_of(tmp_path / name) == ""
    assert tail_of(tmp_path) == ""
