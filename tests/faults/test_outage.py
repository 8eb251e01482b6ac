"""Kafka, PostgreSQL or Redis goes away for twenty seconds under load: what can go on goes on, nothing is lost, and
no program needs a hand when it is back."""

import time

import psycopg
import pytest
import requests

from events import consumer_lag
from load import OBJECTOR, WEBHOOKS, Creator, log_problems, make_webhooks, problems_of, wait_decided
from stack import wait_until

AWAY = 20  # seconds


def held_calls(api, receiver, identity, name):
    """webhook -> its call about a request whose replies are ours to send."""
    request_id = api.create_request(identity(), external_id=f"held-{name}")["id"]
    receiver.wait_calls(len(WEBHOOKS), request_id=request_id)
    return {call.path.lstrip("/"): call for call in receiver.calls(request_id=request_id)}


def reply(stack, call, verdict):
    return requests.post(f"{stack.callback.url}/api/v1{call.headers[f'reply-to-{verdict}']}", json={}, timeout=30,
                         headers={"Authorization": f"Bearer {call.headers['reply-to-token']}"})


def create(stack, identity):
    return requests.post(f"{stack.api.url}/api/v1/privacy-request", timeout=30, json=[
        {"policy_key": "default_erasure_policy", "identity": {"email": identity()}, "external_id": "held-probe"}])


def send_replies(stack, held):
    """All eligible for one request, an objection to the other; the answers."""
    answers = [reply(stack, call, "eligible") for call in held["good"].values()]
    return answers + [reply(stack, held["bad"][OBJECTOR], "not-eligible")]


def expect_while_away(stack, server, held, identity):
    answers = send_replies(stack, held)
    if server is stack.kafka:
        assert [answer.status_code for answer in answers] == [503] * len(answers)
        assert all(int(answer.headers["Retry-After"]) > 0 and answer.json()["detail"] for answer in answers)
    else:
        assert [answer.status_code for answer in answers] == [200] * len(answers), "the token alone is enough"
        assert reply(stack, held["good"]["crm"], "eligible").status_code == 200, "and the same again"
    made = create(stack, identity)
    if server is stack.postgres:
        assert made.status_code == 503 and isinstance(made.json()["detail"], str)
    else:
        assert made.status_code == 200, "events wait in the outbox, Redis may be forgotten"


@pytest.mark.workers(2)
@pytest.mark.timeout(170)
@pytest.mark.parametrize("name", ["kafka", "postgres", "redis"])
def test_a_server_away_for_twenty_seconds_loses_nothing(stack, api, receiver, identity, bus, replier, seed, name):
    server = getattr(stack, name)
    bus.skip()
    make_webhooks(api, receiver, replier)
    held = {word: held_calls(api, receiver, identity, word) for word in ("good", "bad")}
    pids = {program.name: program.pid for program in stack.programs}
    over = []
    creator = Creator(api, identity, f"{name}-{seed}", 100_000, pause=1, until=lambda: bool(over))
    creator.start()
    wait_until(lambda: len(replier.settled) >= 180, 30, "the load to run")
    server.stop()
    left = time.monotonic()
    expect_while_away(stack, server, held, identity)
    time.sleep(max(0, left + AWAY - time.monotonic()))  # the fault is a matter of time
    server.start()
    back = time.monotonic()
    made = len(creator.external_ids)
    wait_until(lambda: len(creator.external_ids) >= made + 100, 60, lambda: f"creates to go on: {creator.answers}")
    over.append(True)
    creator.join(60)
    assert {answer.status_code for answer in send_replies(stack, held)} == {200}, "a repeat is harmless"
    with psycopg.connect(stack.postgres.url(stack.name), autocommit=True) as db:
        wait_decided(db, creator.prefix, len(creator.external_ids), 90)
        wait_until(lambda: not replier.unsettled, 30, lambda: f"{replier.unsettled} replies to be answered")
        print(f"{name}: all decided {time.monotonic() - back:.0f} s after it was back, "
              f"creates {dict(creator.answers)}, replies {dict(replier.answers)}")
        for word, status in (("good", "complete"), ("bad", "pre_approval_not_eligible")):
            api.wait_status(next(iter(held[word].values())).request_id, status, timeout=30)
        wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}",
                   every=1)
        problems = problems_of(db, bus, replier, [creator]) + log_problems(stack)
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
    assert {program.name: program.pid for program in stack.programs} == pids, "nobody was restarted"
