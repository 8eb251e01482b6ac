"""Kafka, PostgreSQL and Redis once for the whole run; docket's programs once for each pytest worker.

A worker has a database, a topic prefix, a Redis number and ports of its own, so that workers do not see each
other. Configuration is put back after each test; requests stay.
"""

import os
from pathlib import PurePath

import pytest
from xdist.scheduler import LoadScopeScheduling

from utils import RunDir, Servers, Stack, StackError, worker_name  # utils knows the way to tests/stack
from audited import audited  # noqa: F401
from fixtures import *  # noqa: F403
from poison import other_docket  # noqa: F401
from stack import remove_run, temporary_run

RUN_VARIABLE = "DOCKET_TEST_RUN"

# Tests of these files share what takes long to make, a fixture of the session: one pytest worker runs them all.
SHARED = {"test_audit_show.py": "audited", "test_audit_verify.py": "audited",
          "test_dead_faults.py": "other_docket", "test_dead_letters.py": "other_docket"}


class Scheduling(LoadScopeScheduling):
    """Test by test to whoever is free, but for those that share something; these come first."""

    def _split_scope(self, nodeid):
        return SHARED.get(PurePath(nodeid.partition("::")[0]).name, nodeid)


def pytest_xdist_make_scheduler(config, log):
    return Scheduling(config, log)


def pytest_configure(config):
    """The first process makes the run directory and the servers; xdist's workers inherit the variable."""
    add_markers(config)  # noqa: F405
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    run = temporary_run("system")
    os.environ[RUN_VARIABLE] = str(run.path)
    config.docket_servers = Servers(run, synced=False)  # no test ends the machine
    try:
        config.docket_servers.start()
    except StackError as error:
        config.docket_servers.stop()
        pytest.exit(f"the servers did not start: {error}", returncode=3)


def pytest_unconfigure(config):
    servers = getattr(config, "docket_servers", None)
    if servers is None:
        return
    servers.stop()
    if getattr(config, "docket_failed", False):
        servers.remove_data()  # the logs stay until the next run
    else:
        remove_run(servers.run.path)


def pytest_sessionfinish(session, exitstatus):
    session.config.docket_failed = exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    if exitstatus == pytest.ExitCode.TESTS_FAILED:
        terminalreporter.write_line(f"logs: {os.environ[RUN_VARIABLE]}")


@pytest.fixture(scope="session")
def stack():
    shared = RunDir(os.environ[RUN_VARIABLE])
    name = f"docket_{worker_name()}"
    number = int(worker_name().removeprefix("gw")) if worker_name().startswith("gw") else 0
    run = RunDir(shared.path / worker_name(), ports=shared.ports)
    stack = Stack(run, Servers(shared, synced=False), os.environ.get("DOCKET_PRESET", "asan"), name, number)
    stack.prepare()
    try:
        yield stack.start()
    finally:
        stack.stop()
