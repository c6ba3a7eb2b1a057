"""Runs the examples in Markdown pages: each Python block that follows a comment `<!-- runnable -->`.

`python docs/run_blocks.py README.md docs`. Every block is a program of its own, run in an empty directory. What a page does not
show, because it would only be in the way, stands in the comment, on lines of its own:

    <!-- runnable, after
    import asynctune as at
    -->

A block that awaits outside of a function is run inside one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Block", "blocks"]

SECONDS = 300
RUNNABLE = re.compile(
    r"^<!-- runnable(?:, after\n(?P<before>.*?))? ?-->\n```python[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)

Block = tuple[str, str]


def blocks(path: Path) -> Iterator[Block]:
    """Where each runnable block of a page starts, and the program that it is."""
    text = path.read_text(encoding="utf-8")
    for match in RUNNABLE.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        yield f"{path}:{line}", _program(match["before"] or "", match["code"])


def _program(before: str, code: str) -> str:
    try:
        compile(code, "block", "exec")
    except SyntaxError:
        inside = textwrap.indent(code, "    ")
        return f"import asyncio\n{before}\nasync def main():\n{inside}\nasyncio.run(main())\n"
    return before + code


def _pages(arguments: list[str]) -> Iterator[Path]:
    for path in map(Path, arguments):
        yield from sorted(path.rglob("*.md")) if path.is_dir() else [path]


def _run(where: str, code: str) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        program = Path(directory) / "block.py"
        program.write_text(code, encoding="utf-8")
        Path(directory, "pytest.ini").write_text("[pytest]\n")  # or a block that runs pytest finds our own settings further up
        try:
            done = subprocess.run([sys.executable, program], cwd=directory, timeout=SECONDS, check=False)
        except subprocess.TimeoutExpired:
            print(f"{where}: did not end within {SECONDS} s", flush=True)
            return False
    print(f"{where}: {'passed' if done.returncode == 0 else f'exit code {done.returncode}'}", flush=True)
    return done.returncode == 0


def _main() -> int:
    found = [block for page in _pages(sys.argv[1:]) for block in blocks(page)]
    failed = [where for where, code in found if not _run(where, code)]
    print(f"{len(found) - len(failed)} of {len(found)} examples passed")
    return 0 if found and not failed else 1


if __name__ == "__main__":
    sys.exit(_main())
