"""request_append, where two write to the same request at once."""

import itertools
import json
import threading

import psycopg
import pytest

from utils import wait_until

pytestmark = pytest.mark.by_hand

ATTEMPTS = itertools.count(1)

APPEND = """select id, seq, behind from request_append(
    array[%(id)s], array[null::bigint], array[null], array[null], array['docket.request.webhook_sent.v1'],
    array[now()], array[null], array['00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'],
    array[%(payload)s::bytea], '/docket/local/docket-worker')"""


@pytest.fixture
def request_id(api, identity, db):
    """One whose events so far are all on the topic."""
    made = api.create_request(identity())["id"]
    wait_until(lambda: not db.execute("select 1 from request_outbox where %s = any(request_ids)", (made,)).fetchone(),
               15, "its events to be published")
    return made


def append(connection, request_id):
    payload = json.dumps({"request_id": request_id, "webhook_id": "pre_1", "webhook_key": "none",
                          "delivery_id": f"dlv_{'0' * 32}", "attempt": next(ATTEMPTS), "outcome": "succeeded",
                          "status_code": 200, "duration_ms": 1}).encode()
    return connection.execute(APPEND, {"id": request_id, "payload": payload}).fetchone()


def test_an_event_is_behind_one_that_was_committed_while_it_waited(stack, request_id):
    """It must not overtake the other's on the way to the topic, which it can't see in the outbox."""
    url = stack.postgres.url(stack.name)
    with psycopg.connect(url) as first, psycopg.connect(url, autocommit=True) as second:
        assert append(first, request_id)[1:] == (2, False)
        answers = []
        waiter = threading.Thread(target=lambda: answers.append(append(second, request_id)))
        waiter.start()
        with psycopg.connect(url, autocommit=True) as watcher:
            waits = "select 1 from pg_stat_activity where pid = %s and wait_event_type = 'Lock'"
            wait_until(lambda: watcher.execute(waits, (second.info.backend_pid,)).fetchone(), 10, "the second to wait")
        first.commit()
        waiter.join(10)
    assert answers == [(request_id, 3, True)]


def test_an_event_after_what_is_on_the_topic_is_not_behind(db, request_id):
    assert append(db, request_id)[1:] == (2, False)
    assert append(db, request_id)[1:] == (3, True)


# --- a retry begins its tasks anew ---------------------------------------------------------------------------

TASKS = """insert into request_task (request_id, id, action, place, state, run, tries, due_at, worker, attempt, message,
                                     created_at, settled_at)
           select %(id)s, state || n, 'access', n, state, 0, 3, case when state = 'waiting' and n = 1 then now() end,
                  case when state = 'waiting' and n = 1 then 'w' end, 'try_' || n, 'said', now(),
                  case when state <> 'waiting' then now() end
           from unnest(array['waiting', 'complete', 'skipped', 'failed']) state, generate_series(1, 2) n"""
RETRY = """select id from request_append(array[%(id)s], array[null::bigint], array['in_processing'], array[null],
    array['docket.request.retried.v1'], array[now()], array[null], array[null], array['{}'::bytea], '/docket/test')"""


def test_a_retry_begins_anew_what_failed_or_is_not_over(db, request_id):
    """Also what somebody is at: whatever comes of that is of an earlier run."""
    with db.transaction(force_rollback=True):
        db.execute(TASKS, {"id": request_id})
        db.execute(RETRY, {"id": request_id})
        rows = db.execute("select id, state, run, tries, due_at is null and worker is null, settled_at is null, message "
                          "from request_task where request_id = %s order by id", (request_id,)).fetchall()
    assert rows == [(f"complete{n}", "complete", 0, 3, True, False, "said") for n in (1, 2)] + [
        (f"failed{n}", "waiting", 1, 0, True, True, "said") for n in (1, 2)] + [
        (f"skipped{n}", "skipped", 0, 3, True, False, "said") for n in (1, 2)] + [
        (f"waiting{n}", "waiting", 1, 0, True, True, "said") for n in (1, 2)]
