"""The house rules, as commands: `nox` runs what must hold before a change lands, `nox -l` lists the rest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "types", "core", "tests"]

PROJECT = nox.project.load_toml("pyproject.toml")
EXAMPLE_SECONDS = 600
TWO = ("-n", "2")  # processes, as many as the cores of the smallest machine that we care for
# Where tests put their files, if it is there and has room: what a search writes, it waits for the disk to keep, and the disk's
# time is most of many a test's. No test can tell: what a crash of the machine leaves behind, they make by hand.
MEMORY, ROOM = Path("/dev/shm"), 2**30  # noqa: S108 -- the directory in it has a name of its own
# The libraries of a test process keep to one core: there are as many processes as cores.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
MANY = "many or hypothesis"  # the plugin of Hypothesis marks its tests
SERVERS = {"service"}  # run until they are stopped: a client drives them, in tests/examples
BENCHES = {
    "dispatch": ["--tensorflow"],
    "report": [],
    "keras_digits": [],
    "loop_lag": [],
    "oracle_process": [],
    "startup": [],
    "slots": ["--trials", "10000"],
    "parked": [],
    "display": [],
    "service": [],
    "faults": [],
    "oracles": ["--seeds", "2", "--oracles", "RandomSearch", "BayesianOptimization", "TPE", "CMAES"],
}
PEERLESS = {"slots", "parked", "display", "service", "oracle_process"}
# Whom we are measured beside, each in an environment of its own, with the Keras search of the benches.
PEERS = {
    "keras-tuner": ["keras-tuner", "tensorflow", "tensorboard"],
    "ray": ["ray[tune]", "tensorflow"],
    "optuna": ["optuna", "tensorflow"],
}


def group(*names: str) -> list[str]:
    """What these dependency groups ask for. (An older pip cannot read groups itself.)"""
    return list(nox.project.dependency_groups(PROJECT, *names))


def dependencies(*names: str) -> list[str]:
    """The requirements of the package, or those of these names."""
    return [each for each in PROJECT["project"]["dependencies"] if not names or each.split(">=")[0] in names]


def pytest(session: nox.Session, *words: str) -> None:
    """Pytest, with these words and those of the command line."""
    memory = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    with TemporaryDirectory(prefix="asynctune-tests-", dir=MEMORY if memory else None) as directory:
        session.run("pytest", "--basetemp", str(Path(directory) / "pytest"), *words, *session.posargs, env=ONE_THREAD)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff: rules and format."""
    session.install(*group("lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def types(session: nox.Session) -> None:
    """Strict types: of the package, its tests, and every script."""
    session.install("-e", ".", *group("types"))
    session.run("mypy")


@nox.session
def core(session: nox.Session) -> None:
    """The machine's tests where there is no anyio, and so no event loop to lean on."""
    session.install("--no-deps", "-e", ".")
    session.install(*dependencies("attrs", "cattrs", "cloudpickle", "msgpack"), *group("core"))
    session.run("python", "-c", "from importlib.util import find_spec; assert find_spec('anyio') is None")
    pytest(session, *TWO, "--dist", "worksteal", "tests/machine")


@nox.session
def tests(session: nox.Session) -> None:
    """All other tests, with Keras. Two processes: much of it waits for children of its own."""
    session.install("-e", ".[keras]", *group("tests"))
    pytest(session, *TWO, "--dist", "worksteal", "--ignore", "tests/machine")


@nox.session
def process(session: nox.Session) -> None:
    """Only the tests that are about processes."""
    session.install("-e", ".[keras]", *group("tests"))
    pytest(session, "tests/process")


@nox.session
def soak(session: nox.Session) -> None:
    """The long tests."""
    session.install("-e", ".[keras]", *group("tests"))
    pytest(session, "-m", "slow", "-o", "faulthandler_timeout=7200", "-o", "timeout=7200")


@nox.session
def many(session: nox.Session) -> None:
    """All the seeds, sizes and moments of which the default sessions try a few; and Hypothesis with many examples."""
    session.install("-e", ".[keras]", *group("tests"))
    long = ("-o", "faulthandler_timeout=3600", "-o", "timeout=3600")
    pytest(session, *TWO, "--dist", "worksteal", "-m", MANY, "--hypothesis-profile", "many", *long)


@nox.session
def lowest(session: nox.Session) -> None:
    """The tests that need no Keras, with the oldest dependencies that we say we work with."""
    session.install("-e", ".", *group("tests"))
    session.install(*(each.replace(">=", "==") for each in dependencies()))
    pytest(session, "-m", "not keras and not slow and not many")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, every warning an error, and run the examples in its pages."""
    session.install("-e", ".[examples,tensorboard,optuna,cmaes]", *group("docs"))
    session.run("python", "docs/make_state_diagram.py", "--check")
    session.run("mkdocs", "build", "--strict", "--site-dir", str(Path(session.create_tmp()) / "site"))
    session.run("python", "docs/run_blocks.py", "README.md", "docs")


@nox.session
def examples(session: nox.Session) -> None:
    """Every program in examples/, each in an empty directory, from an installed package rather than the checkout."""
    session.install(".[examples]", *group("tests"))
    for program in sorted(Path("examples").resolve().glob("*.py")):
        if program.stem not in SERVERS:
            with session.chdir(_empty(Path(session.create_tmp()) / program.stem)):
                session.run("timeout", str(EXAMPLE_SECONDS), "python", str(program), external=True)
    pytest(session, *(f"tests/examples/test_{name}.py" for name in sorted(SERVERS)), "-m", "slow or not slow")


@nox.session
def bench(session: nox.Session) -> None:
    """Every benchmark, each beside its floor. Say which: `nox -s bench -- dispatch report`."""
    session.install("-e", ".[examples]", *group("bench"))
    for name in session.posargs or BENCHES:
        session.run("python", "-m", f"bench.{name}", *BENCHES[name])


@nox.session
def peers(session: nox.Session) -> None:
    """Every benchmark that has peers, beside them: `nox -s peers -- keras_digits`. Their environments are kept."""
    session.install("-e", ".[keras]", *group("bench"))
    interpreters = []
    for name, requirements in PEERS.items():
        python = Path(session.virtualenv.location).parent / f"peer-{name}" / "bin" / "python"
        if not python.exists():
            session.run("python", "-m", "venv", str(python.parents[1]))
        session.run(str(python), "-m", "pip", "install", "--quiet", *requirements, *group("bench"), external=True)
        interpreters += [f"--{name}", str(python)]
    for name in session.posargs or [name for name in BENCHES if name not in PEERLESS]:
        beside = [] if name in PEERLESS else interpreters
        session.run("python", "-m", f"bench.{name}", *BENCHES[name], *beside)


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
