"""What people read of a request's webhooks: the timeline, the log, and how a request that stands still goes on."""

import re

import pytest

from pausing import GO, HALT, POLICY, gates  # noqa: F401
from utils import Answer, Reply, must, must_all, wait_until

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"
WAITING = "Waiting for pre-approval webhooks"
RETURNED_404 = "Webhook '{}' returned an error: Client call failed with status code '404'"


def told(api, request_id, group):
    """The group's entries as (status, message)."""
    return [(entry["status"], entry["message"]) for entry in api.timeline(request_id).get(group, [])]


def logged(api, request_id):
    log = must(api.get(f"/privacy-request/{request_id}/log"))
    return [(item["dataset_name"], item["status"], item["message"]) for item in log["items"]]


def next_step(api, request_id):
    """Where a person goes on with it: path, and what it failed at."""
    found = api.find(request_id)
    return found["resume_endpoint"], found["action_required_details"]


def failed_at(step):
    return {"step": step, "collection": None, "action_needed": None}


def resume(gates, name, request_id, **options):
    """As a receiver does: again while it is told to come back."""
    def answered():
        answer = gates.resume(name, request_id, **options)
        return answer if answer.status_code != 503 else None

    must(wait_until(answered, 30, "the reply to be taken"))


# --- policy webhooks ---------------------------------------------------------------------------------


def test_a_halt_and_the_reply_to_it(api, gates, identity):
    gates.build(crm=HALT)
    one = gates.request()
    assert next_step(api, one) == (f"/privacy-request/{one}/resume", None)
    [(status, message)] = told(api, one, "Webhook: crm")
    assert status == "awaiting_processing"
    assert re.fullmatch(rf"Webhook 'crm' halted the request\. It waits for the webhook's reply until {TIME}, "
                        "and expires then", message)
    derived = {"email": identity.email("derived"), "loyalty": identity.custom()}
    resume(gates, "crm", one, json={"derived_identity": derived})
    api.wait_status(one, "complete")
    assert told(api, one, "Webhook: crm")[1:] == [
        ("complete", "Webhook 'crm' replied. The request goes on. It told: email, custom")]
    assert next_step(api, one) == (None, None)


@pytest.mark.parametrize("when, step", [("pre_execution", "pre_webhooks"), ("post_execution", "post_webhooks")])
def test_a_webhook_that_fails_the_request_is_told_once(api, gates, when, step):
    gates.build(when, crm=Answer(404))
    one = gates.request("error")
    assert told(api, one, "Webhook: crm") == [("error", RETURNED_404.format("crm"))]
    assert logged(api, one) == [("Webhook: crm", "error", RETURNED_404.format("crm"))]
    assert next_step(api, one) == (f"/privacy-request/{one}/retry", failed_at(step))
    assert api.find(one)["finished_processing_at"]


@pytest.mark.settings(DOCKET_WEBHOOK_RETRY_SCHEDULE="200ms")
def test_attempts_before_the_last_are_told_as_such(api, gates):
    gates.build(crm=[Answer(503), Answer(503)], erp=GO)
    one = gates.request("error")
    first, last = told(api, one, "Webhook: crm")
    assert first[0] == "retrying" and re.search(rf"status code '503' \(http_5xx\)\. Next attempt at {TIME}$", first[1])
    assert last == ("error", "Webhook 'crm' returned an error: Client call failed with status code '503'")


@pytest.mark.parametrize("answer, details", [
    (Answer(body=b"fine"), "body.0: JSON decode error"),
    (Answer(json=[]), "the body is not a JSON object"),
    (Answer(json={"halt": None}), "halt: Input should be a valid boolean"),
])
def test_an_answer_that_cannot_be_read_is_told_with_place_and_rule(api, gates, answer, details):
    gates.build(crm=answer)
    one = gates.request("error")
    assert told(api, one, "Webhook: crm") == [
        ("error", f"Webhook 'crm' returned an invalid response format: {details}")]


