"""The page about the law, and its drawing, say what the table says."""

from __future__ import annotations

import re

from asynctune._machine.law import TRANSITIONS
from docs.make_state_diagram import DRAWING, MOVES, PAGE, STATES, drawing, page


def test_the_page_and_the_drawing_are_up_to_date() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python docs/make_state_diagram.py"
    assert DRAWING.read_text(encoding="utf-8") == drawing(), "run python docs/make_state_diagram.py"


def test_the_drawing_has_every_move_once() -> None:
    drawn = re.findall(r'<path d="([^"]+)" [^>]+>\n  <text class="move"[^>]*>([^<]+)</text>', drawing())
    ends = {path: move for move, (path, _, _) in MOVES.items()}
    moves = [(state, to, event.__name__) for state, row in TRANSITIONS.items() for event, to in row.items()]

    found = [(*ends[path], name) for path, names in drawn for name in names.split(", ")]

    assert sorted(found, key=str) == sorted(moves, key=str)


def test_a_line_starts_and_ends_at_its_states() -> None:
    for (source, target), (path, _, _) in MOVES.items():
        numbers = [float(number) for number in re.findall(r"\d+", path)]
        (x, y), (end_x, end_y) = STATES[source], STATES[target]
        assert abs(numbers[0] - x) <= 65, path
        assert abs(numbers[1] - y) <= 22, path
        assert abs(numbers[-1] - end_y) <= 24 or abs(numbers[-1] - end_x) <= 67, path
