"""Whether every call that is owed is accounted for, and no request waits on nobody: `docketctl ledger`, and what the
workers count."""

import json
import re

import pytest

from asking import make_manual
from events import consumer_lag
from stepping import disable, halt, make_steps, start, two_way
from utils import Answer, Hang, Reply, must, must_all, wait_until, worker_settings

ONE_CALL = "select id, webhook_id from webhook_delivery where request_id = %s"


@pytest.fixture
def look(stack):
    """look(*arguments): what docketctl says, line by line, and its exit code."""
    def run(*arguments):
        done = stack.docketctl("ledger", *arguments, check=False)
        return done.stdout.splitlines(), done.returncode
    return run


@pytest.fixture
def found(look):
    """found(request id): what is wrong with it, each as a dict."""
    def run(request_id):
        lines, code = look("--json")
        lines = [json.loads(line) for line in lines]
        about = [line for line in lines if line.get("request_id") == request_id]
        assert code == 1 if about else code in (0, 1)
        return about
    return run


def wait_swept(db):
    """Until nobody looks at what waits because the configuration has changed: of some things nothing is said before."""
    wait_until(lambda: not db.execute("select 1 from review_sweep").fetchone(), 40, "the sweeps to end")


def wait_called(db, request_id, state="delivered"):
    wait_until(lambda: {row for row, in db.execute("select state from webhook_delivery where request_id = %s",
                                                   (request_id,))} == {state}, 15, f"its calls to be {state}")


@pytest.fixture
def called(api, receiver, identity, db):
    """called(): the id of a request that waits for the reply to its one call."""
    def make():
        api.make_webhooks(receiver, crm=Answer())
        request_id = api.create_request(identity())["id"]
        wait_called(db, request_id)
        wait_swept(db)
        return request_id
    return make


# --- what balances ---------------------------------------------------------------------------------------------


def test_calls_are_counted_by_endpoint_and_by_what_became_of_them(api, receiver, identity, db, look, ledger):
    name = f"crm_{identity.custom()['value'][-6:]}"
    api.make_connection(name, receiver.script("/crm", Answer(), Answer(400), Hang()))
    api.set_pre_approval((name, name))
    ids = [api.create_request(identity())["id"] for _ in range(1)]
    wait_called(db, ids[0])
    ids.append(api.create_request(identity())["id"])
    wait_called(db, ids[1], "given_up")
    ids.append(api.create_request(identity())["id"])
    receiver.wait_calls(1, "/crm", ids[2])
    disable(api, name)
    ids.append(api.create_request(identity())["id"])
    wait_called(db, ids[3], "held")
    lines, _ = look("--json")
    lines = [json.loads(line) for line in lines]
    [endpoint] = [line for line in lines if line.get("endpoint") == name]
    assert {word: endpoint[word] for word in ("owed", "delivered", "waiting", "held", "given_up", "wrong")} == {
        "owed": 4, "delivered": 1, "waiting": 1, "held": 1, "given_up": 1, "wrong": 0}
    assert endpoint["reasons"] == {"http_4xx": 1}
    [total], [summary] = ([line for line in lines if line["kind"] == kind] for kind in ("all", "summary"))
    assert total["owed"] - total["wrong"] <= sum(total[word] for word in ("delivered", "waiting", "held", "given_up"))
    assert {line["request_id"] for line in lines if line["kind"] in ("call", "nobody")} <= ledger.by_hand
    assert summary["older"] == 0
    [row] = [line for line in look()[0] if line.startswith(f"{name} ")]
    assert row.split() == [name, "4", "1", "1", "1", "1", "0", "http_4xx", "1"]