def test_what_a_bad_answer_said_about_the_person_is_not_told(api, gates, identity):
    """Neither values nor the names of custom keys; nor on the bus, nor in a log: the fixture sees to that."""
    derived = {"phone_number": identity.derived(), identity.derived(): "not labelled"}
    gates.build(crm=Answer(json={"halt": False, "derived_identity": derived}))
    one = gates.request("error")
    [(_, message)] = told(api, one, "Webhook: crm")
    assert re.match(r"Webhook 'crm' returned an invalid response format: derived_identity\.phone_number: .*; "
                    r"derived_identity\.custom: Value error, Custom identity \"custom\" must be ", message)
    assert not identity.leaks_in("the timeline", message.encode())


def test_a_one_way_webhook_s_refusal_is_told_and_the_request_goes_on(api, gates):
    gates.build(crm=Answer(404), erp=GO)
    api.set_policy_webhooks(POLICY, "pre_execution", ("crm", "crm", "one_way"), ("erp", "erp", "two_way"))
    one = gates.request("complete")
    assert told(api, one, "Webhook: crm") == [("error", RETURNED_404.format("crm"))]
    assert told(api, one, "Webhook: erp") == []


def test_a_disabled_connection_is_passed_over(api, gates):
    gates.build(crm=GO, erp=GO)
    must_all(api.patch("/connection", [{"key": "crm", "name": "crm", "connection_type": "https", "access": "read",
                                       "disabled": True}]))
    one = gates.request("complete")
    assert told(api, one, "Webhook: crm") == [
        ("skipped", "Webhook 'crm' was not called: its connection is disabled. The request goes on without it")]


def test_lists_that_change_under_way_are_told_with_their_new_order(api, gates):
    gates.build(crm=HALT, erp=GO)
    one = gates.request()
    api.set_policy_webhooks(POLICY, "pre_execution", ("erp", "erp", "two_way"), ("crm", "crm", "two_way"))
    resume(gates, "crm", one)
    api.wait_status(one, "complete")
    assert told(api, one, "Policy webhooks") == [
        ("in_processing", "The policy's webhooks were changed while the request was running. Those that were called are "
                          "not called again. Pre-execution webhooks: erp, crm. Post-execution webhooks: none")]


@pytest.mark.settings(DOCKET_PAUSE_LIFE="1s")
def test_a_pause_that_is_over_is_told_in_the_contract_s_words(api, gates):
    gates.build(crm=HALT)
    one = gates.request("paused", "error")
    api.wait_status(one, "error")
    assert told(api, one, "Privacy request processing") == [
        ("error", "Privacy request has expired. Please resubmit information.")]
    assert next_step(api, one) == (f"/privacy-request/{one}/retry", failed_at("pre_webhooks"))


# --- collections -------------------------------------------------------------------------------------

# id, needs, state, begun, worker, due: as a worker leaves them.
TASKS = [
    ("access:shop:customer", [], "complete", True, None, None),
    ("access:shop:orders", ["access:shop:customer"], "waiting", True, "w1", "2999-01-01"),
    ("access:crm:contact", ["access:shop:customer"], "waiting", True, None, "2999-01-01"),
    ("access:desk:ticket", ["access:crm:contact", "access:shop:orders"], "waiting", False, None, None),
    ("access:mail:list", [], "skipped", True, None, None),
    ("access:pay:card", [], "failed", True, None, None),
    ("package:all", ["access:shop:orders"], "waiting", True, "w1", "2999-01-01"),
]


