"""Kafka, PostgreSQL and Redis once for the whole run; docket's programs once for each pytest worker.

A worker has a database, a topic prefix, a Redis number and ports of its own, so that workers do not see each
other. Configuration is put back after each test; requests stay.
"""

import os

import psycopg
import pytest

from utils import (
    Api, Bus, Identities, LogWatch, Receiver, RunDir, Servers, Stack, StackError, remove_run, temporary_run,
    worker_name,
)

RUN_VARIABLE = "DOCKET_TEST_RUN"


def pytest_configure(config):
    """The first process makes the run directory and the servers; xdist's workers inherit the variable."""
    config.addinivalue_line("markers", "settings(**variables): DOCKET_* variables for the programs of this test")
    if hasattr(config, "workerinput") or config.option.collectonly or config.option.help:
        return
    run = temporary_run("system")
    os.environ[RUN_VARIABLE] = str(run.path)
    config.docket_servers = Servers(run)
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
    stack = Stack(run, Servers(shared), os.environ.get("DOCKET_PRESET", "asan"), name, number)
    stack.prepare()
    try:
        yield stack.start()
    finally:
        stack.stop()


@pytest.fixture(scope="session")
def root_api(stack):
    environment = stack.environment()
    return Api.login(stack.api.url, environment["DOCKET_ROOT_CLIENT_ID"],
                     environment["DOCKET_ROOT_CLIENT_SECRET"])


@pytest.fixture(scope="session")
def bus(stack):
    bus = Bus(stack.kafka.brokers, stack.name)
    yield bus
    bus.close()


@pytest.fixture(scope="session")
def identity():
    """identity() is an email nobody else has; identity.phone(), .custom() and .derived() are others."""
    return Identities()


@pytest.fixture(scope="session")
def log_watch(stack):
    return LogWatch(stack.run.log)


@pytest.fixture(scope="session", autouse=True)
def nothing_leaks(stack, bus, identity, log_watch):
    """At the end: every event is as its schema says, no identity value stands on a topic or in a log, and the
    programs end well when asked."""
    yield
    findings = []
    for topic in bus.topics():
        for event in bus.records(topic):
            findings += identity.leaks_in(str(event), event.everything())
    findings += [f"{name} ended with code {code}" for name, code in stack.stop().items()]
    for path in stack.run.path.glob("log/*.log"):
        findings += identity.leaks_in(path.name, path.read_bytes())
    findings += log_watch.sanitizer_reports()
    assert not findings, "\n".join(findings)


@pytest.fixture(autouse=True)
def no_sanitizer_report(log_watch):
    yield
    reports = log_watch.sanitizer_reports()
    assert not reports, "\n".join(reports)


@pytest.fixture(autouse=True)
def programs_alive(stack, request):
    """A test begins with all programs running, under its own settings, and leaves them as they were."""
    marker = request.node.get_closest_marker("settings")
    if marker:
        stack.restart(**marker.kwargs)
    stack.start(len(stack.workers))
    yield
    died = {program.name: program.exit_code for program in stack.programs if program.died()}
    if marker:
        stack.restart(**dict.fromkeys(marker.kwargs))
    assert not died, f"programs that ended by themselves, with their exit codes: {died}"


@pytest.fixture
def api(root_api, programs_alive):
    """The API as the root client; what the test configures is gone after it."""
    yield root_api
    root_api.reset_configuration()


@pytest.fixture
def receiver(stack):
    receiver = Receiver(stack.callback.url)
    yield receiver
    receiver.close()


@pytest.fixture
def kafka_records(bus):
    """kafka_records("lifecycle", key=None): all records of that topic so far, each held against its schema."""
    return bus.records


@pytest.fixture
def db(stack):
    with psycopg.connect(stack.postgres.url(stack.name), autocommit=True) as connection:
        yield connection