def test_who_is_under_way_or_waits_for_a_worker_is_not_blamed(stack, api, receiver, identity, found, db):
    """An approval that no worker has read, a call that its event owes, a call under way, a pause, a person."""
    api.make_webhooks(receiver, crm=Hang())
    under_way = api.create_request(identity())["id"]
    receiver.wait_calls(1, "/crm", under_way)
    stack.workers[0].stop()
    owed = api.create_request(identity())["id"]
    api.set_pre_approval()
    pending = api.create_request(identity())["id"]
    approved = api.create_request(identity())["id"]
    waiting = "select 1 from request_outbox where request_ids && %s"  # the configuration's wait for a worker

    def wait_published():  # one after another: what comes behind something unpublished waits for a worker
        wait_until(lambda: not db.execute(waiting, ([under_way, owed, pending, approved],)).fetchone(), 20,
                   "all of them to be published")

    wait_published()
    api.approve(approved)
    wait_published()
    assert db.execute("select due_at from webhook_delivery where request_id = %s", (owed,)).fetchone() == (None,)
    assert [found(request_id) for request_id in (under_way, owed, pending, approved)] == [[], [], [], []]
    assert api.status(approved) == "approved"


def test_words_that_it_does_not_know_are_refused(stack, look):
    assert look("everything")[1] == look("--jsn")[1] == 2
    done = stack.docketctl("--help")
    assert "ledger" in done.stdout


def test_without_a_database_it_says_that_it_could_not_look(stack):
    environment = stack.settings.get("DOCKET_POSTGRES_URL")
    stack.settings["DOCKET_POSTGRES_URL"] = "postgresql://docket@127.0.0.1:1/none"
    try:
        assert stack.docketctl("ledger", check=False).returncode == 3
    finally:
        stack.settings.pop("DOCKET_POSTGRES_URL")
        if environment:
            stack.settings["DOCKET_POSTGRES_URL"] = environment


# --- what does not ---------------------------------------------------------------------------------------------


@pytest.mark.by_hand
@pytest.mark.parametrize("change, problem, logged, state", [
    ("delete from webhook_delivery where request_id = %s", "missing", "delivered", None),
    ("update webhook_delivery set state = 'given_up' where request_id = %s", "contradicted", "delivered", "given_up"),
], ids=["missing", "contradicted"])
def test_a_row_that_is_not_as_the_log_says_is_named(called, found, look, db, change, problem, logged, state):
    request_id = called()
    delivery_id, webhook_id = db.execute(ONE_CALL, (request_id,)).fetchone()
    db.execute(change, (request_id,))
    assert [line for line in found(request_id) if line["kind"] == "call"] == [
        {"kind": "call", "request_id": request_id, "delivery_id": delivery_id, "webhook_id": webhook_id,
         "problem": problem, "logged": logged, "state": state}]
    [line] = [line for line in look()[0] if line.startswith(f"{request_id}:")]
    assert delivery_id in line and webhook_id in line and logged in line


@pytest.mark.by_hand
def test_a_row_that_nothing_owes_is_named(called, found, db):
    request_id = called()
    db.execute("insert into webhook_delivery select request_id, 'dlv_' || repeat('0', 32), kind, webhook_id, connection_id, "
               "state, attempts, null, outcome, created_at, settled_at from webhook_delivery where request_id = %s",
               (request_id,))
    assert [(line["delivery_id"], line["problem"]) for line in found(request_id)] == [
        (f"dlv_{'0' * 32}", "not_owed")]


@pytest.mark.by_hand
def test_a_call_that_waits_for_no_time_and_no_event_is_named(api, receiver, identity, db, found):
    """But not while a worker is at it, or its event is unread."""
    api.make_webhooks(receiver, crm=Answer(503))
    request_id = api.create_request(identity())["id"]
    take = "update webhook_delivery set due_at = null where request_id = %s and attempts = 1"
    wait_until(lambda: db.execute(take, (request_id,)).rowcount, 15, "a failed call")
    wait_until(lambda: found(request_id), 20, "the call to be named")
    assert [line["problem"] for line in found(request_id)] == ["no_time"]