@pytest.fixture
def collected(api, identity, db):
    """A request with tasks in each state; it is pending itself, so that no worker touches them."""
    request_id = api.create_request(identity())["id"]
    for place, (task, needs, state, begun, worker, due) in enumerate(TASKS):
        action, dataset, collection = (task.split(":") + [None])[:3]
        db.execute(
            "insert into request_task (request_id, id, action, place, connection_key, dataset, collection, needs, "
            "state, run, due_at, worker, created_at, started_at) values (%s, %s, %s, %s, 'db', %s, %s, %s, %s, 0, %s, %s,"
            " now(), case when %s then now() end)",
            (request_id, task, action, place, collection and dataset, collection, needs, state, due, worker, begun))
    yield request_id
    db.execute("delete from request_task where request_id = %s", (request_id,))


def test_what_is_being_collected_is_told(api, collected):
    """Of each collection that was begun; a package tells only how it ended."""
    groups = api.timeline(collected)
    assert {name: [entry["collection_name"] for entry in entries] for name, entries in groups.items()
            if name != "Triggered pre-approval webhooks"} == {
        "shop": ["customer", "orders"], "crm": ["contact"], "mail": ["list"], "pay": ["card"]}
    entry = groups["crm"][0]
    assert {name: entry[name] for name in ("connection_key", "message", "action_type", "status")} == {
        "connection_key": "db", "message": "starting", "action_type": "access", "status": "in_processing"}
    log = must(api.get(f"/privacy-request/{collected}/log"))["items"]
    assert ("crm", "contact", "db", "starting") in [
        (item["dataset_name"], item["collection_name"], item["connection_key"], item["message"]) for item in log]


def test_each_dataset_has_the_worst_status_of_its_collections(api, collected):
    assert api.find(collected, verbose=True)["task_status_by_dataset"] == {
        "crm": "retrying", "desk": "pending", "mail": "skipped", "pay": "error", "shop": "in_processing"}


def test_tasks_are_listed_with_what_comes_before_and_after(api, collected):
    tasks = must(api.get(f"/privacy-request/{collected}/tasks"))
    assert [(task["collection_address"], task["status"]) for task in tasks] == [
        ("shop:customer", "complete"), ("shop:orders", "in_processing"), ("crm:contact", "retrying"),
        ("desk:ticket", "pending"), ("mail:list", "skipped"), ("pay:card", "error")]
    assert tasks[0] | {"created_at": None, "updated_at": None} == {
        "id": "access:shop:customer", "collection_address": "shop:customer", "created_at": None, "updated_at": None,
        "upstream_tasks": [], "downstream_tasks": ["crm:contact", "shop:orders"], "action_type": "access",
        "status": "complete"}
    assert tasks[3]["upstream_tasks"] == ["crm:contact", "shop:orders"]
    assert all(re.fullmatch(TIME, task[when]) for task in tasks for when in ("created_at", "updated_at"))


# --- who is waited for -------------------------------------------------------------------------------


def test_the_timeline_ends_with_who_is_waited_for(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(), tickets=Reply("eligible"), gone=Answer(404))
    one = api.create_request(identity())["id"]
    wait_until(lambda: receiver.replies and WAITING in api.timeline(one) and "Webhook: gone" in api.timeline(one), 15,
               "the two calls to be settled")
    groups = api.timeline(one)
    assert list(groups)[-1] == WAITING
    [(status, message)] = told(api, one, WAITING)
    assert status == "pending"
    since = re.fullmatch(rf"Webhook 'crm' was called and has not replied since ({TIME})", message).group(1)
    assert groups[WAITING][0]["updated_at"] == since
    assert WAITING not in [entry[0] for entry in logged(api, one)]
    assert "results" not in api.find(one)
    assert api.approve(one)
    api.wait_status(one, "complete")
    assert WAITING not in api.timeline(one)


def test_a_webhook_that_is_deleted_is_waited_for_no_more(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    one = api.create_request(identity())["id"]
    wait_until(lambda: len(told(api, one, WAITING)) == 2, 15, "both to be waited for")
    api.set_pre_approval(("tickets", "tickets"))
    [(_, message)] = told(api, one, WAITING)
    assert message.startswith("Webhook 'tickets' ")
