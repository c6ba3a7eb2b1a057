"""What can be a trainable, as far as can be seen without starting anything, or importing what makes it travel."""

from __future__ import annotations

import re
from typing import Any

from asynctune._runner.trainable import argument_of
from asynctune.errors import TrainableError

__all__ = ["check_trainable"]

_REFERENCE = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def check_trainable(trainable: Any) -> None:
    """See, without starting anything, whether this can be a trainable.

    Raises:
        TrainableError: saying what to pass instead.
    """
    if isinstance(trainable, str):
        if not _REFERENCE.fullmatch(trainable):
            raise TrainableError(f'a trainable is named as "package.module:name", not {trainable!r}')
        if trainable.startswith("__main__:"):
            raise TrainableError(f"{trainable!r} is in the main script, which trials do not import: pass the function itself")
    else:
        argument_of(trainable)
