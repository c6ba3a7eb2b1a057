"""An oracle in a process of its own, so that a heavy one takes nothing from the loop that it proposes for.

`caller` stands in the search's process in the place of the oracle, `process` holds the other process, `child` is what runs
there, `words` is what comes back. What goes there is pickled; what comes back is typed, and is never unpickled.
"""
