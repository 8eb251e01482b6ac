"""Faults of Fides that its operators see, each as what docket does instead."""

import json
import socket

import pytest
import requests

from stepping import cancel, go_on, halt, make_steps, order, start, told, two_way
from utils import Answer, Hang, Reply, must, must_all, promptly, wait_until


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_an_endpoint_that_never_answers_holds_nobody_up(stack, api, receiver, identity, db):
    """There: a worker slot is gone for good."""
    stuck = 100  # more than an endpoint may have under way in a worker
    api.make_webhooks(receiver, dead=Hang())
    ids = [api.create_request(identity())["id"] for _ in range(stuck)]
    receiver.wait_calls(64, "/dead", timeout=30)
    api.make_webhooks(receiver, crm=Reply("eligible"))
    with promptly(15):
        for _ in range(20):
            api.wait_status(api.create_request(identity())["id"], "complete")
    receiver.let_go()


def test_a_reply_sent_twice_is_answered_twice_alike(api, receiver, identity, bus):
    """There: the second gets a 400 with the database's error in it."""
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    for _ in range(3):
        reply = receiver.reply(call, "eligible")
        assert (reply.status, reply.body) == (200, "null")
    opposite = receiver.reply(call, "not-eligible")
    assert opposite.status == 400
    words = json.loads(opposite.body)["detail"]
    assert words.startswith(f"Failed to mark privacy request {request_id} as not eligible due to: ")
    assert "duplicate key" not in words and "psycopg" not in words
    assert receiver.reply(receiver.wait_calls(1, "/tickets", request_id)[0], "eligible").status == 200
    api.wait_status(request_id, "complete")
    assert receiver.reply(call, "eligible").status == 200, "even when all is over"
    bus.wait_types(request_id, "docket.request.completed.v1")
    types = [event.type for event in bus.records(key=request_id)]
    assert types.count("docket.request.pre_approval_eligible.v1") == 2


def test_an_endpoint_that_refuses_connections_fails_nothing_else(api, receiver, identity):
    """There: the create says `failed`, the request waits for ever, the webhooks after it are never called."""
    api.make_connection("down", f"http://127.0.0.1:{free_port()}/hook")
    api.make_connection("crm", receiver.script("/crm", Reply("eligible")))
    api.make_connection("tickets", receiver.script("/tickets", Reply("eligible")))
    api.set_pre_approval(("crm", "crm"), ("down", "down"), ("tickets", "tickets"))
    created = must(api.anonymous().post("/privacy-request", [
        {"policy_key": "default_erasure_policy", "identity": {"email": identity()}}]))
    assert created["failed"] == []
    request_id = created["succeeded"][0]["id"]
    wait_until(lambda: len(receiver.replies) == 2, 15, "both others to reply")
    assert {reply.status for reply in receiver.replies} == {200}
    wait_until(lambda: "Webhook: down" in api.timeline(request_id), 10, "the timeline to tell it")
    assert "connection_refused" in api.timeline(request_id)["Webhook: down"][0]["message"]
    assert api.status(request_id) == "awaiting_pre_approval"
    api.approve(request_id)
    api.wait_status(request_id, "complete")


def test_a_disabled_connection_is_not_called(api, receiver, identity):
    """There: it is."""
    api.make_webhooks(receiver, crm=Answer())
    must_all(api.patch("/connection", [{"key": "crm", "name": "crm", "connection_type": "https", "access": "read",
                                        "disabled": True}]))
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: "Webhook: crm" in api.timeline(request_id), 10, "the timeline to tell it")
    entry = api.timeline(request_id)["Webhook: crm"][0]
    assert entry["message"] == "Webhook 'crm' was not called: its connection is disabled"
    assert receiver.calls() == []


