"""What a reply is answered: by what is on record, by what is on its way, and at whichever program it comes in."""

import threading
import uuid

import pytest
import requests

from replying import DONE, Replies, contradicts, not_awaited, outcome
from utils import Answer, must, wait_until

ELIGIBLE = "docket.request.pre_approval_eligible.v1"
NOT_ELIGIBLE = "docket.request.pre_approval_not_eligible.v1"


@pytest.fixture
def replies(stack):
    return Replies(stack)


@pytest.fixture
def ask(api, receiver, identity, db):
    """ask("crm", "legal"): a request that waits for these; its id and theirs. They never reply by themselves."""
    def ask(*names):
        if {webhook["key"] for webhook in must(api.get("/dsr/webhook/pre_approval"))["items"]} != set(names):
            api.make_webhooks(receiver, **dict.fromkeys(names, Answer()))
        request_id = api.create_request(identity())["id"]
        ids = dict(db.execute("select key, id from pre_approval_webhook").fetchall())
        return request_id, *(ids[name] for name in names)

    return ask


@pytest.fixture
def nobody_consumes(stack, ask):
    """Replies stay on their way: no worker records them."""
    stack.keep_workers(0)
    yield
    stack.start(1)


def programs(stack):
    return [stack.callback.url, stack.api.url]


