"""Nothing that waits is forgotten when webhooks and connections change under it."""

import socket

import pytest

from utils import Answer, Reply, must, must_all, wait_until, worker_settings

DISABLED = "Webhook '{}' was not called: its connection is disabled"
ENABLED = "Webhook '{}' is called: its connection is enabled again"


def waiting_requests(api, receiver, identity, path, count=3):
    """Requests that were put to the webhook at `path` and have no reply of it."""
    ids = [api.create_request(identity())["id"] for _ in range(count)]
    for request_id in ids:
        receiver.wait_calls(1, path, request_id)
    return ids


def disable(api, key, disabled=True):
    stored = must(api.get(f"/connection/{key}"))
    element = {name: stored[name] for name in ("key", "name", "connection_type", "access")}
    must_all(api.patch("/connection", [element | {"disabled": disabled}]))


def messages(api, request_id, group):
    return [entry["message"] for entry in api.timeline(request_id).get(group, [])]


def wait_message(api, request_id, group, message):
    wait_until(lambda: message in messages(api, request_id, group), 15,
               lambda: f"the timeline to say {message!r}: {api.timeline(request_id)}")


def wait_replied(receiver, count):
    wait_until(lambda: len(receiver.replies) >= count, 15, f"{count} replies")
    assert {reply.status for reply in receiver.replies} == {200}


