"""Nothing in the project knows the machine on which it was written."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.source import ROOT, project_files

# Built from pieces, so that this file may be read by its own rule. /dev, /proc, /usr and /bin are the same everywhere.
FOLDERS = ("Users", "home", "mnt", "opt", "private", "root", "srv", "tmp", "work", "workspace")
MACHINE_PATH = re.compile(r"(?<![\w.~})\]-])/(?:" + "|".join(FOLDERS) + r")(?:/|\b(?=[\"'`\s),;:]|$))")


@pytest.mark.parametrize("path", project_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_machine_path(path: Path) -> None:
    text = path.read_text(encoding="utf-8", errors="replace")  # a journal has text in it, too
    lines = [f"{number}: {line.strip()}" for number, line in enumerate(text.splitlines(), 1) if MACHINE_PATH.search(line)]

    assert lines == []


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_rule_sees_such_a_path(folder: str) -> None:
    assert MACHINE_PATH.search(f'open("/{folder}/anybody/file")')
    assert MACHINE_PATH.search(f"cd /{folder}\n")


@pytest.mark.parametrize("text", ["runs/mnist", "tests/process", "a/home/b", "docs/work/x", "ratio a/tmp"])
def test_the_rule_lets_relative_paths_pass(text: str) -> None:
    assert not MACHINE_PATH.search(text)
