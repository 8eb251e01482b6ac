"""request_append, where two write to the same request at once."""

import json
import threading

import psycopg
import pytest

from utils import wait_until

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
    payload = json.dumps({"request_id": request_id, "webhook_id": "pre_1", "webhook_key": "none", "attempt": 1,
                          "delivery_id": f"dlv_{'0' * 32}", "outcome": "succeeded", "status_code": 200,
                          "duration_ms": 1}).encode()
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
