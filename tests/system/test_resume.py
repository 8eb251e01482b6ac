"""A webhook that halted a request says that it may go on: once, in its own name, at whichever program."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests

from pausing import COMPLETED, GO, HALT, PAUSED, RESUME_KEPT, RESUMED, gates  # noqa: F401
from replying import REVIEW, outcome
from utils import Answer, Hang, must, must_all, wait_until

FORBIDDEN = (403, "Not Authorized for this action")
PROGRAMS = ("callback", "api")


def wrong_status(request_id, status):
    return 400, f"Invalid resume request: privacy request '{request_id}' status = {status}."


def errors(answer):
    assert answer.status_code == 422, answer.text
    return [(error["type"], error["loc"]) for error in answer.json()["detail"]]


class Early:
    """Replies before it answers that it halts."""

    def __init__(self, gates, *bodies):
        self.gates, self.bodies, self.answers = gates, bodies, []

    def __call__(self, receiver, handler, call):
        token = call.headers["reply-to-token"]
        for body in self.bodies:
            self.answers.append(self.gates.replies.resume(call.request_id, token, json=body))
        HALT(receiver, handler, call)


# --- the way it goes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_paused_request_goes_on(stack, api, gates, bus, receiver, program):
    gates.build(gate=HALT, after=GO)
    request_id = gates.request()
    assert receiver.calls("/after", request_id) == []
    shown = must(gates.resume("gate", request_id, url=getattr(stack, program).url))
    assert shown["id"] == request_id and shown["status"] == "in_processing"
    api.wait_status(request_id, "complete")
    assert len(receiver.calls("/gate", request_id)) == len(receiver.calls("/after", request_id)) == 1
    events = bus.wait_types(request_id, PAUSED, RESUMED, COMPLETED)
    [resumed] = {event.id: event for event in events if event.type == RESUMED}.values()
    assert resumed.data["status"] == "in_processing" and resumed.data["by"] == "webhook"
    assert resumed.data["webhook_id"] == gates.ids["gate"] and "derived" not in resumed.data
    assert resumed.headers["ce_source"].endswith(f"/docket-{program}")


def test_the_answer_is_the_request_as_search_shows_it(stack, api, gates):
    """But for what only lists tell, and what the run changes meanwhile."""
    gates.build(gate=HALT, after=Hang())
    shown = [must(gates.resume("gate", gates.request(), url=getattr(stack, program).url)) for program in PROGRAMS]
    for request in shown:
        assert request == api.find(request["id"]) | {"resume_endpoint": None}
        assert request["policy"]["key"] == "gated" and request["policy"]["rules"][0]["key"] == "all_of_gated"


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1", ""])
@pytest.mark.parametrize("name", ["privacy-request", "privacy_request"])
@pytest.mark.parametrize("program", PROGRAMS)
def test_every_path_that_documents_have_shown(stack, gates, program, prefix, name):
    url, path = getattr(stack, program).url, f"{prefix}/{name}/{{}}/resume"
    for slash in ("", "/"):
        assert outcome(gates.replies.resume("pri_1", url=url, path=path + slash)) == (401, "Failed to authenticate")


def test_by_the_address_and_token_of_the_call(gates, receiver, api):
    gates.build(gate=HALT)
    request_id = gates.request()
    [call] = receiver.calls("/gate", request_id)
    assert call.headers["reply-to"] == f"/privacy-request/{request_id}/resume"
    assert receiver.reply(call, "resume").status == 200
    api.wait_status(request_id, "complete")


def test_two_webhooks_halt_in_turn(gates, api, receiver):
    gates.build(first=HALT, second=HALT)
    request_id = gates.request()
    assert outcome(gates.resume("second", request_id)) == FORBIDDEN
    must(gates.resume("first", request_id))
    wait_until(lambda: receiver.calls("/second", request_id), 10, "the second to be called")
    api.wait_status(request_id, "paused")
    assert outcome(gates.resume("first", request_id)) == FORBIDDEN
    must(gates.resume("second", request_id))
    api.wait_status(request_id, "complete")


# --- derived identity ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_derived_identity_is_sealed_and_told_to_who_comes_after(stack, gates, receiver, api, db, identity, bus,
                                                                  program):
    gates.build(gate=HALT, after=GO)
    request_id = gates.request()
    phone, loyalty = identity.phone(), identity.custom()
    body = {"derived_identity": {"phone_number": phone, "loyalty_id": loyalty, "external_id": None}}
    must(gates.resume("gate", request_id, url=getattr(stack, program).url, json=body))
    api.wait_status(request_id, "complete")
    [call] = receiver.calls("/after", request_id)
    assert call.json["identity"]["phone_number"] == phone and call.json["identity"]["loyalty_id"] == loyalty
    assert call.json["identity"]["email"], "what was not told stays"
    at, sealed = gates.delivery("gate", request_id, "resumed_at, sealed_resumed")
    assert at and phone.encode() not in sealed and loyalty["value"].encode() not in sealed
    row = db.execute("select p::text from privacy_request p where id = %s", (request_id,)).fetchone()[0]
    assert phone not in row and phone.encode().hex() not in row
    [resumed] = [event for event in bus.wait_types(request_id, RESUMED) if event.type == RESUMED][:1]
    assert resumed.data["derived"] == ["phone_number", "custom"]


@pytest.mark.parametrize("body", [{}, {"derived_identity": None}, {"derived_identity": {}}, {"else": 1},
                                  {"derived_identity": {"email": None}}])
def test_nothing_derived_is_fine(gates, body):
    gates.build(gate=HALT)
    request_id = gates.request()
    must(gates.resume("gate", request_id, json=body))
    assert gates.delivery("gate", request_id, "resumed_at is not null, sealed_resumed") == (True, None)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_body_that_does_not_fit_names_the_field_and_changes_nothing(stack, gates, api, program):
    gates.build(gate=HALT)
    request_id = gates.request()
    url, token = getattr(stack, program).url, gates.token("gate", request_id)

    def refused(**options):
        return errors(gates.replies.resume(request_id, token, url, **options))

    derived = ["body", "derived_identity"]
    assert refused(data=b'{"a":')[0][0] == "json_invalid"
    assert refused(data=b"") == [("missing", ["body"])]
    assert [loc for _, loc in refused(data=b"[]") + refused(data=b"null") + refused(data=b"7")] == [["body"]] * 3
    assert refused(json={"derived_identity": []})[0][1] == derived
    assert refused(json={"derived_identity": {"email": "nobody"}})[0][1] == [*derived, "email"]
    assert refused(json={"derived_identity": {"phone_number": "0123"}})[0][1] == [*derived, "phone_number"]
    assert refused(json={"derived_identity": {"fides_user_device_id": "x"}})[0][1] == [*derived,
                                                                                       "fides_user_device_id"]
    assert refused(json={"derived_identity": {"loyalty_id": "CH-1"}})[0][1] == [*derived, "loyalty_id"]
    assert gates.replies.resume(request_id, token, url, data=b" " * 100_000).status_code == 413
    assert api.status(request_id) == "paused"
    assert gates.delivery("gate", request_id, "resumed_at, sealed_resumed") == (None, None)


# --- who may, and in which order it is looked at -------------------------------------------------------------


@pytest.mark.parametrize("program", PROGRAMS)
def test_tokens(stack, gates, api, program):
    gates.build(gate=HALT)
    request_id, other_id = gates.request(), gates.request()
    url = getattr(stack, program).url

    def say(token, **options):
        return outcome(gates.replies.resume(request_id, token, url, **options))

    assert say(None) == (401, "Failed to authenticate")
    assert say("no.token") == FORBIDDEN
    assert say(gates.token("gate", other_id)) == FORBIDDEN, "it names another request"
    assert say(gates.replies.token(gates.ids["gate"], request_id, REVIEW)) == FORBIDDEN
    assert say(gates.token("gate", request_id, age=timedelta(hours=61))) == (403, "Webhook token expired")
    assert say(None, data=b"[]") == (401, "Failed to authenticate"), "before the body's shape"
    assert gates.replies.resume(request_id, None, url, data=b"{").status_code == 422, "JSON comes before the token"
    assert api.session.headers["Authorization"]
    assert say(api.session.headers["Authorization"].removeprefix("Bearer ")) == FORBIDDEN
    assert api.status(request_id) == "paused"
    must(gates.replies.resume(request_id, gates.token("gate", request_id, age=timedelta(hours=59)), url))


def test_an_unbound_token_is_good_where_its_webhook_was_called(gates, api):
    gates.build(gate=HALT, after=GO)
    request_id = gates.request()
    assert outcome(gates.replies.resume(request_id, gates.token("after"))) == FORBIDDEN
    must(gates.replies.resume(request_id, gates.token("gate")))
    api.wait_status(request_id, "complete")


def test_the_checks_have_an_order(gates, db, api):
    gates.build(gate=HALT)
    gates.build("post_execution", later=GO)
    unknown = f"pri_{uuid.uuid4()}"
    request_id = gates.request()
    gates.ids["none"] = "pol_none"
    assert outcome(gates.resume("none", unknown)) == (
        404, "No Policy Pre-Execution Webhook found with id 'pol_none'.")
    assert outcome(gates.resume("later", request_id)) == (
        404, f"No Policy Pre-Execution Webhook found with id '{gates.ids['later']}'.")
    assert outcome(gates.resume("gate", unknown)) == (404, f"No privacy request found with id '{unknown}'.")
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))
    assert outcome(gates.resume("gate", request_id)) == (
        422, f"Privacy request with id {request_id} has been deleted.")


@pytest.mark.parametrize("odd", ["x" * 5000, "%FF", "a%0Ab", "'; drop table privacy_request; --"])
def test_an_id_that_can_be_none_of_ours_is_not_found(gates, odd):
    gates.build(gate=HALT)
    assert gates.replies.resume(odd, gates.token("gate")).status_code in (400, 404)


# --- what does not stand -------------------------------------------------------------------------------------


def test_a_request_that_is_not_paused_is_refused_by_its_status(gates, db, api, identity):
    gates.build(gate=HALT)
    request_id = gates.request()
    must_all(api.patch("/privacy-request/administrate/cancel", [request_id]))
    body = {"derived_identity": {"phone_number": identity.phone()}}
    assert outcome(gates.resume("gate", request_id, json=body)) == wrong_status(request_id, "canceled")
    assert gates.delivery("gate", request_id, "resumed_at, sealed_resumed") == (None, None)


def test_what_goes_on_already_is_refused(gates, api):
    gates.build(gate=HALT, after=Hang())
    request_id = gates.request()
    must(gates.resume("gate", request_id))
    assert outcome(gates.resume("gate", request_id)) == wrong_status(request_id, "in_processing")
    assert gates.events(request_id).count(RESUMED) == 1


def test_an_answer_that_did_not_halt_leaves_nothing_to_resume(gates, receiver):
    gates.build(gate=GO, after=Hang())
    request_id = gates.request("in_processing")
    receiver.wait_calls(1, "/after", request_id)
    wait_until(lambda: gates.delivery("gate", request_id, "passed") == (True,), 10, "the answer to be on record")
    assert outcome(gates.resume("gate", request_id)) == wrong_status(request_id, "in_processing")


@pytest.mark.parametrize("place", ["same", "both"])
def test_of_many_at_once_one_is_taken(stack, gates, place):
    gates.build(gate=HALT, after=Hang())
    urls = [stack.callback.url, stack.callback.url if place == "same" else stack.api.url]
    for _ in range(5):
        request_id = gates.request()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda turn: outcome_or_status(gates.resume("gate", request_id,
                                                                                url=urls[turn % 2])), range(8)))
        assert sorted(map(str, answers)) == sorted(map(str, [200] + [wrong_status(request_id, "in_processing")] * 7))
        assert gates.events(request_id).count(RESUMED) == 1


def outcome_or_status(answer):
    return 200 if answer.status_code == 200 else outcome(answer)


# --- faster than the answer that halts -----------------------------------------------------------------------


def test_a_reply_before_the_answer_is_kept_and_the_request_does_not_pause(gates, api, receiver, identity, bus):
    phone = identity.phone()
    gates.build(gate=Answer(), after=GO)
    early = Early(gates, {"derived_identity": {"phone_number": phone}})
    receiver.script("/gate", early)
    request_id = gates.request("complete")
    [answer] = early.answers
    assert must(answer)["status"] == "in_processing"
    [call] = receiver.calls("/after", request_id)
    assert call.json["identity"]["phone_number"] == phone
    events = gates.events(request_id)
    assert events.count(RESUME_KEPT) == 1 and PAUSED not in events and RESUMED not in events
    [kept] = {event.id: event for event in bus.wait_types(request_id, RESUME_KEPT)
              if event.type == RESUME_KEPT}.values()
    assert "status" not in kept.data and kept.data["derived"] == ["phone_number"]


def test_a_kept_reply_may_be_said_again(gates, receiver):
    gates.build(gate=Answer())
    early = Early(gates, {}, {}, {})
    receiver.script("/gate", early)
    request_id = gates.request("complete")
    assert [answer.status_code for answer in early.answers] == [200] * 3
    assert gates.events(request_id).count(RESUME_KEPT) == 1


@pytest.mark.by_hand
def test_a_reply_between_the_answer_and_the_pause_is_kept(stack, gates, db, receiver, api):
    """The worker that has put the answer on record dies before it pauses the request: made by hand here."""
    gates.build(gate=Hang(), after=GO)
    request_id = gates.request("in_processing")
    receiver.wait_calls(1, "/gate", request_id)
    receiver.let_go()
    stack.keep_workers(0)
    db.execute("update webhook_delivery set state = 'delivered', halted = true, passed = true, due_at = now() "
               "where request_id = %s", (request_id,))
    must(gates.resume("gate", request_id))
    assert gates.events(request_id)[-1] == RESUME_KEPT
    assert gates.delivery("gate", request_id, "resumed_at is not null") == (True,)
    stack.start(1)
    api.wait_status(request_id, "complete")
    assert PAUSED not in gates.events(request_id) and len(receiver.calls("/gate", request_id)) == 1


# --- watching it ---------------------------------------------------------------------------------------------


def test_its_metrics_count_answers(stack, gates):
    gates.build(gate=HALT)
    request_id = gates.request()
    must(gates.resume("gate", request_id))
    gates.resume("gate", request_id)
    text = requests.get(f"{stack.callback.url}/metrics", timeout=10).text
    assert 'docket_replies_total{verdict="resume",answer="resumed"}' in text
    assert 'docket_replies_total{verdict="resume",answer="bad_request"}' in text
    assert request_id not in text


def warnings(program):
    return [entry for line in program.log_path.read_text().splitlines()[-5000:]
            if "config.token_life_gap" in line and (entry := json.loads(line))]


def test_a_token_that_ends_before_its_pause_is_told_at_the_start(stack):
    """Once by each program; with lives that fit, by none."""
    programs = (stack.api, stack.callback, stack.workers[0])
    before = [len(warnings(program)) for program in programs]
    stack.restart()
    try:
        assert [len(warnings(program)) for program in programs] == [count + 1 for count in before]
        [told] = warnings(stack.callback)[-1:]
        assert told["reply_token_life_s"] == 216000 and told["pause_life_s"] == 604800 and told["level"] == "warn"
        stack.restart(DOCKET_REPLY_TOKEN_LIFE="7d")
        assert [len(warnings(program)) for program in programs] == [count + 1 for count in before]
    finally:
        stack.restart(DOCKET_REPLY_TOKEN_LIFE=None)