def test_in_a_burst_the_first_are_complete_long_before_the_last_is_called(api, receiver, identity, db):
    """There: nothing finishes until nearly the end, as every request's first step comes before any's second."""
    burst, bulk = 600, 50
    # Each call takes a while, so that the burst does: 64 at a time, ten rounds.
    api.make_webhooks(receiver, crm=Reply("eligible", answer=Answer(delay=0.4)))
    ids = []
    for _ in range(burst // bulk):
        elements = [{"policy_key": "default_erasure_policy", "identity": {"email": identity()}}] * bulk
        ids += [created["id"] for created in must_all(api.anonymous().post("/privacy-request", elements))]
    query = "select extract(epoch from finished_processing_at)::float from privacy_request " \
            "where id = any(%s) and status = 'complete'"
    wait_until(lambda: len(db.execute(query, (ids,)).fetchall()) == burst, 120, "all to be complete", every=0.5)
    finished = sorted(row[0] for row in db.execute(query, (ids,)))
    called = sorted(call.time for call in receiver.calls("/crm"))
    before_the_last = sum(at < called[-1] for at in finished)
    print(f"{before_the_last} of {burst} were complete when the last was called, the first after "
          f"{finished[0] - called[0]:.2f} s of {called[-1] - called[0]:.2f} s")
    assert before_the_last > burst / 10
    assert finished[0] - called[0] < (called[-1] - called[0]) / 2


def test_a_connection_in_use_is_deleted_or_refused_cleanly(api, receiver, identity):
    """There: 500."""
    api.make_webhooks(receiver, crm=Answer(), tickets=Reply("eligible"))
    request_id = api.create_request(identity())["id"]
    receiver.wait_calls(1, "/crm", request_id)
    answer = api.delete("/connection/crm")
    assert answer.status_code in (204, 409), answer.text
    if answer.status_code == 204:
        assert [webhook["key"] for webhook in must(api.get("/dsr/webhook/pre_approval"))["items"]] == ["tickets"]
        api.wait_status(request_id, "complete")


def test_a_webhook_without_name_and_key_is_refused_in_words(api, receiver):
    """There: 500."""
    api.make_webhooks(receiver, crm=Answer())
    answer = api.put("/dsr/webhook/pre_approval", [{"connection_config_key": "crm"}])
    assert answer.status_code == 422, answer.text
    assert answer.json()["detail"][0]["loc"] == ["body", 0, "name"]
    assert [webhook["key"] for webhook in must(api.get("/dsr/webhook/pre_approval"))["items"]] == ["crm"]
    for name in (None, "", "   "):
        answer = api.put("/dsr/webhook/pre_approval", [{"connection_config_key": "crm", "name": name}])
        assert 400 <= answer.status_code < 500, (name, answer.text)


# --- around a run -------------------------------------------------------------------------------------------


@pytest.mark.settings(DOCKET_WEBHOOK_TIMEOUT="2s")
def test_a_worker_killed_in_a_call_goes_on_with_that_call(stack, api, receiver, identity):
    """There: found by a poll after minutes, and then all webhooks are called again from the first."""
    make_steps(api, receiver, first=two_way(), second=two_way(Hang(), Answer(json={"halt": False})), third=two_way())
    request_id = start(api, identity)
    receiver.wait_calls(1, "/second", request_id)
    stack.workers[0].kill()
    receiver.let_go()
    stack.workers[0].start()
    api.wait_status(request_id, "complete", timeout=40)
    assert order(receiver, request_id) == ["first", "second", "second", "third"]
    assert len({call.headers["webhook-id"] for call in receiver.calls("/second", request_id)}) == 1


@pytest.mark.parametrize("body", [b"no JSON", b"[1, 2]", b""], ids=["no JSON", "a list", "nothing"])
def test_an_answer_that_is_none_is_an_error_at_once_and_told(api, receiver, identity, body):
    """There: in_processing for about 20 minutes, run four times, then an error with an empty log."""
    make_steps(api, receiver, crm=two_way(Answer(body=body)))
    request_id = start(api, identity)
    failed = api.wait_status(request_id, "error")
    assert failed["action_required_details"]["step"] == "pre_webhooks"
    assert "returned an invalid response format: " in told(api, request_id, "Webhook: crm")[-1]
    assert order(receiver, request_id) == ["crm"]


@pytest.mark.settings(DOCKET_PAUSE_LIFE="1s")
def test_a_paused_request_expires_with_workers_of_their_own(stack, api, receiver, identity, bus):
    """There: never, as the expiry lives in another process."""
    stack.start(workers=2)
    make_steps(api, receiver, crm=two_way(halt()))
    request_id = start(api, identity)
    api.wait_status(request_id, "error")
    bus.wait_types(request_id, "docket.request.expired.v1")
    types = [event.type for event in bus.records(key=request_id)]
    assert types.count("docket.request.expired.v1") == 1


def test_a_token_opens_its_own_request_and_writes_nothing_before_the_status(stack, api, receiver, identity, db):
    """There: a reply token opens any request, and the derived identity is written before the status is looked at."""
    make_steps(api, receiver, crm=two_way(halt(), halt(), go_on()))
    mine, other = start(api, identity), start(api, identity)
    for request_id in (mine, other):
        api.wait_status(request_id, "paused")
    call = receiver.calls("/crm", mine)[0]
    address = f"{stack.callback.url}/api/v1/privacy-request/{{}}/resume"
    body = {"derived_identity": {"external_id": identity.derived()}}
    headers = {"Authorization": f"Bearer {call.headers['reply-to-token']}"}
    assert requests.post(address.format(other), json=body, headers=headers, timeout=10).status_code == 403
    assert api.status(other) == "paused"
    cancel(api, mine)
    assert requests.post(address.format(mine), json=body, headers=headers, timeout=10).status_code == 400
    assert db.execute("select count(*) from webhook_delivery where request_id = any(%s) and sealed_resumed is not null",
                      ([mine, other],)).fetchone()[0] == 0
    cancel(api, other)


def test_a_resume_before_the_halting_answer_is_kept_and_applied(api, receiver, identity):
    """There: it is refused, and the request is then paused with nobody to resume it."""
    make_steps(api, receiver, crm=two_way(Reply("resume", first=True, answer=halt())), after=two_way())
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert [reply.status for reply in receiver.replies if reply.call.request_id == request_id] == [200]
    assert order(receiver, request_id) == ["crm", "after"]
