"""Ask and tell: two test benches, each with a loop of its own, tune the gains of a controller together."""

import asyncio

import asynctune as at

SPACE = {"gain": at.Float(0.01, 10.0, sampling="log"), "integral": at.Float(0.001, 1.0, sampling="log")}


async def bench(name: str, search: at.Search, done: dict[str, int]) -> None:
    """Heat a tank to 1 with the gains that are asked for, and tell how far off it was."""
    while (launch := await search.ask()) is not None:
        level, speed, total, error = 0.0, 0.0, 0.0, 0.0
        for second in range(1, 61):
            await asyncio.sleep(0.001)  # as long as the bench takes
            total += 1 - level
            speed += 0.1 * (launch.config["gain"] * (1 - level) + launch.config["integral"] * total - level - speed)
            level += 0.1 * speed
            error += abs(1 - level)
            if second % 20 == 0 and not await launch.report(error=error / second):
                break  # it is far behind others
        await launch.finish()
        done[name] = done.get(name, 0) + 1


async def main() -> None:
    """Run two of them on one search."""
    goal, done = at.Objective("error", "min"), dict[str, int]()
    external, judge = at.External(lease=60), at.schedulers.MedianStopping()
    search = at.Search(space=SPACE, objective=goal, executor=external, scheduler=judge, max_trials=60, seed=0)
    async with search, asyncio.TaskGroup() as benches:
        for name in ("left", "right"):
            benches.create_task(bench(name, search, done))
        result = await search.result()
    best = result.best_trials(1)[0]
    print(f"{len(done)} benches, {sum(done.values())} runs; best error {best.score:.3f}, with {dict(best.values)}")


asyncio.run(main())
