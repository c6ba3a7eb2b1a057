"""What all tests share: how Hypothesis speaks, and nothing that brings anyio, for tests/machine run without it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator

import pytest
from hypothesis import settings

# The contracts are tests that live in the package; so that their assertions say as much as ours.
pytest.register_assert_rewrite("asynctune.testing.contracts")

# No deadline: how long an example takes says more about the machine's other users than about us. The blob makes a failure
# repeatable from its printed output alone.
settings.register_profile("asynctune", deadline=None, print_blob=True)
settings.load_profile("asynctune")


@pytest.fixture(scope="session", autouse=True)
def _own_temporary_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    # What a test leaves in it is counted. The system's is everybody's: another search on this machine would be taken for ours.
    system, tempfile.tempdir = tempfile.tempdir, str(tmp_path_factory.mktemp("own"))
    yield
    tempfile.tempdir = system