def at_once(*functions):
    """Runs them side by side; their results."""
    together = threading.Barrier(len(functions), timeout=20)
    results = [None] * len(functions)

    def run(place, function):
        together.wait()
        results[place] = function()

    threads = [threading.Thread(target=run, args=item) for item in enumerate(functions)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def count(bus, request_id, event_type, topic="lifecycle"):
    """How many different events of this type the request has."""
    return len({event.id for event in bus.records(topic, request_id) if event.type == event_type})


# --- on record -------------------------------------------------------------------------------------------


def test_a_repeated_reply_is_answered_like_the_first_whatever_became_of_the_request(ask, replies, api, bus, db):
    request_id, crm, legal = ask("crm", "legal")
    for _ in range(3):
        assert replies.say(crm, request_id, "eligible") == DONE
    bus.wait_types(request_id, ELIGIBLE)
    assert replies.say(crm, request_id, "eligible") == DONE
    assert replies.say(legal, request_id, "eligible") == DONE
    api.wait_status(request_id, "complete")
    assert replies.say(crm, request_id, "eligible") == DONE
    bus.wait_types(request_id, "docket.request.completed.v1")
    assert count(bus, request_id, ELIGIBLE) == 2
    assert count(bus, request_id, "docket.request.approved.v1") == 1
    assert db.execute("select count(*) from pre_approval_reply where request_id = %s",
                      [request_id]).fetchone() == (2,)


def test_the_opposite_is_refused_while_others_are_waited_for(ask, replies, api, bus):
    request_id, crm, _ = ask("crm", "legal")
    assert replies.say(crm, request_id, "eligible") == DONE
    assert replies.say(crm, request_id, "not-eligible") == contradicts(request_id, "not-eligible")
    bus.wait_types(request_id, ELIGIBLE)
    assert replies.say(crm, request_id, "not-eligible") == contradicts(request_id, "not-eligible")
    assert api.status(request_id) == "awaiting_pre_approval"


def test_after_an_objection_only_the_objection_itself_may_be_said_again(ask, replies, api):
    request_id, crm, legal = ask("crm", "legal")
    assert replies.say(crm, request_id, "not-eligible") == DONE
    api.wait_status(request_id, "pre_approval_not_eligible")
    assert replies.say(crm, request_id, "not-eligible") == DONE
    assert replies.say(crm, request_id, "eligible") == not_awaited(request_id)
    assert replies.say(legal, request_id, "eligible") == not_awaited(request_id)
    assert replies.say(legal, request_id, "not-eligible") == not_awaited(request_id)


def test_what_is_on_record_needs_no_event(ask, replies, bus):
    request_id, crm, _ = ask("crm", "legal")
    assert replies.say(crm, request_id, "eligible") == DONE
    bus.wait_types(request_id, ELIGIBLE)
    before = len(bus.records("callbacks", request_id))
    assert replies.say(crm, request_id, "eligible") == DONE
    assert len(bus.records("callbacks", request_id)) == before == 1


@pytest.mark.by_hand
def test_a_deleted_request_takes_no_replies(ask, replies, db):
    request_id, crm, legal = ask("crm", "legal")
    assert replies.say(crm, request_id, "eligible") == DONE
    wait_until(lambda: db.execute("select 1 from pre_approval_reply where request_id = %s", [request_id]).fetchone(),
               10, "the reply to be on record")
    db.execute("update privacy_request set deleted_at = now() where id = %s", [request_id])
    assert replies.say(legal, request_id, "eligible") == not_awaited(request_id)
    assert replies.say(crm, request_id, "eligible") == DONE


def test_a_webhook_that_is_unknown_comes_before_a_request_that_is(ask, replies):
    request_id, crm = ask("crm")
    unknown = f"pri_{uuid.uuid4()}"
    assert replies.say("pre_none", unknown, "eligible") == (404, "No Pre-Approval Webhook found with id 'pre_none'.")
    assert replies.say(crm, unknown, "eligible") == (404, f"No privacy request found with id: '{unknown}'.")
    unbound = outcome(replies.post(unknown, "eligible", replies.token(crm)))
    assert unbound == (404, f"No privacy request found with id: '{unknown}'.")


@pytest.mark.parametrize("odd", ["x" * 5000, "%FF", "%C3%28", "a%0Ab", "'; drop table privacy_request; --"])
def test_an_id_that_can_be_none_of_ours_is_not_found(ask, replies, odd):
    """It is not even asked for, so it can't disturb the replies that are judged with it."""
    _, crm = ask("crm")
    assert replies.post(odd, "eligible", replies.token(crm)).status_code in (400, 404)


def test_a_refused_token_leaves_nothing_on_the_bus(ask, replies, bus):
    request_id, crm = ask("crm")
    other_id, _ = ask("crm")
    refused = replies.post(request_id, "eligible", replies.token(crm, other_id))
    assert outcome(refused) == (403, "Not Authorized for this action")
    assert bus.records("callbacks", request_id) == bus.records("callbacks", other_id) == []


# --- on their way ----------------------------------------------------------------------------------------


def test_what_is_on_its_way_counts_as_if_it_were_on_record(stack, ask, replies, nobody_consumes, bus):
    request_id, crm, legal = ask("crm", "legal")
    here, there = programs(stack)
    assert replies.say(crm, request_id, "eligible", here) == DONE
    assert replies.say(crm, request_id, "eligible", there) == DONE
    assert replies.say(crm, request_id, "not-eligible", there) == contradicts(request_id, "not-eligible")
    assert replies.say(legal, request_id, "not-eligible", there) == DONE
    assert replies.say(legal, request_id, "eligible", here) == contradicts(request_id, "eligible")
    assert replies.say(crm, request_id, "eligible", here) == DONE, "it had said so before"
    said = [(event.id, event.key, event.headers["ce_source"].rpartition("/")[2])
            for event in bus.records("callbacks", request_id)]
    ids = {verdict: f"{request_id}.{webhook}.{verdict}"
           for verdict, webhook in (("eligible", crm), ("not_eligible", legal))}
    assert said == [(ids["eligible"], request_id, "docket-callback"), (ids["eligible"], request_id, "docket-api"),
                    (ids["not_eligible"], request_id, "docket-api"),
                    (ids["eligible"], request_id, "docket-callback")]


def test_an_objection_on_its_way_ends_the_waiting(ask, replies, nobody_consumes):
    request_id, crm, legal, third = ask("crm", "legal", "third")
    assert replies.say(crm, request_id, "eligible") == DONE
    assert replies.say(legal, request_id, "not-eligible") == DONE
    assert replies.say(third, request_id, "eligible") == not_awaited(request_id)
    assert replies.say(third, request_id, "not-eligible") == not_awaited(request_id)


def test_an_objection_of_a_webhook_that_was_deleted_keeps_nobody_out(api, ask, replies, nobody_consumes):
    request_id, crm, legal = ask("crm", "legal")
    assert replies.say(crm, request_id, "not-eligible") == DONE
    assert replies.say(legal, request_id, "eligible") == not_awaited(request_id)
    must(api.delete("/dsr/webhook/pre_approval/crm"))
    assert replies.say(legal, request_id, "eligible") == DONE


def test_what_was_on_its_way_is_recorded_by_the_next_worker(stack, api, ask, replies, nobody_consumes):
    request_id, crm, legal = ask("crm", "legal")
    assert replies.say(crm, request_id, "eligible") == DONE
    assert replies.say(legal, request_id, "eligible") == DONE
    assert api.status(request_id) == "awaiting_pre_approval"
    stack.start(1)
    api.wait_status(request_id, "complete")


@pytest.mark.parametrize("first, second", [("eligible", "not-eligible"), ("not-eligible", "not-eligible")])
def test_of_two_that_exclude_each_other_one_is_taken(stack, ask, replies, nobody_consumes, first, second):
    """The same webhook saying both, or two webhooks objecting: at two programs at the same moment."""
    here, there = programs(stack)
    for _ in range(20):
        request_id, crm, legal = ask("crm", "legal")
        other = crm if first != second else legal
        answers = at_once(lambda: replies.say(crm, request_id, first, here),
                          lambda: replies.say(other, request_id, second, there))
        assert sorted(status for status, _ in answers) == [200, 400], answers


def test_replies_of_many_webhooks_at_many_doors_approve_once(stack, api, ask, replies, bus):
    names = [f"w{number}" for number in range(6)]
    asked = [ask(*names) for _ in range(5)]
    doors = programs(stack)
    answers = at_once(*(lambda request_id=request_id, webhook=webhook, door=doors[place % 2]:
                        replies.say(webhook, request_id, "eligible", door)
                        for request_id, *webhooks in asked for place, webhook in enumerate(webhooks)))
    assert set(answers) == {DONE}
    for request_id, *_ in asked:
        api.wait_status(request_id, "complete")
        bus.wait_types(request_id, "docket.request.completed.v1")
        assert count(bus, request_id, "docket.request.approved.v1") == 1
        assert count(bus, request_id, ELIGIBLE) == len(names)


def test_contradictions_at_once_never_leave_a_request_between(stack, api, ask, replies):
    """Whatever comes in which order: what was answered 200 first is what becomes of it."""
    doors = programs(stack)
    for _ in range(5):
        request_id, crm, legal = ask("crm", "legal")
        answers = at_once(*(lambda webhook=webhook, verdict=verdict, door=door:
                            (webhook, verdict, replies.say(webhook, request_id, verdict, door))
                            for webhook in (crm, legal) for verdict in ("eligible", "not-eligible")
                            for door in doors))
        taken = {(webhook, verdict) for webhook, verdict, answer in answers if answer == DONE}
        objected = any(verdict == "not-eligible" for _, verdict in taken)
        assert len({webhook for webhook, _ in taken}) == len(taken), "a webhook has said both"
        api.wait_status(request_id, "pre_approval_not_eligible" if objected else "complete")


# --- docket-callback itself ------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, status, text", [
    ("GET", "/nothing", 404, "Item not found"),
    ("POST", "/api/v1/connection", 404, "Item not found"),
    ("POST", "/privacy-request//pre-approve/eligible", 404, "Item not found"),
    ("GET", "/privacy-request/pri_1/pre-approve/eligible", 405, "Method Not Allowed"),
    ("DELETE", "/v1/privacy_request/pri_1/pre-approve/not-eligible/", 405, "Method Not Allowed"),
    ("POST", "/health", 405, "Method Not Allowed"),
    ("POST", "/api/v1/privacy-request/pri_1/pre-approve/eligible/", 401, "Failed to authenticate"),
    ("POST", "/v1/privacy_request/pri_1/pre-approve/not-eligible", 401, "Failed to authenticate"),
])
def test_paths_and_methods(stack, method, path, status, text):
    answer = requests.request(method, f"{stack.callback.url}{path}", timeout=10)
    assert outcome(answer) == (status, text)


def test_a_body_is_refused_in_the_contract_s_order(ask, replies):
    request_id, crm = ask("crm")
    token = replies.token(crm, request_id)
    malformed = replies.post(request_id, "eligible", data=b'{"a":')
    assert malformed.status_code == 422 and malformed.json()["detail"][0]["type"] == "json_invalid"
    assert outcome(replies.post(request_id, "eligible", data=b"[]")) == (401, "Failed to authenticate")
    assert replies.post(request_id, "eligible", token, data=b"[]").status_code == 422
    assert replies.post(request_id, "eligible", token, data=b" " * 100_000).status_code == 413
    assert replies.post(request_id, "eligible", token).status_code == 200


def test_its_metrics_count_answers(stack, ask, replies):
    request_id, crm, _ = ask("crm", "legal")
    replies.say(crm, request_id, "eligible")
    replies.say(crm, request_id, "not-eligible")
    text = stack.callback.metrics()
    assert 'docket_replies_total{verdict="eligible",answer="sent"}' in text
    assert 'docket_replies_total{verdict="not_eligible",answer="bad_request"}' in text
    assert 'docket_dependency_up{dependency="kafka"} 1' in text
