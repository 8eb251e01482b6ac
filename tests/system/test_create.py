"""How requests come to be: what is taken, what is refused, what is written, and that nothing is half made."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone

import pytest

from utils import Answer, must, must_all, wait_until

REQUEST_ID = re.compile(r"pri_[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
MEMBERS = {
    "id", "created_at", "started_processing_at", "reviewed_at", "reviewed_by", "submitted_by", "reviewer", "submitter",
    "finished_processing_at", "identity_verified_at", "paused_at", "status", "external_id", "identity",
    "custom_privacy_request_fields", "policy", "action_required_details", "resume_endpoint", "days_left",
    "custom_privacy_request_fields_approved_by", "custom_privacy_request_fields_approved_at", "source", "location",
    "property_id", "deleted_at", "deleted_by", "finalized_at", "finalized_by", "duplicate_request_group_id",
}
AUTOMATIC = {"execution": {"require_manual_request_approval": False}}


def element(identity, **more):
    return {"policy_key": "default_access_policy", "identity": {"email": identity()}} | more


def post(api, *elements):
    return must(api.anonymous().post("/privacy-request", list(elements)))


def refused(api, body):
    """The errors of a body that is refused as a whole."""
    answer = api.anonymous().post("/privacy-request", body)
    assert answer.status_code == 422, answer.text
    return [(error["loc"], error["msg"]) for error in answer.json()["detail"]]


def row(db, request_id, columns):
    return db.execute(f"select {columns} from privacy_request where id = %s", (request_id,)).fetchone()


# --- what comes of it --------------------------------------------------------------------------------------


def test_the_answer_is_the_request(api, identity, db):
    result = post(api, element(identity, external_id="order-1", location="us_ca", source="Privacy Center"))
    assert result["failed"] == []
    [created] = result["succeeded"]
    assert set(created) == MEMBERS
    assert REQUEST_ID.fullmatch(created["id"])
    assert created["created_at"].endswith("Z")
    assert (created["status"], created["external_id"], created["location"], created["source"]) == (
        "pending", "order-1", "US-CA", "Privacy Center")
    assert created["identity"] is None and created["custom_privacy_request_fields"] is None
    assert created["days_left"] == 45
    policy = must(api.get("/dsr/policy/default_access_policy"))
    assert created["policy"]["key"] == policy["key"]
    assert row(db, created["id"], "seq, status_seq, status") == (1, 1, "pending")


def test_both_endpoints_do_the_same_but_one_wants_a_token(api, identity):
    body = [element(identity)]
    assert must(api.post("/privacy-request/authenticated", body))["succeeded"][0]["status"] == "pending"
    assert api.anonymous().post("/privacy-request/authenticated", body).status_code == 401
    client = must(api.post("/oauth/client", {"scopes": ["privacy-request:read"]}))
    reader = type(api).login(api.url, client["client_id"], client["client_secret"])
    answer = reader.post("/privacy-request/authenticated", body)
    assert answer.status_code == 403
    assert "privacy-request:create" in answer.json()["detail"]


def test_who_submitted_is_nobody_s_name_when_a_program_did(api, identity):
    created = must_all(api.post("/privacy-request/authenticated",
                                [element(identity, source="Request Manager")]))[0]
    assert created["submitted_by"] is None


def test_times_are_the_caller_s_when_given(api, identity, db):
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone.utc)
    created = post(api, element(identity, requested_at=when.isoformat(), started_processing_at="2026-01-03",
                                finished_processing_at="2026-01-04T00:00:00Z"))["succeeded"][0]
    assert created["started_processing_at"] == "2026-01-03T00:00:00.000000Z"
    assert created["finished_processing_at"] == "2026-01-04T00:00:00.000000Z"
    assert row(db, created["id"], "requested_at, due_date") == (when, when + timedelta(days=45))
    today = datetime.now(timezone.utc).date()
    assert created["days_left"] == ((when + timedelta(days=45)).date() - today).days


def test_a_policy_without_a_time_frame_has_no_due_date(api, identity, db):
    must_all(api.patch("/dsr/policy", [{"name": "Timeless", "key": "timeless", "action_type": "access"}]))
    created = post(api, element(identity) | {"policy_key": "timeless"})["succeeded"][0]
    assert created["days_left"] is None
    assert row(db, created["id"], "due_date") == (None,)


def test_every_kind_of_identity_is_taken_and_shown_again(api, identity):
    given = {
        "email": identity.email("Mixed.Case").replace("example.com", "EXAMPLE.com"),
        "phone_number": identity.phone(),
        "ga_client_id": identity.derived(), "ljt_readerID": identity.derived(), "external_id": identity.derived(),
        "fides_user_device_id": "4ee1d2d5-1d6d-4d70-a48a-c07df6de7a09",
        "loyalty_id": identity.custom(),
        "numbers": {"label": "Numbers", "value": [1, "two"]},
    }
    created = post(api, element(identity) | {"identity": given})["succeeded"][0]
    shown = api.find(created["id"], include_identities=True)["identity"]
    assert shown["email"] == {"label": "Email", "value": given["email"].replace("EXAMPLE", "example")}
    assert shown["phone_number"] == {"label": "Phone number", "value": given["phone_number"]}
    assert shown["fides_user_device_id"]["value"] == given["fides_user_device_id"]
    assert shown["loyalty_id"] == given["loyalty_id"]
    assert shown["numbers"] == given["numbers"]
    only_mail = post(api, element(identity))["succeeded"][0]
    shown = api.find(only_mail["id"], include_identities=True)["identity"]
    assert set(shown) == {"email", "phone_number", "ga_client_id", "ljt_readerID", "fides_user_device_id",
                          "external_id"}
    assert shown["ga_client_id"] == {"label": "GA client ID", "value": None}


def test_nothing_personal_is_stored_in_the_clear(api, identity, db):
    email, secret, note = identity(), "0123456789abcdef", identity.derived()
    created = post(api, element(identity, encryption_key=secret, custom_privacy_request_fields={
        "note": {"label": "Note", "value": note}}) | {"identity": {"email": email}})["succeeded"][0]
    sealed = row(db, created["id"], "sealed_identity, sealed_custom_fields, sealed_encryption_key")
    assert all(sealed)
    tables = [name for name, in db.execute("select tablename from pg_tables where schemaname = 'public'")]
    for table in tables:
        for text, in db.execute(f"select t::text from {table} t"):
            for value in (email, note, secret):
                assert value not in text and value.encode().hex() not in text, table
    shown = api.find(created["id"], include_custom_privacy_request_fields=True)
    assert shown["custom_privacy_request_fields"] == {"note": {"label": "Note", "value": note}}


# --- the approval stage --------------------------------------------------------------------------------------


def test_with_webhooks_their_calls_are_owed_at_once(api, receiver, identity, db, bus):
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    created = post(api, element(identity))["succeeded"][0]
    assert created["status"] == "awaiting_pre_approval"
    assert row(db, created["id"], "status") == ("awaiting_pre_approval",)
    second = bus.wait_types(created["id"], "docket.request.pre_approval_requested.v1")[1]
    owed = second.data["webhooks"]
    assert {webhook["webhook_key"] for webhook in owed} == {"crm", "tickets"}
    deliveries = db.execute("select id from webhook_delivery where request_id = %s", (created["id"],)).fetchall()
    assert {webhook["delivery_id"] for webhook in owed} == {delivery for delivery, in deliveries}


def test_a_disabled_connection_s_call_is_owed_and_not_made(api, receiver, identity, db):
    api.make_webhooks(receiver, crm=Answer(), tickets=Answer())
    must_all(api.patch("/connection", [{"key": "tickets", "name": "tickets", "connection_type": "https",
                                        "access": "read", "disabled": True}]))
    created = post(api, element(identity))["succeeded"][0]
    receiver.wait_calls(1, "/crm", created["id"])
    wait_until(lambda: db.execute("""select state from webhook_delivery d
                                     join pre_approval_webhook w on w.id = d.webhook_id
                                     where request_id = %s and w.key = 'tickets'""",
                                  (created["id"],)).fetchone() == ("held",), 10, "the call to be held")
    assert receiver.calls("/tickets", created["id"]) == []


def test_where_no_approval_is_required_it_is_approved_by_the_system(api, identity, bus):
    must(api.patch("/config", AUTOMATIC))
    created = post(api, element(identity))["succeeded"][0]
    assert created["status"] == "approved" and created["reviewed_at"] and created["reviewed_by"] is None
    api.wait_status(created["id"], "complete")


def test_events_carry_the_caller_s_trace(api, identity, bus):
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    answer = api.anonymous().post("/privacy-request", [element(identity)],
                                  headers={"traceparent": f"00-{trace}-00f067aa0ba902b7-01"})
    request_id = must_all(answer)[0]["id"]
    assert trace in str(bus.wait_types(request_id, "docket.request.created.v1")[0].headers)


# --- what is refused -----------------------------------------------------------------------------------------


def test_elements_fail_alone_and_are_handed_back(api, identity):
    good = element(identity)
    bad = [
        (element(identity) | {"identity": {"email": None, "phone_number": ""}},
         "You must provide at least one identity to process"),
        (element(identity) | {"identity": {}}, "You must provide at least one identity to process"),
        (element(identity) | {"policy_key": "nowhere"}, "Policy with key nowhere does not exist"),
        (element(identity, property_id="FDS-1"), "Property ID must be valid to process"),
        (element(identity, source="Dataset Test"), "Dataset tests are not available in this version."),
        (element(identity, consent_preferences=[{"a": 1}]), "Consent requests are not available in this version."),
    ]
    result = post(api, good, *(failing for failing, _ in bad))
    assert len(result["succeeded"]) == 1
    assert result["failed"] == [{"message": message, "data": failing} for failing, message in bad]


def test_one_ill_formed_element_refuses_the_whole_body(api, identity, db):
    mine = identity.derived()
    body = [element(identity, external_id=mine), element(identity, external_id=mine, encryption_key="short")]
    assert refused(api, body) == [(["body", 1, "encryption_key"],
                                   "Value error, Encryption key must be 16 bytes long")]
    assert db.execute("select count(*) from privacy_request where external_id = %s", (mine,)).fetchone() == (0,)


@pytest.mark.parametrize("change, loc", [
    ({"policy_key": None}, ["policy_key"]),
    ({"identity": None}, ["identity"]),
    ({"identity": "a"}, ["identity"]),
    ({"identity": {"email": "nobody"}}, ["identity", "email"]),
    ({"identity": {"phone_number": "555-5555"}}, ["identity", "phone_number"]),
    ({"identity": {"loyalty_id": "CH-1"}}, ["identity", "loyalty_id"]),
    ({"identity": {"loyalty_id": {"label": "L", "value": None}}}, ["identity", "loyalty_id", "value"]),
    ({"custom_privacy_request_fields": {"a": {"label": "A", "value": 1.5}}},
     ["custom_privacy_request_fields", "a", "value"]),
    ({"requested_at": "yesterday"}, ["requested_at"]),
    ({"source": "Somewhere"}, ["source"]),
    ({"location": "Atlantis"}, ["location"]),
    ({"external_id": 7}, ["external_id"]),
])
def test_what_is_ill_formed_is_named(api, identity, change, loc):
    assert refused(api, [element(identity) | change])[0][0] == ["body", 0, *loc]


def test_more_than_fifty_are_too_many(api, identity):
    assert refused(api, [element(identity)] * 51) == [
        (["body"], "List should have at most 50 items after validation, not 51")]
    assert len(post(api, *(element(identity) for _ in range(50)))["succeeded"]) == 50


def test_nothing_to_create_is_no_error(api):
    assert post(api) == {"succeeded": [], "failed": []}


# --- many at once --------------------------------------------------------------------------------------------


def test_all_of_many_callers_get_their_own_answer(api, identity, db):
    mine = identity.derived()

    def create(number):
        elements = [element(identity, external_id=f"{mine}-{number}-{i}") for i in range(number % 3 + 1)]
        result = post(api, *elements)
        assert [made["external_id"] for made in result["succeeded"]] == [one["external_id"] for one in elements]
        return len(elements)

    with ThreadPoolExecutor(16) as pool:
        made = sum(pool.map(create, range(120)))
    assert db.execute("select count(*) from privacy_request where external_id like %s",
                      (mine + "-%",)).fetchone() == (made,)
    wait_until(lambda: db.execute("select count(*) from request_outbox").fetchone() == (0,), 20,
               "every event to be on the topic")


def test_a_request_is_made_by_the_configuration_of_its_moment(api, receiver, identity, db):
    """While webhooks come and go, each request owes exactly the calls that its own event tells."""
    api.make_connection("crm", receiver.script("/crm", Answer()))
    stop, made = threading.Event(), []

    def create():
        while not stop.is_set():
            made.extend(post(api, element(identity))["succeeded"])

    callers = [threading.Thread(target=create) for _ in range(4)]
    for caller in callers:
        caller.start()
    for turn in range(15):
        api.set_pre_approval(*((f"webhook_{turn}_{i}", "crm") for i in range(turn % 3)))
    stop.set()
    for caller in callers:
        caller.join()
    assert {request["status"] for request in made} <= {"pending", "awaiting_pre_approval"}
    wrong = db.execute("""
        select p.id from privacy_request p
        left join request_event e on e.request_id = p.id and e.type = 'docket.request.pre_approval_requested.v1'
        where p.id = any(%s)
          and (select coalesce(jsonb_agg(w ->> 'delivery_id' order by w ->> 'delivery_id'), '[]')
               from jsonb_array_elements(convert_from(e.payload, 'UTF8')::jsonb -> 'webhooks') w)
           <> (select coalesce(jsonb_agg(d.id order by d.id), '[]') from webhook_delivery d
               where d.request_id = p.id
                 and not exists (select from request_event o
                                 where o.request_id = p.id and o.type = 'docket.request.webhook_owed.v1'
                                   and convert_from(o.payload, 'UTF8')::jsonb ->> 'delivery_id' = d.id))
    """, ([request["id"] for request in made],)).fetchall()
    assert wrong == []


def test_a_lost_connection_leaves_nothing_half_made(api, receiver, identity, db):
    """The writer's connection is cut again and again: a caller gets its requests or a 503, the database all of them
    or none."""
    api.make_webhooks(receiver, crm=Answer())
    mine, stop, answers = identity.derived(), threading.Event(), []

    def create():
        while not stop.is_set():
            answers.append(api.anonymous().post("/privacy-request", [element(identity, external_id=mine)] * 2))

    callers = [threading.Thread(target=create) for _ in range(4)]
    for caller in callers:
        caller.start()
    for _ in range(20):
        done = len(answers)
        db.execute("""select pg_terminate_backend(pid) from pg_stat_activity
                      where application_name = 'docket-api create' and datname = current_database()""")
        wait_until(lambda: len(answers) > done + 4, 15, "calls to be answered")
    stop.set()
    for caller in callers:
        caller.join()
    wait_until(lambda: api.anonymous().post("/privacy-request", [element(identity)]).status_code == 200, 15,
               "the writer to be back")
    assert {answer.status_code for answer in answers} <= {200, 503}
    made = {request["id"] for answer in answers if answer.status_code == 200 for request in must_all(answer)}
    rows = db.execute("select id from privacy_request where external_id = %s", (mine,)).fetchall()
    stored = {request_id for request_id, in rows}
    assert made <= stored
    halves = db.execute("""
        select p.id from privacy_request p where p.external_id = %s and not (
            exists (select from request_key k where k.request_id = p.id)
            and (select count(*) from identity_hash h where h.request_id = p.id) = 1
            and (select count(*) from webhook_delivery d where d.request_id = p.id) = 1
            and (select array_agg(e.seq order by e.seq) from request_event e
                 where e.request_id = p.id and e.seq <= 2) = array[1, 2]::bigint[])
    """, (mine,)).fetchall()
    assert halves == []
