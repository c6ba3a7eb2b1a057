"""A search's zygote: loads the search's data and trainable, is judged, and from then on makes runners.

Clean, it forks them with everything loaded. Not clean, it says why and what it had loaded, and ends; the next one is told to load
only that much. Its only Python thread is the one that the runners' lives are tied to.
"""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import time
import weakref
from typing import NoReturn

from asynctune._runner.failures import message_of, traceback_of
from asynctune._runner.framing import Line
from asynctune._runner.kin import Kin, forget_signals
from asynctune._runner.libraries import import_all, installed_modules
from asynctune._runner.linux import adopt_orphans, die_with_parent, flush_c_stdio
from asynctune._runner.loading import Loaded, load_data, load_trainable, stand_where_the_search_stands
from asynctune._runner.logs import cut_log, redirect_output
from asynctune._runner.mailbox import Mailbox
from asynctune._runner.orders import Broken, ForkFailed, FromSearch, Mode, Plan, RunnerEnded, Serving, Signal, StartRunner, ToSearch, Unclean
from asynctune._runner.parcel import Parcel
from asynctune._runner.process import Runner
from asynctune._runner.surroundings import show_gpus
from asynctune._runner.verdict import Inventory, canary, reasons_against_forking
