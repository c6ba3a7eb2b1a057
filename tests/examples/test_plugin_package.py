"""A plugin in a package of its own, installed into an environment of its own, where its tests are run."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import venv
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.examples.served import EXAMPLES
from tests.house.source import ROOT

pytestmark = pytest.mark.process

PACKAGE = EXAMPLES / "plugin_package"


def ran(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """The interpreter of a new environment, which sees the libraries of this one and our package; nothing is downloaded."""
    home = tmp_path / "environment"
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    found = ran(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    neighbours = [f"import site; site.addsitedir({each!r})" for each in site.getsitepackages()]
    (Path(found) / "neighbours.pth").write_text("\n".join([str(ROOT), *neighbours, ""]), encoding="utf-8")
    return python


def test_it_is_installed_found_by_its_name_and_passes_its_tests(tmp_path: Path, python: Path) -> None:
    if not all(map(find_spec, ("pip", "setuptools"))):
        pytest.skip("needs pip and setuptools")
    copied = tmp_path / "plugin_package"  # what is built leaves things behind
    shutil.copytree(PACKAGE, copied)
    quietly = ("--quiet", "--disable-pip-version-check", "--no-input")
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    ran(sys.executable, "-m", "pip", *quietly, "--python", python, "install", *offline, copied, cwd=tmp_path)
    shutil.rmtree(copied / "src")  # what is tested is what was installed
    where = "import asynctune_halfway; print(asynctune_halfway.__file__)"
    assert ran(python, "-c", where, cwd=tmp_path).startswith(str(tmp_path / "environment"))
    said = ran(python, "-m", "pytest", "-q", "-p", "no:cacheprovider", copied / "tests", cwd=tmp_path)
    assert " passed" in said
    assert "skipped" not in said
    misspelled = (
        "import asynctune as at\n"
        "try: at.Search(lambda trial: 1.0, objective='loss', scheduler='half_wya', max_trials=1)\n"
        "except at.errors.ConfigurationError as error: print(error)"
    )
    assert "did you mean 'halfway'?" in ran(python, "-c", misspelled, cwd=tmp_path)


def test_without_it_the_name_is_unknown(tmp_path: Path, python: Path) -> None:
    program = "from asynctune.installed import named\ntry: named('scheduler', 'halfway')\nexcept Exception as e: print(e)"
    assert "there is none of this name" in ran(python, "-c", program, cwd=tmp_path)
