"""The page about the law says what the table says."""

from __future__ import annotations

from asynctune._machine.law import TRANSITIONS
from docs.make_state_diagram import PAGE, page


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python docs/make_state_diagram.py"


def test_the_diagram_has_every_move_once() -> None:
    arrows = [line.strip() for line in page().splitlines() if " --> " in line and ": " in line]
    drawn = {
        (source, event, target)
        for arrow in arrows
        for ends, _, events in [arrow.partition(": ")]
        for source, _, target in [ends.partition(" --> ")]
        for event in events.split(", ")
    }
    moves = {(state.value, event.__name__, to.value) for state, row in TRANSITIONS.items() for event, to in row.items()}

    assert drawn == moves
