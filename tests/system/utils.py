"""What the system tests say in one word; tests/stack has it."""

import contextlib
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from client import Api, must, must_all  # noqa: E402, F401
from events import BadEvent, Bus, Event, check  # noqa: E402, F401
from proxy import Proxy  # noqa: E402, F401
from receiver import Answer, Call, Close, Hang, Receiver, Reply, redirect  # noqa: E402, F401
from stack import PATIENCE, ROOT, Callback, RunDir, Servers, Stack, StackError, wait_until  # noqa: E402, F401
from watch import Identities, LogWatch  # noqa: E402, F401


@contextlib.contextmanager
def promptly(seconds):
    """What is done within must not take as long as what hangs: so many seconds at the most on a quiet machine."""
    began = time.monotonic()
    yield
    took = time.monotonic() - began
    assert took < seconds * PATIENCE, f"took {took:.1f} s"


def change_worker(worker, settings):
    """Stopped and started as a member of its group: one that only asked to join is waited for by the broker."""
    worker.wait_log("intake.assigned", 40)
    worker.stop()
    worker.settings = settings
    worker.start()
    worker.wait_log("intake.assigned", 40)


@contextlib.contextmanager
def worker_settings(stack, **settings):
    """The one worker anew with these variables, and as it was at the end."""
    worker = stack.workers[0]
    before = dict(worker.settings)
    change_worker(worker, before | {name: str(value) for name, value in settings.items()})
    try:
        yield worker
    finally:
        change_worker(worker, before)


def worker_name():
    """gw0, gw1, ... under pytest-xdist; main without."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
