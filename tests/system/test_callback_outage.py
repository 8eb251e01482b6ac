"""docket-callback while PostgreSQL, Redis or Kafka is away or mute: what it still takes, how soon, how it recovers.

A docket-callback of the test's own, behind proxies: the servers themselves go on for all others.
"""

import threading
import uuid

import pytest
import redis
import requests

from pausing import HALT, gates  # noqa: F401
from replying import DONE, Replies, contradicts, not_awaited, outcome
from utils import Answer, Callback, Proxy, must, promptly, wait_until

AWAY = (503, "Service Unavailable")


class Outage:
    """A docket-callback whose servers can be taken from it."""

    def __init__(self, stack):
        self.postgres = Proxy(stack.postgres.port)
        self.redis = Proxy(stack.redis.port)
        self.kafka = Proxy(stack.kafka.port)
        self.program = Callback(stack, "docket-callback-outage")
        self.program.settings = {
            "DOCKET_POSTGRES_URL": behind(stack.postgres, self.postgres, stack.postgres.url(stack.name)),
            "DOCKET_REDIS_URL": behind(stack.redis, self.redis, stack.redis.url(stack.redis_number)),
            "DOCKET_KAFKA_BROKERS": f"127.0.0.1:{self.kafka.port}",
        }

    def ready(self):
        answer = requests.get(f"{self.program.url}/ready", timeout=5)
        return answer.status_code, {name: found["state"] for name, found in answer.json()["dependencies"].items()}

    def wait_states(self, **states):
        def seen():
            return states.items() <= self.ready()[1].items()

        wait_until(seen, 20, lambda: f"{states}, it is {self.ready()}")

    def close(self):
        self.program.stop()
        for proxy in (self.postgres, self.redis, self.kafka):
            proxy.close()


def behind(server, proxy, url):
    return url.replace(f":{server.port}", f":{proxy.port}")


@pytest.fixture
def outage(stack):
    outage = Outage(stack)
    yield outage
    outage.close()


@pytest.fixture
def callback(outage):
    """The program, up and connected to everything."""
    outage.program.start()
    outage.wait_states(postgresql="up", redis="up", kafka="up")
    return outage


@pytest.fixture
def say(stack, outage):
    replies = Replies(stack)
    return lambda webhook, request_id, verdict: replies.say(webhook, request_id, verdict, outage.program.url)


@pytest.fixture
def asked(api, receiver, identity, db):
    """A request that waits for two webhooks: its id and theirs."""
    api.make_webhooks(receiver, crm=Answer(), legal=Answer())
    ids = dict(db.execute("select key, id from pre_approval_webhook").fetchall())
    return api.create_request(identity())["id"], ids["crm"], ids["legal"]


def unknown():
    return f"pri_{uuid.uuid4()}"


@pytest.mark.parametrize("how", ["refuse", "mute"])
def test_without_postgresql_replies_are_taken_on_their_token(stack, api, callback, say, asked, how):
    request_id, crm, legal = asked
    getattr(callback.postgres, how)()
    with promptly(3):
        assert say(crm, request_id, "eligible") == DONE
    assert say(crm, request_id, "eligible") == DONE
    assert say(crm, request_id, "not-eligible") == contradicts(request_id, "not-eligible")
    assert say(legal, request_id, "eligible") == DONE
    api.wait_status(request_id, "complete")  # the worker has its PostgreSQL
    blind = unknown()
    assert say(crm, blind, "eligible") == DONE, "nobody knows better"
    replies = Replies(stack)
    unbound = replies.post(request_id, "eligible", replies.token(crm), callback.program.url)
    assert outcome(unbound) == AWAY and unbound.headers["Retry-After"]
    callback.wait_states(postgresql="down", kafka="up")
    assert callback.ready()[0] == 200
    callback.postgres.open()
    wait_until(lambda: say(crm, blind, "eligible")[0] == 404, 10, "PostgreSQL to be asked again")


def test_what_was_taken_blindly_and_proves_late_is_on_the_timeline(api, callback, say, asked, bus):
    request_id, crm, legal = asked
    assert say(crm, request_id, "not-eligible") == DONE
    api.wait_status(request_id, "pre_approval_not_eligible")
    callback.postgres.refuse()
    callback.redis.refuse()
    wait_until(lambda: say(legal, request_id, "eligible") == DONE, 10, "the reply to be taken blindly")
    assert say(crm, request_id, "eligible") == DONE

    def ignored():
        return {(event.data["webhook_id"], event.data["reason"]) for event in bus.records(key=request_id)
                if event.type == "docket.request.reply_ignored.v1"}

    wait_until(lambda: ignored() == {(legal, "late"), (crm, "opposite")}, 15, lambda: f"both ignored, not {ignored()}")
    assert api.status(request_id) == "pre_approval_not_eligible"


@pytest.mark.parametrize("how", ["refuse", "mute"])
def test_without_redis_what_is_on_record_decides(api, callback, say, asked, bus, how):
    request_id, crm, legal = asked
    getattr(callback.redis, how)()
    with promptly(3):
        assert say(crm, request_id, "eligible") == DONE
    bus.wait_types(request_id, "docket.request.pre_approval_eligible.v1")
    assert say(crm, request_id, "not-eligible") == contradicts(request_id, "not-eligible")
    assert say(crm, unknown(), "eligible")[0] == 404
    assert say(legal, request_id, "not-eligible") == DONE
    api.wait_status(request_id, "pre_approval_not_eligible")
    assert say(crm, request_id, "eligible") == DONE
    assert say(legal, request_id, "eligible") == not_awaited(request_id)
    callback.wait_states(redis="down", kafka="up")
    callback.redis.open()
    callback.wait_states(redis="up")


