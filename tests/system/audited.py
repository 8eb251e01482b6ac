"""A log of its own to be looked at and tampered with, made by the real programs: a few requests of every kind over several
checkpoints. conftest.py has all tests that use it run by one worker, so that it is made once."""

import pytest

from auditing import wait_covered
from client import Api
from events import Bus
from stack import RunDir, Stack
from utils import Answer, Receiver, Reply, wait_until


@pytest.fixture(scope="session")
def audited(stack):
    """A stack beside the others', whose programs were stopped when all that they did was covered by checkpoints."""
    run = RunDir(stack.run.path / "audited", ports=stack.run.ports)
    other = Stack(run, stack.servers, stack.preset, f"{stack.name}_audited", redis_number=8 + stack.redis_number,
                  settings={"DOCKET_TOPIC_PARTITIONS": "3"})
    other.prepare()
    other.start()
    try:
        make_history(other)
    finally:
        ended = other.stop()
    assert not ended, ended
    return other


def make_history(stack):
    """Some requests, each with more events than one, over several checkpoints."""
    environment = stack.environment()
    api = Api.login(stack.api.url, environment["DOCKET_ROOT_CLIENT_ID"], environment["DOCKET_ROOT_CLIENT_SECRET"])
    bus, receiver = Bus(stack.kafka.brokers, stack.name), Receiver(stack.callback.url)
    try:
        api.make_webhooks(receiver, crm=Reply("eligible"))
        for number in range(4):
            ids = [api.create_request(f"audited-{number}-{one}@example.com")["id"] for one in range(4)]
            for request_id in ids:
                api.wait_status(request_id, "complete")
            wait_published(stack)
            wait_covered(bus)
        receiver.script("/crm", Answer())
        waiting = [api.create_request(f"audited-waiting-{one}@example.com")["id"] for one in range(2)]
        receiver.wait_calls(1, "/crm", waiting[0])
        receiver.wait_calls(1, "/crm", waiting[1])
        wait_published(stack)
        wait_covered(bus)
        api.deny(waiting[0])
        wait_published(stack)
        wait_covered(bus)
    finally:
        receiver.close()
        bus.close()


def wait_published(stack):
    wait_until(lambda: not stack.postgres.query("select 1 from request_outbox limit 1", stack.name), 20,
               "all to be published")
