"""The engine: does what the machine decides. Everything that waits, writes, or runs beside something else is here.

`loop` is the oracle coroutine, `decider` the thread that owns the machine and the journal, `actor` the thread that owns the
oracle, `pool` the slots, `journal` what survives.
"""
