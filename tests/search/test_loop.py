"""What a search must not do to the event loop that it runs in."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import asyncio, sys
import asynctune as at
from asynctune import Float, LocalExecutor, Objective, search

def train(trial):
    trial.report(loss=1.0)

async def main():
    async with LocalExecutor(1) as executor:
        before = set(sys.modules)
        await search(
            train, {"x": Float(0, 1)}, objective=Objective("loss", "min"), max_trials=2, storage=sys.argv[1], executor=executor
        )
        print(sorted(set(sys.modules) - before))

asyncio.run(main())
"""


def test_nothing_is_imported_while_a_search_runs(tmp_path: Path) -> None:
    # An import takes milliseconds of reading and computing, for which every request of a service waits.
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "search")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
