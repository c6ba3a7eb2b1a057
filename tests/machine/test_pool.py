"""The pool: never more slots than there are, first come first served, and nothing that one claimant does upsets another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from asynctune._engine.pool import Pool, SlotId
from asynctune.errors import ConfigurationError


class Claims:
    """Somebody who wants slots, and what it got."""

    def __init__(self, react: Callable[[SlotId], None] | None = None) -> None:
        self.slots: list[SlotId] = []
        self.widths: dict[SlotId, int] = {}
        self.react = react

    def granted(self, slot: SlotId, width: int) -> None:
        self.slots.append(slot)
        self.widths[slot] = width
        if self.react is not None:
            self.react(slot)


@pytest.mark.parametrize("size", [0, -1, 1.0, True, None, "4"])
def test_a_pool_has_at_least_one_slot(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_workers takes an integer of at least 1"):
        Pool(size)
    with pytest.raises(ConfigurationError):
        Pool(1).resize(size)


def test_first_come_first_served() -> None:
    pool, one, other = Pool(2), Claims(), Claims()
    pool.request(one, 3)
    pool.request(other, 2)
    assert (len(one.slots), len(other.slots), pool.busy) == (2, 0, 2)
    pool.release(one.slots[0])
    assert (len(one.slots), len(other.slots)) == (3, 0)
    pool.release(one.slots[1])
    pool.release(one.slots[2])
    assert (len(one.slots), len(other.slots)) == (3, 2)
    assert sorted(other.slots) == [0, 1]


def test_a_wide_slot_is_granted_as_a_whole_and_nobody_overtakes_it() -> None:
    pool, one, other = Pool(3), Claims(), Claims()
    pool.request(one, 2)
    pool.request(other, width=2)
    pool.request(one)
    assert (len(one.slots), len(other.slots), pool.busy) == (2, 0, 2)
    pool.release(one.slots[0])
    assert (len(other.slots), other.widths, len(one.slots)) == (1, {other.slots[0]: 2}, 2)
    pool.release(other.slots[0])
    assert (len(one.slots), pool.busy) == (3, 2)


def test_two_who_want_all_that_there_is_do_not_keep_half_of_it_each() -> None:
    pool, one, other = Pool(2), Claims(), Claims()
    pool.request(one, width=2)
    pool.request(other, width=2)
    assert (len(one.slots), len(other.slots)) == (1, 0)
    pool.release(one.slots[0])
    assert len(other.slots) == 1


def test_one_that_is_wider_than_the_pool_is_granted_when_nothing_else_is_taken() -> None:
    pool, one = Pool(3), Claims()
    pool.request(one)
    pool.request(one, width=3)
    pool.resize(2)
    assert len(one.slots) == 1
    pool.release(one.slots[0])
    assert (len(one.slots), pool.busy, pool.has_room) == (2, 3, False)


def test_what_is_withdrawn_is_not_granted_and_nobody_else_loses_a_place() -> None:
    pool, one, other = Pool(1), Claims(), Claims()
    pool.request(one, 2)
    pool.request(other)
    pool.request(one)
    pool.withdraw(one)
    pool.release(one.slots[0])
    assert (len(one.slots), len(other.slots)) == (1, 1)
    pool.release(other.slots[0])
    assert (pool.busy, len(one.slots)) == (0, 1)


def test_a_larger_pool_grants_at_once_and_a_smaller_one_waits_for_what_is_busy() -> None:
    pool, one = Pool(1), Claims()
    pool.request(one, 5)
    pool.resize(3)
    assert pool.busy == 3
    pool.resize(1)
    pool.release(one.slots[0])
    pool.release(one.slots[1])
    assert (pool.busy, len(one.slots)) == (1, 3)
    pool.release(one.slots[2])
    assert (pool.busy, len(one.slots)) == (1, 4)


def test_a_claimant_may_release_and_request_while_it_is_told() -> None:
    pool = Pool(2)

    def again(slot: SlotId) -> None:
        pool.release(slot)
        if len(eager.slots) < 50:
            pool.request(eager)

    eager, other = Claims(again), Claims()
    pool.request(eager, 2)
    pool.request(other)
    assert len(eager.slots) >= 50
    assert (len(other.slots), pool.busy) == (1, 1)
    assert "0 requests waiting" in repr(pool)


def test_a_slot_is_released_once() -> None:
    pool, one = Pool(1), Claims()
    pool.request(one)
    pool.release(one.slots[0])
    with pytest.raises(KeyError):
        pool.release(one.slots[0])


class PoolWalk(RuleBasedStateMachine):
    """Anything in any order, beside a queue that is kept by hand."""

    @initialize(size=st.integers(1, 4))
    def begin(self, size: int) -> None:
        self.pool, self.size = Pool(size), size
        self.claims = [Claims() for _ in range(3)]
        self.queue: list[tuple[int, int]] = []
        self.busy: dict[tuple[int, SlotId], int] = {}

    def settle(self) -> None:
        while self.queue and self.fits(self.queue[0][1]):
            who, width = self.queue.pop(0)
            slot = self.claims[who].slots[sum(w == who for w, _ in self.granted)]
            assert self.claims[who].widths[slot] == width
            self.granted.append((who, slot))
            self.busy[who, slot] = width

    def fits(self, width: int) -> bool:
        taken = sum(self.busy.values())
        return taken + width <= self.size or not taken

    granted: list[tuple[int, SlotId]]

    def look(self) -> None:
        self.granted = [(w, slot) for w, claims in enumerate(self.claims) for slot in claims.slots]

    @rule(who=st.integers(0, 2), count=st.integers(1, 3), width=st.sampled_from([1, 1, 1, 2, 3, 5]))
    def request(self, who: int, count: int, width: int) -> None:
        self.look()
        self.pool.request(self.claims[who], count, width=width)
        self.queue += [(who, width)] * count
        self.settle()

    @precondition(lambda self: self.busy)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        self.look()
        one = data.draw(st.sampled_from(sorted(self.busy)))
        del self.busy[one]
        self.pool.release(one[1])
        self.settle()

    @rule(who=st.integers(0, 2))
    def withdraw(self, who: int) -> None:
        self.pool.withdraw(self.claims[who])
        self.queue = [each for each in self.queue if each[0] != who]

    @rule(size=st.integers(1, 4))
    def resize(self, size: int) -> None:
        self.look()
        self.size = size
        self.pool.resize(size)
        self.settle()

    @invariant()
    def agrees(self) -> None:
        assert self.pool.busy == sum(self.busy.values())
        slots = [slot for _, slot in self.busy]
        assert len(slots) == len(set(slots)), "one slot for two"


TestPoolWalk = PoolWalk.TestCase