@pytest.mark.by_hand
def test_a_call_whose_webhook_is_no_more_is_named(api, receiver, identity, db, found):
    api.make_webhooks(receiver, crm=Answer(503))
    request_id = api.create_request(identity())["id"]
    wait_swept(db)
    due = ("update webhook_delivery set due_at = now() - interval '1 s', webhook_id = 'pre_none' "
           "where request_id = %s and attempts = 1")
    wait_until(lambda: db.execute(due, (request_id,)).rowcount, 15, "a failed call")
    assert "no_webhook" in [line["problem"] for line in found(request_id)]


# --- who waits on nobody ---------------------------------------------------------------------------------------


def names(found, request_id, status, problem):
    wait_until(lambda: found(request_id), 20, "it to be named")
    assert found(request_id) == [{"kind": "nobody", "request_id": request_id, "status": status, "problem": problem}]


@pytest.mark.by_hand
def test_an_approval_that_nobody_is_about_to_read(api, identity, db, found):
    request_id = api.create_request(identity())["id"]
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "all to be published")
    db.execute("update privacy_request set status = 'approved' where id = %s", (request_id,))
    names(found, request_id, "approved", "unread")


@pytest.mark.by_hand
def test_a_pause_without_an_end(api, receiver, identity, db, found):
    make_steps(api, receiver, ask=two_way(halt()))
    request_id = start(api, identity)
    api.wait_status(request_id, "paused")
    wait_swept(db)
    assert found(request_id) == []
    db.execute("delete from request_timer where request_id = %s", (request_id,))
    names(found, request_id, "paused", "no_timer")


@pytest.mark.by_hand
def test_a_run_of_which_nothing_is_under_way(api, receiver, identity, stack, db, found):
    make_steps(api, receiver, ask=two_way(Answer(503)))
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="1h"):
        request_id = start(api, identity)
        later = "select 1 from webhook_delivery where request_id = %s and due_at > now() + interval '30 minutes'"
        wait_until(lambda: db.execute(later, (request_id,)).fetchone(), 20, "its call to wait for its next attempt")
        wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone() and consumer_lag(stack) == 0, 20,
                   "the worker to have read all of it")
        wait_swept(db)
        assert found(request_id) == []
        db.execute("update webhook_delivery set passed = true where request_id = %s", (request_id,))
        names(found, request_id, "in_processing", "no_call")


@pytest.mark.by_hand
def test_a_call_that_nothing_holds(api, receiver, identity, db, found):
    api.make_webhooks(receiver, crm=Answer())
    disable(api, "crm")
    request_id = api.create_request(identity())["id"]
    wait_called(db, request_id, "held")
    wait_swept(db)
    assert found(request_id) == []
    db.execute("update connection set disabled = false where key = 'crm'")  # by no sweep
    names(found, request_id, "awaiting_pre_approval", "held")


@pytest.mark.by_hand
def test_a_webhook_that_was_never_asked(api, receiver, called, found, db):
    request_id = called()
    db.execute("insert into pre_approval_webhook (id, key, name, connection_id) select 'pre_new', 'new', 'new', "
               "connection_id from pre_approval_webhook")
    names(found, request_id, "awaiting_pre_approval", "no_reply")


@pytest.mark.by_hand
def test_one_that_everybody_found_eligible(called, found, db):
    request_id = called()
    db.execute("insert into pre_approval_reply select %s, webhook_id, true, now() from webhook_delivery "
               "where request_id = %s", (request_id, request_id))
    names(found, request_id, "awaiting_pre_approval", "not_approved")


@pytest.mark.by_hand
def test_one_that_waits_for_input_of_nobody(api, identity, db, found):
    make_manual(api, "archive", "first_name")
    request_id = start(api, identity, "default_access_policy")
    api.wait_status(request_id, "requires_input")
    wait_swept(db)
    assert found(request_id) == []
    db.execute("delete from manual_webhook")
    names(found, request_id, "requires_input", "no_asker")


# --- what the workers count ------------------------------------------------------------------------------------


def gauge(worker, name):
    return float(re.search(rf"(?m)^{name} (\S+)$", worker.metrics())[1])


