"""An async trainable, which waits on I/O instead of computing: a hundred trials at once, as tasks of one event loop.

What they wait for is a small TCP server here, in place of a service, a device or a simulator elsewhere. It is asked for
settings line by line, takes a while, and answers with a score.
"""

import asyncio
import json

import asynctune as at

DELAY = 0.2  # seconds that the server takes for an answer


class Simulator:
    """Scores settings. Counts how many connections it has."""

    def __init__(self) -> None:
        self.connected = self.most = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one client until it has no more to ask."""
        self.connected += 1
        self.most = max(self.most, self.connected)
        while line := await reader.readline():
            asked = json.loads(line)
            await asyncio.sleep(DELAY)
            score = 1.0 - (asked["temperature"] - 0.3) ** 2 - 1.0 / (asked["effort"] * asked["round"])
            writer.write(b"%f\n" % score)
        writer.close()
        self.connected -= 1


async def main() -> None:
    """Start the server, and search with 300 trials."""
    simulator = Simulator()
    server = await asyncio.start_server(simulator.serve, "127.0.0.1", 0, backlog=200)
    address = server.sockets[0].getsockname()

    async def train(trial: at.AsyncTrial) -> None:
        temperature, effort = trial.hp.Float("temperature", 0.0, 1.0), trial.hp.Int("effort", 1, 10)
        reader, writer = await asyncio.open_connection(*address)
        try:
            for number in range(1, 4):
                asked = {"temperature": temperature, "effort": effort, "round": number}
                writer.write(json.dumps(asked).encode() + b"\n")
                await trial.report(score=float(await reader.readline()))
        finally:
            writer.close()

    loop = asyncio.get_running_loop()
    began = loop.time()
    objective = at.Objective("score", "max")
    async with server:
        result = await at.search(train, objective=objective, max_trials=300, executor=at.InlineExecutor(100), seed=0)
    took, waited = loop.time() - began, 300 * 3 * DELAY
    print(f"{len(result.trials)} trials, at most {simulator.most} at once: {waited:.0f} s of waiting in {took:.1f} s")
    best = result.best_trial
    if best is not None:
        print(f"best: trial {best.id}, score {best.score:.3f}, {dict(best.values)}")


if __name__ == "__main__":
    asyncio.run(main())
