"""A run goes on rightly when its policy's lists or their connections change under it, and stops when it is canceled or
deleted: nothing is called twice, nothing is forgotten, the timeline tells."""

import pytest

from stepping import (cancel, deliveries, disable, element, go_on, halt, make_steps, one_way, order, put_steps, start,
                      told, two_way, wait_told)
from utils import Answer, must, wait_until, worker_settings

SKIPPED = "Webhook '{}' was not called: {}. The request goes on without it"
CHANGED = ("The policy's webhooks were changed while the request was running. Those that were called are not called "
           "again. Pre-execution webhooks: {}. Post-execution webhooks: {}")
LATER = Answer(json={"halt": False}, delay=60)  # or when the receiver lets go


@pytest.fixture(scope="module", autouse=True)
def one_attempt(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none", DOCKET_WEBHOOK_TIMEOUT="30s"):
        yield


@pytest.fixture
def under_way(api, receiver, identity):
    """under_way(when): the id of a request whose call to b, in the middle of a, b and c, is under way. x and y may
    come into the lists."""
    def start_one(when="pre", answer=LATER):
        for name in ("x", "y"):
            api.make_connection(name, receiver.script(f"/{name}", go_on()))
        make_steps(api, receiver, when, a=two_way(), b=two_way(answer), c=one_way())
        request_id = start(api, identity)
        receiver.wait_calls(1, "/b", request_id)
        return request_id

    return start_one


# What is put while b is called, and who is called afterwards. Each list is in the words of `listed`.
LISTS = {
    "one added at the end": ("a b c x", ["c", "x"]),
    "one added at the beginning": ("x a b c", ["x", "c"]),
    "two added in between": ("a x b y c", ["x", "y", "c"]),
    "the next one removed": ("a b", []),
    "the one under way removed": ("a c", ["c"]),
    "one that was called removed": ("b c", ["c"]),
    "the order reversed": ("c b a", ["c"]),
    "all deleted": ("", []),
    "all replaced": ("x y", ["x", "y"]),
    "replaced, and put back with the one under way": ("x b", ["x"]),
}


def listed(words):
    return [element(key, "one_way" if key == "c" else "two_way") for key in words.split()]


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("change", LISTS)
def test_a_list_that_is_changed_under_way(api, receiver, db, under_way, when, change):
    words, then = LISTS[change]
    request_id = under_way(when)
    put_steps(api, when, *listed(words))
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", *then]
    lists = [words.replace(" ", ", ") or "none", "none"]
    assert told(api, request_id, "Policy webhooks") == [CHANGED.format(*(lists if when == "pre" else lists[::-1]))]
    states = {state for state, _, _ in deliveries(db, request_id).values()}
    assert states <= {"delivered", "skipped"}


def test_the_list_after_a_run_is_changed_before_it_is_reached(api, receiver, under_way):
    make_steps(api, receiver, "post", late=one_way(), gone=one_way())
    request_id = under_way()
    put_steps(api, "post", element("x"), element("late"))
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "c", "x", "late"]


def test_one_that_moves_to_another_connection_is_called_there(api, receiver, under_way):
    request_id = under_way()
    must(api.patch("/dsr/policy/default_erasure_policy/webhook/pre_execution/c",
                   {"connection_config_key": "x", "direction": "two_way"}))
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "x"]
    assert receiver.calls("/x", request_id)[0].json["direction"] == "two_way"


def test_a_single_one_that_is_deleted_under_way(api, receiver, under_way):
    request_id = under_way()
    must(api.delete("/dsr/policy/default_erasure_policy/webhook/pre_execution/c"))
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b"]


def test_many_changes_in_a_row_are_told_once_each_run_sees_them(api, receiver, under_way):
    request_id = under_way()
    for words in ("a b c x", "x", "y c", "c"):
        put_steps(api, "pre", *listed(words))
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "c"]
    assert CHANGED.format("c", "none") == told(api, request_id, "Policy webhooks")[-1]


def test_a_run_that_begins_later_knows_of_no_change(api, receiver, identity, under_way):
    under = under_way()
    put_steps(api, "pre", *listed("x"))
    later = start(api, identity)
    api.wait_status(later, "complete")
    assert "Policy webhooks" not in api.timeline(later)
    receiver.let_go()
    api.wait_status(under, "complete")


# --- connections -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("step", [one_way, two_way])
def test_a_disabled_connection_is_skipped_and_told(api, receiver, identity, db, when, step):
    make_steps(api, receiver, when, a=step(), off=step(), c=step())
    disable(api, "off")
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "c"]
    assert told(api, request_id, "Webhook: off") == [SKIPPED.format("off", "its connection is disabled")]
    assert api.timeline(request_id)["Webhook: off"][0]["status"] == "skipped"
    assert deliveries(db, request_id)["off"] == ("skipped", 0, "connection_disabled")
    disable(api, "off", False)
    later = start(api, identity)
    api.wait_status(later, "complete")
    assert order(receiver, later) == ["a", "off", "c"]
    assert receiver.calls("/off", request_id) == [], "what was passed over stays so"


def test_all_connections_disabled(api, receiver, identity):
    make_steps(api, receiver, "pre", a=two_way(), b=one_way())
    make_steps(api, receiver, "post", c=two_way())
    for key in "abc":
        disable(api, key)
    request_id = start(api, identity)
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == []


