"""A call that need not be made any more is told so, whatever the reason: no delivery changes without an event."""

import re

import pytest

from stepping import cancel, deliveries, disable, halt, make_steps, one_way, put_steps, start, two_way
from utils import ROOT, Answer, Reply, must, wait_until, worker_settings

WITHDRAWN = "docket.request.webhook_withdrawn.v1"


@pytest.fixture(scope="module", autouse=True)
def patient_worker(stack):
    """What fails at once is tried again when a test says so."""
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="1h,1h,1h", DOCKET_WEBHOOK_RETRY_JITTER=0):
        yield


def pre_approval(db, request_id, key):
    return db.execute("select d.state, d.outcome, d.due_at is not null, d.settled_at from webhook_delivery d "
                      "join pre_approval_webhook w on w.id = d.webhook_id where d.request_id = %s and w.key = %s",
                      (request_id, key)).fetchone()


def come_due(db, request_id):
    """The next attempt of whatever waits, now."""
    due = "update webhook_delivery set due_at = now() where request_id = %s and state = 'waiting' and attempts > 0"
    wait_until(lambda: db.execute(due, (request_id,)).rowcount, 15, "a call to wait for its next attempt")


def withdrawn(bus, request_id):
    """The one event that tells it, as (key, kind, reason)."""
    [event] = {event.id: event for event in bus.wait_types(request_id, WITHDRAWN) if event.type == WITHDRAWN}.values()
    assert "status" not in event.data
    return event.data["webhook_key"], event.data["kind"], event.data["reason"]


def test_a_reply_says_that_its_call_had_arrived(api, receiver, identity, db, bus):
    api.make_webhooks(receiver, crm=Reply("eligible", answer=Answer(503)), tickets=Answer())
    request_id = api.create_request(identity())["id"]
    bus.wait_types(request_id, "docket.request.pre_approval_eligible.v1", "docket.request.webhook_failed.v1")
    come_due(db, request_id)
    assert withdrawn(bus, request_id) == ("crm", "pre_approval", "replied")
    state, outcome, is_due, settled_at = pre_approval(db, request_id, "crm")
    assert (state, outcome, is_due) == ("delivered", "replied", False) and settled_at
    assert len(receiver.calls("/crm", request_id)) == 1


def test_of_a_request_that_its_webhooks_approved_nobody_is_called_any_more(api, receiver, identity, db, bus):
    api.make_webhooks(receiver, crm=Reply("eligible", answer=Answer(503)))
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    bus.wait_types(request_id, "docket.request.webhook_failed.v1")
    come_due(db, request_id)
    assert withdrawn(bus, request_id) == ("crm", "pre_approval", "request_decided")
    assert pre_approval(db, request_id, "crm")[:3] == ("given_up", "request_decided", False)


def test_a_webhook_that_was_deleted_is_owed_nothing(api, receiver, identity, db, bus):
    api.make_webhooks(receiver, crm=Answer(503), tickets=Answer())
    request_id = api.create_request(identity())["id"]
    bus.wait_types(request_id, "docket.request.webhook_failed.v1", "docket.request.webhook_sent.v1")
    must(api.delete("/dsr/webhook/pre_approval/crm"))
    assert withdrawn(bus, request_id) == (None, "pre_approval", "webhook_deleted")
    assert "Webhook 'crm' is not called any more: it was deleted" in [
        entry["message"] for entry in api.timeline(request_id)["Webhook: crm"]]


def test_a_call_beside_a_run_that_is_over_goes_with_its_webhook(api, receiver, identity, db, bus):
    """Nobody looks at a request that is complete; its call is found by itself."""
    make_steps(api, receiver, crm=one_way(Answer(503)))
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert deliveries(db, request_id)["crm"][0] == "waiting"
    put_steps(api, "pre")
    assert withdrawn(bus, request_id) == (None, "pre", "webhook_deleted")
    [(state, _, outcome)] = deliveries(db, request_id).values()
    assert (state, outcome) == ("given_up", "webhook_deleted")


def test_a_call_beside_a_run_is_given_up_when_its_connection_is_disabled(api, receiver, identity, db, bus):
    make_steps(api, receiver, crm=one_way(Answer(503)), ask=two_way(halt()))
    request_id = start(api, identity)
    api.wait_status(request_id, "paused")
    assert deliveries(db, request_id)["crm"][0] == "waiting"
    disable(api, "crm")
    assert withdrawn(bus, request_id) == ("crm", "pre", "connection_disabled")
    assert deliveries(db, request_id)["crm"] == ("given_up", 1, "connection_disabled")
    cancel(api, request_id)


# --- a call is held by what is so, not by what was so ---------------------------------------------------------


def statement(path, name):
    text = (ROOT / path).read_text()
    return re.search(rf"^-- name: {name}\n(.*?)(?=^-- name: |\Z)", text, re.MULTILINE | re.DOTALL)[1]


def array(value):
    return b'{"%s"}' % value.encode() if value is not None else b"{NULL}"


def hold(db, request_id, delivery_id, version):
    """What a worker settles that has read the configuration as of `version`."""
    parameters = [array(request_id), b"{NULL}", array(None), array(None), array("docket.request.webhook_held.v1"),
                  b"{now}", array(None), array(None), b'{"\\\\x7b7d"}', b"/docket/test/docket-worker",
                  array(delivery_id), array("held"), array(None), str(version).encode(), array(None)]
    result = db.pgconn.exec_params(statement("worker/settle.sql", "settle_deliveries").encode(), parameters)
    assert not result.error_message, result.error_message.decode()
    return result.ntuples


def test_what_holds_a_call_is_the_configuration_as_it_is(api, receiver, identity, db):
    """Else one that was enabled a moment ago would hold it for good: whoever sweeps has been here."""
    api.make_webhooks(receiver, crm=Answer(503))
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: pre_approval(db, request_id, "crm")[1] == "http_5xx", 15, "a failed call")
    delivery_id, = db.execute("select id from webhook_delivery where request_id = %s", (request_id,)).fetchone()
    version, = db.execute("select version from catalog").fetchone()
    with db.transaction(force_rollback=True):  # it is no event of anybody's
        assert hold(db, request_id, delivery_id, version - 1) == 0
        assert pre_approval(db, request_id, "crm")[0] == "waiting"
        assert hold(db, request_id, delivery_id, version) == 1
        assert pre_approval(db, request_id, "crm")[0] == "held"