def test_a_webhook_added_meanwhile_is_asked_about_what_waits(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    ids = waiting_requests(api, receiver, identity, "/crm")
    api.make_connection("tickets", receiver.script("/tickets", Reply("eligible")))
    api.set_pre_approval(("crm", "crm"), ("tickets", "tickets"))
    for request_id in ids:
        receiver.wait_calls(1, "/tickets", request_id)
    wait_replied(receiver, len(ids))
    for request_id in ids:
        assert api.status(request_id) == "awaiting_pre_approval", "crm has not said anything yet"
        assert len(receiver.calls("/crm", request_id)) == 1
        assert receiver.reply(receiver.calls("/crm", request_id)[0], "eligible").status == 200
    for request_id in ids:
        api.wait_status(request_id, "complete")
        assert messages(api, request_id, "Triggered pre-approval webhooks")[-1].endswith(": tickets")


def test_a_webhook_added_meanwhile_may_object(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    request_id = waiting_requests(api, receiver, identity, "/crm", 1)[0]
    api.make_connection("tickets", receiver.script("/tickets", Reply("not-eligible")))
    api.set_pre_approval(("crm", "crm"), ("tickets", "tickets"))
    api.wait_status(request_id, "pre_approval_not_eligible")


def test_what_waited_only_for_a_deleted_webhook_goes_on(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("eligible"), tickets=Answer())
    ids = waiting_requests(api, receiver, identity, "/tickets")
    wait_replied(receiver, len(ids))
    assert {api.status(request_id) for request_id in ids} == {"awaiting_pre_approval"}
    must(api.delete("/dsr/webhook/pre_approval/tickets"))
    for request_id in ids:
        api.wait_status(request_id, "complete")


def test_a_deleted_connection_takes_its_webhook_along(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("eligible"), tickets=Answer())
    ids = waiting_requests(api, receiver, identity, "/tickets")
    wait_replied(receiver, len(ids))
    must(api.delete("/connection/tickets"), 204)
    for request_id in ids:
        api.wait_status(request_id, "complete")


def test_with_no_webhook_left_a_person_decides(api, receiver, identity, db):
    """Never approved without a single eligible reply."""
    api.make_webhooks(receiver, crm=Answer())
    ids = waiting_requests(api, receiver, identity, "/crm")
    must(api.delete("/dsr/webhook/pre_approval/crm"))
    wait_until(lambda: not db.execute("select 1 from review_sweep").fetchone(), 15, "the requests to be looked at")
    assert {api.status(request_id) for request_id in ids} == {"awaiting_pre_approval"}
    api.approve(*ids)
    for request_id in ids:
        api.wait_status(request_id, "complete")


def test_a_deleted_webhook_is_called_no_more(stack, api, receiver, identity, db):
    """What it was still owed is settled, not left behind."""
    api.make_webhooks(receiver, crm=Answer(503), tickets=Answer())
    request_id = waiting_requests(api, receiver, identity, "/tickets", 1)[0]
    state = "select state, outcome from webhook_delivery where request_id = %s and webhook_id = %s"
    webhook_id = db.execute("select id from pre_approval_webhook where key = 'crm'").fetchone()[0]
    wait_until(lambda: db.execute(state, (request_id, webhook_id)).fetchone()[1] == "http_5xx", 10, "a failed call")
    must(api.delete("/dsr/webhook/pre_approval/crm"))
    wait_until(lambda: db.execute(state, (request_id, webhook_id)).fetchone() == ("given_up", "webhook_deleted"), 15,
               lambda: f"its call to be dropped: {db.execute(state, (request_id, webhook_id)).fetchone()}")


def test_a_disabled_connection_is_not_called_and_the_timeline_says_so(api, receiver, identity):
    api.make_webhooks(receiver, crm=Reply("eligible"), tickets=Reply("eligible"))
    disable(api, "tickets")
    request_id = api.create_request(identity())["id"]
    wait_replied(receiver, 1)
    wait_message(api, request_id, "Webhook: tickets", DISABLED.format("tickets"))
    assert receiver.calls("/tickets", request_id) == []
    assert api.status(request_id) == "awaiting_pre_approval"
    disable(api, "tickets", False)
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/tickets", request_id)) == 1
    assert ENABLED.format("tickets") in messages(api, request_id, "Webhook: tickets")


def test_a_connection_disabled_between_attempts_is_not_called_again(api, receiver, identity, stack):
    """And that it was not is told when the next attempt is due, long after the worker knows."""
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="3s", DOCKET_WEBHOOK_RETRY_JITTER=0):
        api.make_webhooks(receiver, crm=Answer(503))
        request_id = waiting_requests(api, receiver, identity, "/crm", 1)[0]
        disable(api, "crm")
        wait_message(api, request_id, "Webhook: crm", DISABLED.format("crm"))
    assert len(receiver.calls("/crm", request_id)) == 1
    receiver.script("/crm", Reply("eligible"))
    disable(api, "crm", False)
    api.wait_status(request_id, "complete")
    first, second = receiver.calls("/crm", request_id)
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


def test_a_worker_that_comes_back_goes_on_with_its_own_sweep(stack, db):
    """And waits for no lease of the one that it was."""
    worker = f"{socket.gethostname()}/{stack.listen(stack.workers[0])}"
    db.execute("insert into review_sweep (reason, lease_until, worker) values ('test', now() + interval '1 hour', %s)",
               (worker,))
    with worker_settings(stack):
        wait_until(lambda: not db.execute("select 1 from review_sweep").fetchone(), 15, "the sweep to be made")


def test_a_webhook_moved_to_another_connection_is_called_there(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    before = waiting_requests(api, receiver, identity, "/crm", 1)[0]
    api.make_connection("new_crm", receiver.script("/new", Answer()), authorization="new")
    must(api.patch("/dsr/webhook/pre_approval/crm", {"connection_config_key": "new_crm"}))
    after = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/new", after)[0]
    assert call.headers["Authorization"] == "new"
    assert receiver.calls("/crm", after) == []
    assert receiver.reply(receiver.calls("/crm", before)[0], "eligible").status == 200, "the token is the webhook's"
    assert receiver.reply(call, "eligible").status == 200
    for request_id in (before, after):
        api.wait_status(request_id, "complete")


def test_a_failed_call_is_made_again_where_the_webhook_was_moved_to(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer(503))
    request_id = waiting_requests(api, receiver, identity, "/crm", 1)[0]
    api.make_connection("new_crm", receiver.script("/new", Reply("eligible")))
    must(api.patch("/dsr/webhook/pre_approval/crm", {"connection_config_key": "new_crm"}))
    due = "update webhook_delivery set due_at = now() where request_id = %s and state = 'waiting' and attempts = 1"
    wait_until(lambda: db.execute(due, (request_id,)).rowcount, 10, "the next attempt to be planned")
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/crm", request_id)) == 1
    assert len(receiver.calls("/new", request_id)) == 1


def test_a_webhook_moved_off_a_disabled_connection_is_called(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    disable(api, "crm")
    request_id = api.create_request(identity())["id"]
    wait_message(api, request_id, "Webhook: crm", DISABLED.format("crm"))
    api.make_connection("new_crm", receiver.script("/new", Reply("eligible")))
    must(api.patch("/dsr/webhook/pre_approval/crm", {"connection_config_key": "new_crm"}))
    api.wait_status(request_id, "complete")
    assert receiver.calls("/crm", request_id) == []


@pytest.mark.parametrize("delete", [False, True], ids=["kept", "deleted"])
def test_what_was_parked_is_called_where_its_webhook_was_moved_to(api, receiver, identity, db, delete):
    """Whatever became of the connection that it was parked for."""
    api.make_webhooks(receiver, crm=Answer(503))
    request_id = waiting_requests(api, receiver, identity, "/crm", 1)[0]
    later = "update webhook_delivery set due_at = now() + interval '%s' where request_id = %%s and state = 'waiting'"
    wait_until(lambda: db.execute(later % "1 hour", (request_id,)).rowcount, 10, "the next attempt to be planned")
    api.make_connection("new_crm", receiver.script("/new", Reply("eligible")))
    must(api.patch("/dsr/webhook/pre_approval/crm", {"connection_config_key": "new_crm"}))
    if delete:
        must(api.delete("/connection/crm"), 204)
    another = api.create_request(identity())["id"]  # by then the worker has seen the new configuration
    api.wait_status(another, "complete")
    db.execute(later % "0 seconds", (request_id,))
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/new", request_id)) == 1


def test_a_new_url_is_used_from_the_next_call_on(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    waiting_requests(api, receiver, identity, "/crm", 1)
    must(api.patch("/connection/crm/secret", {"url": receiver.script("/moved", Reply("eligible"))}))
    api.wait_status(api.create_request(identity())["id"], "complete")
    assert len(receiver.calls("/moved")) == 1
