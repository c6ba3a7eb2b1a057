"""The machine: told what happened, it answers what to do. Pure: no await, clock, chance, file or logger below this line.

`law` says what may follow what in the life of a trial, `machine` decides, and everything else here is what it decides with.
"""
