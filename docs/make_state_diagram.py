"""Writes docs/law.md and its drawing from the table that is the law, so that they cannot say anything else.

`python docs/make_state_diagram.py` writes both; with `--check` it only says whether they are up to date.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from asynctune._machine.law import TRANSITIONS
from asynctune.events import LawEvent
from asynctune.records import State

__all__ = ["DRAWING", "PAGE", "drawing", "page"]

PAGE = Path(__file__).with_name("law.md")
DRAWING = PAGE.with_name("assets") / "law.svg"

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
  no attempt; the trial waits, and goes on from its newest checkpoint. If it is [parked](executors.md#parked-trials), its
  process waits too, and the same launch goes on. Or it goes on from another trial's checkpoint, with other values, where the
  scheduler has said `Exploit`; or with other resources, where it has said `Reallocate`. Both are Paused, then Started.
- **Finished**: the trainable returned.
- **Stopped**: ended early, for a reason that is kept: by the scheduler, by a budget, by you; the trial keeps the score it
  had. Or by the trial itself, whose values cannot be tried; then it has none.
- **AttemptFailed**: it failed by its own doing (it raised, exited, was killed, broke a limit), and will be tried again:
  at once, or when the time has come that the policy sets.
- **GaveUp**: it failed by its own doing, and will not.
"""


# Where each state stands (the middle of its box), and how each move is drawn: a path, and the middle of its label. Which
# moves there are says the table; one that it has and that is not here has to be drawn first.
STATES = {
    State.PENDING: (90, 150),
    State.RUNNING: (370, 150),
    State.COMPLETED: (670, 150),
    State.RETRYING: (370, 310),
    State.FAILED: (670, 310),
}
WIDTH, HEIGHT = 130, 44
MOVES = {
    (State.PENDING, State.RUNNING): ("M155,140 H303", 229, 131),
    (State.PENDING, State.COMPLETED): ("M90,128 V40 Q90,30 100,30 H660 Q670,30 670,40 V126", 370, 21),
    (State.PENDING, State.FAILED): ("M90,172 V380 Q90,390 100,390 H660 Q670,390 670,380 V334", 370, 409),
    (State.RUNNING, State.RUNNING): ("M345,128 C325,70 415,70 396,126", 370, 72),
    (State.RUNNING, State.PENDING): ("M305,160 H157", 229, 180),
    (State.RUNNING, State.COMPLETED): ("M435,150 H603", 519, 141),
    (State.RUNNING, State.RETRYING): ("M355,172 V286", 292, 234),
    (State.RUNNING, State.FAILED): ("M425,172 L612,286", 473, 186),
    (State.RETRYING, State.RUNNING): ("M385,288 V174", 420, 234),
    (State.RETRYING, State.COMPLETED): ("M425,288 L612,174", 473, 286),
    (State.RETRYING, State.FAILED): ("M435,310 H603", 519, 329),
}
STYLE = """\
  <style>
    text { font: 15px "DejaVu Sans", Verdana, sans-serif; text-anchor: middle; fill: #1f2328; }
    .state { fill: #eef0fb; stroke: #4051b5; stroke-width: 1.5; }
    .ended { stroke-width: 4; }
    path, .head { stroke: #57606a; stroke-width: 1.5; fill: none; }
    .head, .start { fill: #57606a; }
    .move { font-size: 13px; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6e8ee; }
      .state { fill: #2b2f45; stroke: #8e9bf0; }
      path, .head { stroke: #a9b1bd; }
      .head, .start { fill: #a9b1bd; }
    }
  </style>"""


def page() -> str:
    """The whole page."""
    told = ". ".join(f"{source.value}: {moves}" for source in TRANSITIONS if (moves := _told(source)))
    picture = f'<div class="drawing" markdown>\n\n![The moves between the states. {told}.](assets/law.svg)\n\n</div>'
    return f"{HEAD}\n{picture}\n\n## The table\n\n" + "\n".join(_table()) + f"\n\n{TAIL}"


def drawing() -> str:
    """The diagram, as SVG."""
    return "\n".join(_drawn()) + "\n"


def _moves() -> Iterator[tuple[State, State, str]]:
    for source, moves in TRANSITIONS.items():
        for target in dict.fromkeys(moves.values()):
            yield source, target, ", ".join(event.__name__ for event, to in moves.items() if to is target)


def _told(state: State) -> str:
    return ", ".join(f"to {target.value} by {names}" for source, target, names in _moves() if source is state)


def _drawn() -> Iterator[str]:
    yield "<!-- Written by docs/make_state_diagram.py from asynctune/_machine/law.py. -->"
    yield '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 424" role="img">'
    yield "  <title>The law of a trial</title>"
    yield STYLE
    yield '  <marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
    yield '    <path class="head" d="M0,0 L8,4 L0,8 z"/>'
    yield "  </marker>"
    yield '  <circle class="start" cx="18" cy="100" r="6"/>'
    yield '  <path d="M22,104 L44,126" marker-end="url(#head)"/>'
    for source, target, names in _moves():
        path, x, y = MOVES[source, target]
        yield f'  <path d="{path}" marker-end="url(#head)"/>'
        yield f'  <text class="move" x="{x}" y="{y}">{names}</text>'
    for state in TRANSITIONS:
        x, y = STATES[state]
        kind = "state ended" if state.ended else "state"
        box = f'x="{x - WIDTH // 2}" y="{y - HEIGHT // 2}" width="{WIDTH}" height="{HEIGHT}" rx="8"'
        yield f'  <rect class="{kind}" {box}/>'
        yield f'  <text x="{x}" y="{y + 5}">{state.value}</text>'
    yield "</svg>"


def _table() -> Iterator[str]:
    # A row for each event: seven columns of capitals would not fit beside each other.
    yield "| event | " + " | ".join(f"from {state.value}" for state in TRANSITIONS if not state.ended) + " |"
    yield "|---" * (1 + sum(not state.ended for state in TRANSITIONS)) + "|"
    for event in get_args(LawEvent):
        cells = [moves[event].value if event in moves else " " for state, moves in TRANSITIONS.items() if not state.ended]
        yield f"| {event.__name__} | " + " | ".join(cells) + " |"
    yield ""
    yield " and ".join(state.value for state in TRANSITIONS if state.ended) + " are ends: nothing can happen there."


def _main() -> int:
    wanted = {PAGE: page(), DRAWING: drawing()}
    if sys.argv[1:] == ["--check"]:
        old = [path.name for path, text in wanted.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
        print(f"out of date: {', '.join(old)}: run python docs/make_state_diagram.py" if old else "the law is drawn as it is")
        return 1 if old else 0
    for path, text in wanted.items():
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(_main())
