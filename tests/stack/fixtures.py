"""Fixtures on top of one: a `stack` of session scope, which a conftest.py defines. It then says

    from fixtures import *
"""

import psycopg
import pytest

from client import Api
from events import Bus
from ledger import Ledger
from receiver import Receiver
from stack import PATIENCE, tail
from watch import Identities, LogWatch


LINES_SHOWN = 20     # of each log, with a failure
FINDINGS_SHOWN = 50  # at the end; more tell no more


def add_markers(config):
    config.addinivalue_line("markers", "settings(**variables): DOCKET_* variables for the programs of this test")
    config.addinivalue_line("markers", "by_hand: changes requests in the tables, otherwise than docket does")
    config.addinivalue_line("markers", "workers(count): how many docket-worker there are when this test begins")


def pytest_collection_modifyitems(items):
    """A test's own time limit is for a quiet machine, like those of what it waits for, which say more when they end."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        if marker:
            item.add_marker(pytest.mark.timeout(marker.args[0] * PATIENCE), append=False)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """With a failure goes what the programs said last: where it failed nobody may be able to look into their logs."""
    report = (yield).get_result()
    stack = item.funcargs.get("stack")
    if report.failed and stack:
        report.sections += [(f"the end of {program.name}'s log", tail(program.log_path, LINES_SHOWN))
                            for program in stack.programs]


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
def nothing_leaks(stack, bus, identity, log_watch, ledger):
    """At the end: every event is as its schema says, no identity value stands on a topic or in a log, the programs end
    well when asked, and the tables are what the topic says."""
    yield
    findings = []
    for topic in bus.topics():
        for event in bus.records(topic):
            findings += identity.leaks_in(str(event), event.everything())
    findings += [f"{name} ended with code {code}" for name, code in stack.stop().items()]
    findings += ledger.rebuild_problems()
    for path in stack.run.path.glob("log/*.log"):
        findings += identity.leaks_in(path.name, path.read_bytes())
    findings += log_watch.sanitizer_reports()
    assert not findings, "\n".join([f"{len(findings)} findings", *findings[:FINDINGS_SHOWN]])


@pytest.fixture(autouse=True)
def no_sanitizer_report(log_watch):
    yield
    reports = log_watch.sanitizer_reports()
    assert not reports, "\n".join(reports)


@pytest.fixture(autouse=True)
def programs_alive(stack, request):
    """A test begins with one of each program, under its own settings, whatever the one before stopped; with as many
    workers as its mark says."""
    marker = request.node.get_closest_marker("settings")
    workers = request.node.get_closest_marker("workers")
    if marker:
        stack.restart(**marker.kwargs)
    stack.start(workers.args[0] if workers else len(stack.workers))
    if workers or stack.workers and stack.unassigned:
        stack.wait_assigned()
    yield
    died = {program.name: program.exit_code for program in stack.programs if program.died()}
    stack.keep_workers(1)
    if marker:
        stack.restart(**dict.fromkeys(marker.kwargs))
    assert not died, f"programs that ended by themselves, with their exit codes: {died}"


@pytest.fixture(scope="session")
def ledger(stack):
    return Ledger(stack)


@pytest.fixture(autouse=True)
def every_call_is_accounted_for(ledger, request, programs_alive):
    """After each test, and what it had configured is gone: calls balance, and no request waits on nobody. What a test
    changes by hand in the tables is not held against their events."""
    if request.node.get_closest_marker("by_hand"):
        before = ledger.request_ids()
        yield
        ledger.leave_out(ledger.request_ids() - before)
    else:
        yield
        ledger.check()


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
