"""A stack of its own, with its servers, for each pytest worker, whose tests run one after another: they kill what others
would need."""

import os
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

import pytest

from fixtures import *  # noqa: F403
from load import Replier
from stack import Servers, Stack, remove_run, temporary_run

SETTINGS = {
    "DOCKET_WEBHOOK_TIMEOUT": "10s",
    "DOCKET_WEBHOOK_RETRY_SCHEDULE": "500ms,1s,2s,2s,2s,2s,5s,5s,5s,5s,5s,5s",
}


def pytest_configure(config):
    add_markers(config)  # noqa: F405


@pytest.fixture(scope="session")
def stack(request):
    run = temporary_run("faults")
    servers = Servers(run)
    preset = os.environ.get("DOCKET_PRESET", "release")
    try:
        servers.start()
        stack = Stack(run, servers, preset, "docket_faults", settings=dict(SETTINGS))
        stack.prepare()
        yield stack.start()
        stack.stop()
    finally:
        servers.stop()
        if request.session.testsfailed:
            servers.remove_data()
            print(f"\nlogs: {run.path}")
        else:
            remove_run(run.path)


@pytest.fixture
def seed():
    """Of what is left to chance; DOCKET_TEST_SEED=... chooses the same again."""
    seed = os.environ.get("DOCKET_TEST_SEED") or secrets.token_hex(4)
    print(f"seed {seed}")
    return seed


@pytest.fixture
def replier(stack):
    replier = Replier(stack.callback)
    yield replier
    replier.close()
