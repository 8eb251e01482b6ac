"""A pre-approval webhook that stays silent is called again, as often as is set, and never otherwise."""

import pytest

from utils import Answer, Reply, must, wait_until, worker_settings


@pytest.fixture(scope="module", autouse=True)
def reminding_worker(stack):
    with worker_settings(stack, DOCKET_PRE_APPROVAL_REMINDER="1s", DOCKET_WEBHOOK_RETRY_SCHEDULE="none"):
        yield


def delivery(db, request_id):
    return db.execute("select state, attempts, due_at is not null from webhook_delivery where request_id = %s",
                      (request_id,)).fetchone()


def events(db, request_id):
    return [kind for (kind,) in db.execute("select type from request_event where request_id = %s order by seq",
                                           (request_id,))]


def test_a_silent_webhook_is_called_again_until_it_replies(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=[Answer(), Answer(), Reply("eligible")])
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    calls = receiver.calls("/crm", request_id)
    assert len(calls) == 3
    assert len({call.headers["webhook-id"] for call in calls}) == 1
    assert all(later.time - earlier.time > 0.9 for earlier, later in zip(calls, calls[1:]))
    assert events(db, request_id).count("docket.request.webhook_reminded.v1") == 2
    assert events(db, request_id).count("docket.request.webhook_sent.v1") == 1


def test_the_timeline_tells_who_was_reminded_and_who_is_waited_for(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(), tickets=Reply("eligible"))
    request_id = api.create_request(identity())["id"]
    receiver.wait_calls(2, "/crm", request_id)
    wait_until(lambda: len(api.timeline(request_id).get("Webhook: crm", [])) >= 1, 15, "the reminder on the timeline")
    waited = api.timeline(request_id)["Waiting for pre-approval webhooks"]
    assert ["crm" in entry["message"] for entry in waited] == [True]


def test_a_reminder_that_fails_is_no_failure_of_the_call(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=[Answer(), Answer(500), Reply("eligible")])
    request_id = api.create_request(identity())["id"]
    api.wait_status(request_id, "complete")
    assert delivery(db, request_id)[:2] == ("delivered", 3)


def test_of_a_decided_request_nobody_is_reminded(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: delivery(db, request_id)[0] == "delivered", 15, "the call to be delivered")
    api.deny(request_id)
    wait_until(lambda: not delivery(db, request_id)[2], 15, "the reminder to be taken back")
    assert len(receiver.calls("/crm", request_id)) == 1


def test_without_an_interval_nobody_is_reminded(api, receiver, identity, db, stack):
    api.make_webhooks(receiver, crm=Answer())
    with worker_settings(stack, DOCKET_PRE_APPROVAL_REMINDER="0s"):
        request_id = api.create_request(identity())["id"]
        wait_until(lambda: delivery(db, request_id)[0] == "delivered", 15, "the call to be delivered")
        assert delivery(db, request_id) == ("delivered", 1, False)
    must(api.patch("/privacy-request/administrate/cancel", {"request_ids": [request_id]}))