@pytest.fixture
def watching_worker(stack):
    with worker_settings(stack, DOCKET_LEDGER_INTERVAL="1s") as worker:
        wait_until(lambda: "docket_ledger_imbalance " in worker.metrics(), 20, "a first look")
        yield worker


def findings(db, request_id):
    return db.execute("select problem from ledger_finding where request_id = %s and confirmed_at is not null",
                      (request_id,)).fetchall()


def is_counted(worker, db, name, about):
    """What it says is what stands in the table, of calls or of requests."""
    return gauge(worker, name) == db.execute(
        f"select count(*) from ledger_finding where confirmed_at is not null and (delivery_id <> '') = {about}"
    ).fetchone()[0]


@pytest.mark.by_hand
def test_a_call_that_is_missing_is_counted_until_it_is_there(called, db, watching_worker):
    request_id = called()
    row = db.execute("delete from webhook_delivery where request_id = %s returning webhook_delivery::text",
                     (request_id,)).fetchone()[0]
    wait_until(lambda: findings(db, request_id) == [("missing",)], 60, "it to be found")
    watching_worker.wait_log(f'"request":"{request_id}"')
    wait_until(lambda: is_counted(watching_worker, db, "docket_ledger_imbalance", "true"), 60, "it to be counted")
    assert gauge(watching_worker, "docket_ledger_imbalance") >= 1
    db.execute("insert into webhook_delivery select (%s::webhook_delivery).*", (row,))
    wait_until(lambda: not findings(db, request_id), 60, "it to be mended")
    wait_until(lambda: is_counted(watching_worker, db, "docket_ledger_imbalance", "true"), 60, "it to be counted no more")


@pytest.mark.by_hand
def test_a_request_that_nobody_moves_on_is_counted_once_it_is_certain(api, receiver, identity, db, watching_worker):
    make_steps(api, receiver, ask=two_way(halt()))
    request_id = start(api, identity)
    api.wait_status(request_id, "paused")
    db.execute("delete from request_timer where request_id = %s", (request_id,))
    wait_until(lambda: findings(db, request_id) == [("no_timer",)], 60, "it to be found")
    wait_until(lambda: is_counted(watching_worker, db, "docket_requests_waiting_on_nobody", "false"), 60,
               "it to be counted")
    assert gauge(watching_worker, "docket_requests_waiting_on_nobody") >= 1
    must_all(api.patch("/privacy-request/administrate/cancel", {"request_ids": [request_id]}))
    wait_until(lambda: not findings(db, request_id), 60, "it to be over")


def is_doubted(db, ids):
    """Whether one of them, approved, was found to wait on nobody. They are what is looked at next, however many others
    there are: a look that is under way has its own place, and writes it when it has ended."""
    db.execute("update ledger_walk set open_status = 'approved', open_id = ''")
    return db.execute("select 1 from ledger_finding where request_id = any(%s)", (ids,)).fetchone()


def test_what_is_read_late_is_never_counted(stack, api, identity, db, watching_worker):
    """A worker that has the partitions and stands still; what it has not read is seen twice by another, and more."""
    idle = stack.add_worker()
    idle.settings = {"DOCKET_LEDGER_INTERVAL": "1s"}
    idle.start()
    wait_until(lambda: all(worker.assigned for worker in stack.workers), 40, "each worker to have partitions")
    stack.wait_assigned()
    ids = [api.create_request(identity())["id"] for _ in range(12)]
    watching_worker.freeze()  # Kafka gives its partitions away after ten seconds
    try:
        api.approve(*ids)
        wait_until(lambda: is_doubted(db, ids), 20, "one of the frozen worker's to be seen")
        looked = "select leased_until from ledger_walk"
        for _ in range(3):
            first = db.execute(looked).fetchone()
            wait_until(lambda: db.execute(looked).fetchone() != first, 20, "another look")
            assert not any(findings(db, request_id) for request_id in ids)
    finally:
        watching_worker.thaw()
    for request_id in ids:
        api.wait_status(request_id, "complete")