def test_without_both_the_token_is_enough(api, callback, say, asked):
    request_id, crm, legal = asked
    callback.postgres.refuse()
    callback.redis.refuse()
    assert say(crm, request_id, "eligible") == DONE
    assert say(legal, request_id, "eligible") == DONE
    api.wait_status(request_id, "complete")


def test_it_starts_without_anything_and_takes_replies_once_kafka_is_there(api, outage, say, asked):
    request_id, crm, legal = asked
    for proxy in (outage.postgres, outage.redis, outage.kafka):
        proxy.refuse()
    outage.program.start()
    outage.wait_states(postgresql="down", redis="down", kafka="down")
    assert outage.ready()[0] == 503
    assert requests.get(f"{outage.program.url}/health", timeout=5).status_code == 200
    outage.kafka.open()
    outage.wait_states(kafka="up")
    assert outage.ready()[0] == 200
    wait_until(lambda: say(crm, request_id, "eligible") == DONE, 10, "a reply to be taken")
    for proxy in (outage.postgres, outage.redis):
        proxy.open()
    outage.wait_states(postgresql="up", redis="up")
    wait_until(lambda: say(crm, unknown(), "eligible")[0] == 404, 10, "PostgreSQL to be asked")
    assert say(legal, request_id, "eligible") == DONE
    api.wait_status(request_id, "complete")


def test_without_kafka_a_reply_is_refused_in_time_and_nothing_is_half_done(api, outage, say, asked):
    request_id, crm, legal = asked
    outage.kafka.refuse()
    outage.program.start()
    outage.wait_states(postgresql="up", redis="up", kafka="down")
    with promptly(8):
        assert say(crm, request_id, "not-eligible") == AWAY
    outage.kafka.open()
    outage.wait_states(kafka="up")
    assert say(legal, request_id, "eligible") == DONE, "the refused objection counts no more"
    assert say(crm, request_id, "eligible") == DONE, "it may say the opposite now"
    api.wait_status(request_id, "complete")


def test_what_is_known_is_answered_without_kafka(outage, stack, say, asked, bus):
    request_id, crm, _ = asked
    assert Replies(stack).say(crm, request_id, "eligible") == DONE
    bus.wait_types(request_id, "docket.request.pre_approval_eligible.v1")
    outage.kafka.refuse()
    outage.program.start()
    outage.wait_states(postgresql="up", kafka="down")
    with promptly(2):
        assert say(crm, request_id, "eligible") == DONE
        assert say(crm, request_id, "not-eligible") == contradicts(request_id, "not-eligible")


def test_it_ends_in_time_and_answers_what_is_under_way(outage, stack, say, asked):
    """Kafka is away and a reply waits for it when the operator stops the program."""
    request_id, crm, _ = asked
    outage.kafka.refuse()
    outage.program.start()
    outage.wait_states(postgresql="up", redis="up")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(say(crm, request_id, "eligible")))
    caller.start()
    with redis.Redis.from_url(stack.redis.url(stack.redis_number)) as client:
        marks = f"{stack.name}:replies:{request_id}"
        wait_until(lambda: client.exists(marks), 5, "the reply to be marked")
        assert outage.program.stop(), "it had to be killed"
        assert not client.exists(marks), "the refused reply left its mark"
    caller.join()
    assert answers == [AWAY]
    assert outage.program.exit_code == 0


# --- resumes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("harm", ["refuse", "mute"])
def test_a_resume_without_postgresql_is_to_come_again(outage, gates, api, harm):
    """And a pre-approval reply beside it is taken as ever."""
    gates.build(gate=HALT)
    request_id = gates.request()
    outage.program.start()
    getattr(outage.postgres, harm)()
    with promptly(6):
        answer = gates.resume("gate", request_id, url=outage.program.url)
    assert outcome(answer) == AWAY and answer.headers["Retry-After"]
    with promptly(1):  # it is known to be away
        assert outcome(gates.resume("gate", request_id, url=outage.program.url)) == AWAY
    assert api.status(request_id) == "paused"
    outage.postgres.open()
    wait_until(lambda: gates.resume("gate", request_id, url=outage.program.url).status_code == 200, 20,
               "it to be taken again")
    api.wait_status(request_id, "complete")


def test_a_resume_needs_neither_kafka_nor_redis(outage, gates, api):
    gates.build(gate=HALT)
    request_id = gates.request()
    outage.program.start()
    outage.kafka.refuse()
    outage.redis.refuse()
    assert must(gates.resume("gate", request_id, url=outage.program.url))["status"] == "in_processing"
    api.wait_status(request_id, "complete", timeout=40)  # by a worker's relay


def test_replies_are_answered_while_the_outbox_cannot_be_cleared(outage, gates):
    """A resume's row in the outbox is the janitor's to clear. A PostgreSQL that is mute must not keep it from telling
    what Kafka has taken, by which replies are answered."""
    gates.build(gate=HALT)
    request_id = gates.request()
    outage.program.start()
    outage.wait_states(kafka="up")
    outage.kafka.mute()  # what the resume publishes is not acknowledged yet
    must(gates.resume("gate", request_id, url=outage.program.url))
    outage.postgres.mute()
    outage.kafka.open()
    replies, unknown = gates.replies, f"pri_{uuid.uuid4()}"
    token = replies.token("pre_any", unknown)
    wait_until(lambda: outcome(replies.post(unknown, "eligible", token, outage.program.url)) == DONE, 20,
               "replies to be taken on their token")
