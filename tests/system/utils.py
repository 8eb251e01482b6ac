"""What the system tests say in one word; tests/stack has it."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from client import Api, must, must_all  # noqa: E402, F401
from events import BadEvent, Bus, Event, check  # noqa: E402, F401
from receiver import Answer, Call, Close, Hang, Receiver, Reply, redirect  # noqa: E402, F401
from stack import ROOT, RunDir, Servers, Stack, StackError, wait_until  # noqa: E402, F401
from watch import Identities, LogWatch  # noqa: E402, F401


def worker_name():
    """gw0, gw1, ... under pytest-xdist; main without."""
    return os.environ.get("PYTEST_XDIST_WORKER", "main")