def test_a_connection_that_is_disabled_before_the_run_comes_to_it(api, receiver, under_way):
    request_id = under_way()
    disable(api, "c")
    receiver.let_go()
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b"]
    assert told(api, request_id, "Webhook: c") == [SKIPPED.format("c", "its connection is disabled")]


def test_a_connection_that_is_disabled_while_it_is_called(api, receiver, under_way):
    """The run does not wait for an answer that nobody wants any more; the call itself is not taken back."""
    request_id = under_way()
    disable(api, "b")
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "c"]
    assert SKIPPED.format("b", "its connection is disabled") in told(api, request_id, "Webhook: b")
    receiver.let_go()
    assert api.status(request_id) == "complete"


@pytest.mark.parametrize("change, why", [("deleted", "it was deleted"), ("disabled", "its connection is disabled")])
def test_one_that_is_waited_for_between_attempts_and_goes(api, receiver, under_way, change, why):
    api.make_connection("b", receiver.url("/b"))
    must(api.patch("/docket/endpoint/b", {"retry_schedule": "1h"}))
    request_id = under_way(answer=Answer(503))
    wait_told(api, request_id, "Webhook: b", "Next attempt at ")
    if change == "deleted":
        put_steps(api, "pre", *listed("a c"))
    else:
        disable(api, "b")
    api.wait_status(request_id, "complete")
    assert order(receiver, request_id) == ["a", "b", "c"]
    assert SKIPPED.format("b", why) in told(api, request_id, "Webhook: b")


# --- pauses under change ---------------------------------------------------------------------------------------------


@pytest.fixture
def paused(api, receiver, under_way):
    """The id of a request that b has halted."""
    request_id = under_way(answer=halt())
    api.wait_status(request_id, "paused")
    return request_id


def resume(receiver, request_id):
    return receiver.reply(receiver.calls("/b", request_id)[-1], "resume").status


@pytest.mark.parametrize("words, then", [("a b c x", ["c", "x"]), ("c b a", ["c"]), ("x b", ["x"]), ("b", [])])
def test_a_list_that_is_changed_during_a_pause(api, receiver, paused, words, then):
    put_steps(api, "pre", *listed(words))
    assert api.status(paused) == "paused"
    assert resume(receiver, paused) == 200
    api.wait_status(paused, "complete")
    assert order(receiver, paused) == ["a", "b", *then]


def test_a_pause_whose_webhook_is_deleted_is_over(api, receiver, paused):
    """Nobody is left to reply."""
    put_steps(api, "pre", *listed("a c"))
    api.wait_status(paused, "complete")
    assert order(receiver, paused) == ["a", "b", "c"]
    messages = [entry["message"] for group in api.timeline(paused).values() for entry in group]
    assert "The webhook that halted the request was deleted. The request goes on" in messages
    assert resume(receiver, paused) == 404


def test_a_pause_whose_connection_is_disabled_still_ends_by_its_reply(api, receiver, paused):
    disable(api, "b")
    assert resume(receiver, paused) == 200
    api.wait_status(paused, "complete")
    assert order(receiver, paused) == ["a", "b", "c"]


# --- canceled and deleted --------------------------------------------------------------------------------------------


def soft_delete(api, request_id):
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))


ANSWERS = {"a good answer": go_on(), "a halt": halt(), "an error": Answer(500), "no JSON": Answer(body=b"<p>")}


@pytest.mark.parametrize("when", ["pre", "post"])
@pytest.mark.parametrize("end, status", [(cancel, "canceled"), (soft_delete, "in_processing")])
@pytest.mark.parametrize("answer", ANSWERS)
def test_a_run_that_is_ended_while_a_call_is_under_way(api, receiver, db, bus, under_way, when, end, status, answer):
    """It stops at the next step, and what the call brings changes nothing. In the reference a later step writes over
    `canceled`."""
    slow = Answer(**vars(ANSWERS[answer]) | {"delay": 60})
    request_id = under_way(when, answer=slow)
    end(api, request_id)
    receiver.let_go()
    # Whatever follows from the answer is on record before a later request is through all of this.
    wait_until(lambda: receiver.most_under_way("/b") and not receiver._under_way["/b"], 10, "the answer to be sent")
    put_steps(api, when, *listed("a c"))
    api.wait_status(start(api, "later@example.org"), "complete")
    request = api.find(request_id, include_deleted_requests=True)
    assert request["status"] == status and request["finished_processing_at"] is None
    assert order(receiver, request_id) == ["a", "b"]
    types = [event.type for event in bus.records(key=request_id)]
    assert not {"docket.request.completed.v1", "docket.request.failed.v1", "docket.request.paused.v1"} & set(types)
    assert "waiting" not in {state for state, _, _ in deliveries(db, request_id).values()}


def test_a_pause_that_is_canceled_is_over(api, receiver, db, paused):
    cancel(api, paused)
    assert db.execute("select count(*) from request_timer where request_id = %s", (paused,)).fetchone() == (0,)
    assert resume(receiver, paused) == 400
    assert api.status(paused) == "canceled" and order(receiver, paused) == ["a", "b"]
