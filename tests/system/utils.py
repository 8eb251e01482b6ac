"""What the system tests say in one word; tests/stack has it."""

import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from client import Api, must, must_all  # noqa: E402, F401
from events import BadEvent, Bus, Event, check  # noqa: E402, F401
from proxy import Proxy  # noqa: E402, F401
from receiver import Answer, Call, Close, Hang, Receiver, Reply, redirect  # noqa: E402, F401
from stack import ROOT, Callback, RunDir, Servers, Stack, StackError, wait_until  # noqa: E402, F401
from watch import Identities, LogWatch  # noqa: E402, F401


@contextlib.contextmanager
def worker_settings(stack, **settings):
    """The one worker anew with these variables, and as it was at the end."""
    worker = stack.workers[0]
    before = dict(worker.settings)
    worker.settings.update({name: str(value) for name, value in settings.items()})
    worker.stop()
    worker.start()
    try:
        yield worker
    finally:
        worker.stop()
        worker.settings = before
        worker.start()


def worker_name():
    """gw0, gw1, ... under pytest-xdist; main without."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
