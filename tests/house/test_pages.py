"""The pages of the documentation: every program in them is run, and is not wider than its column."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.run_blocks import blocks
from tests.house.source import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCED = re.compile(r"^```[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
COLUMNS = 88


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_block_is_run(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert len(list(blocks(page))) == len(re.findall(r"^ *```python", text, re.MULTILINE)), "mark it <!-- runnable -->"


@pytest.mark.parametrize("page", PAGES[1:], ids=lambda page: str(page.relative_to(ROOT)))
def test_no_line_of_code_is_wider_than_its_column(page: Path) -> None:
    code = [match["code"] for match in FENCED.finditer(page.read_text(encoding="utf-8"))]
    assert [line for block in code for line in block.splitlines() if len(line) > COLUMNS] == []


def test_what_a_page_does_not_show_runs_before_what_it_shows(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- runnable, after\nx = 1\n-->\n```python\nprint(x)\n```\n", encoding="utf-8")
    assert list(blocks(page)) == [(f"{page}:5", "x = 1\nprint(x)\n")]


def test_a_block_that_awaits_is_run_in_a_loop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- runnable -->\n```python\nawait asyncio.sleep(0)\nprint('done')\n```\n", encoding="utf-8")
    [(_, program)] = blocks(page)
    exec(program, {})  # noqa: S102 -- written a line above
    assert capsys.readouterr().out == "done\n"
