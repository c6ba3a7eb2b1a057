"""One committed step of a search: what it was told, what followed by law, what the plugins answered."""

from __future__ import annotations

import hashlib

from attrs import frozen

from asynctune._machine.consult import PluginAnswer
from asynctune._machine.stimuli import Stimulus
from asynctune.events import Event, Happening
from asynctune.wire import decode, encode

__all__ = ["FIRST_CHAIN", "Record", "chain", "event_of", "pack", "unpack"]

FIRST_CHAIN = bytes(16)


@frozen(kw_only=True)
class Record:
    """Record number `seq`, from 1."""

    seq: int
    stimulus: Stimulus
    happened: tuple[Happening, ...]
    answers: tuple[PluginAnswer, ...] = ()


def pack(record: Record) -> bytes:
    """The record's payload."""
    return encode(record, Record)


def unpack(payload: bytes) -> Record:
    """The record that `payload` holds.

    Raises:
        WireError: if it holds none.
    """
    record: Record = decode(payload, Record)
    return record


def chain(previous: bytes, payload: bytes) -> bytes:
    """The chain hash after a record: it depends on this payload and on all before it."""
    return hashlib.blake2b(previous + payload, digest_size=16).digest()


def event_of(record: Record) -> Event:
    """The public view of a record."""
    return Event(seq=record.seq, at=record.stimulus.at, cause=type(record.stimulus).__name__, happened=tuple(record.happened))
