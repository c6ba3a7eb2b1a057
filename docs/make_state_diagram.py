"""Draws docs/law.md from the table that is the law, so that the page cannot say anything else.

`python docs/make_state_diagram.py` writes the page; with `--check` it only says whether the page is up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from asynctune._machine.law import TRANSITIONS
from asynctune.events import LawEvent
from asynctune.records import State

__all__ = ["PAGE", "page"]

PAGE = Path(__file__).with_name("law.md")

HEAD = """\
<!-- Written by docs/make_state_diagram.py from asynctune/_machine/law.py. Change the table there, then run the script. -->

# The law of a trial

A trial is in one of five states. What happens to it is one of a few events, and one table says which event may happen in which
state and where it leads. A move that the table does not have is a defect of asynctune and ends the search with
`IllegalTransition`; nothing is written down.

The table holds no conditions. Whether a failed attempt is followed by another is a question of policy, and policy answers it by
choosing the event: `AttemptFailed` while there are retries left, `GaveUp` when there are none.
"""

TAIL = """\
## What the events mean

- **Started**: a slot was granted and a process handed the trial. The machine decides this before the process exists, so a
  process that cannot be started fails a trial that is RUNNING.
- **Reported**: metrics at a step.
- **Paused**: set aside by the scheduler or by you, or lost through nobody's fault (the search was closed or killed). It costs
  no attempt; the trial waits, and goes on from its newest checkpoint.
- **Finished**: the trainable returned.
- **Stopped**: ended early, for a reason that is kept: by the scheduler, by a budget, by you. The trial keeps the score it had.
- **AttemptFailed**: it failed by its own doing (it raised, exited, was killed, broke a limit), and will be tried again.
- **GaveUp**: it failed by its own doing, and will not.
"""


def page() -> str:
    """The whole page."""
    diagram = "\n".join(["```mermaid", *_diagram(), "```"])
    table = "\n".join(_table())
    return f"{HEAD}\n{diagram}\n\n## The table\n\n{table}\n\n{TAIL}"


def _diagram() -> Iterator[str]:
    yield "stateDiagram-v2"
    yield "    direction LR"
    yield f"    [*] --> {State.PENDING.value}"
    for source, moves in TRANSITIONS.items():
        for target in dict.fromkeys(moves.values()):
            names = ", ".join(event.__name__ for event, to in moves.items() if to is target)
            yield f"    {source.value} --> {target.value}: {names}"
        if source.ended:
            yield f"    {source.value} --> [*]"


def _table() -> Iterator[str]:
    events = get_args(LawEvent)
    yield "| from \\ on | " + " | ".join(event.__name__ for event in events) + " |"
    yield "|---" * (len(events) + 1) + "|"
    for state, moves in TRANSITIONS.items():
        yield f"| {state.value} | " + " | ".join(moves[event].value if event in moves else " " for event in events) + " |"


def _main() -> int:
    if sys.argv[1:] == ["--check"]:
        current = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        print("docs/law.md is up to date" if current else "docs/law.md is out of date: run python docs/make_state_diagram.py")
        return 0 if current else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
