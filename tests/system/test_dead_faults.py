"""Events that docket itself fails at: tried once more, then left out, whatever they do to the worker."""

import re

import pytest

from poison import clean, reply  # noqa: F401
from utils import Answer, wait_until

ELIGIBLE = "docket.request.pre_approval_eligible.v1"

REFUSE = """
create function refuse_{name}() returns trigger language plpgsql as $$ begin
    insert into refused_{name} values (new.request_id);
    if new.request_id = '{request_id}' and new.type = '{type}' then
        raise exception using errcode = '{state}', message = 'refused by a test';
    end if;
    return new;
end $$;
create table refused_{name} (request_id text);
create trigger refuse_{name} before insert on request_event for each row execute function refuse_{name}()"""


@pytest.fixture
def refuse(clean):
    """refuse(request_id, sqlstate): PostgreSQL takes no eligible reply of that request, until taken_back() is said."""
    made = []

    class Refusal:
        def __call__(self, request_id, state):
            made.append(f"a{len(made)}")
            clean.query(REFUSE.format(name=made[-1], request_id=request_id, type=ELIGIBLE, state=state))

        def taken_back(self):
            while made:
                name = made.pop()
                clean.query(f"drop trigger refuse_{name} on request_event; drop function refuse_{name}; "
                            f"drop table refused_{name}")

    refusal = Refusal()
    yield refusal
    refusal.taken_back()


def ask(docket, identity, count):
    """Requests that wait for their one webhook: (id, the reply that it is to give)."""
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    ids = [docket.waiting_request(identity) for _ in range(count)]
    return [(request_id, reply(request_id, webhook_id)) for request_id, webhook_id in ids]


@pytest.mark.parametrize("states", [["22023", "23514", "P0001", "54000"], ["XX000"]], ids=["content", "anything"])
def test_what_postgresql_refuses_is_tried_once_more_and_then_left_out(clean, identity, refuse, states):
    docket = clean
    asked = ask(docket, identity, len(states) + 4)
    bad, good = asked[:len(states)], asked[len(states):]
    for (request_id, _), state in zip(bad, states):
        refuse(request_id, state)
    places = docket.put(*(each for _, each in bad))
    # An error that may be anybody's fault is one event's only when others of its kind get through meanwhile.
    for request_id, each in good:
        docket.put(each)
        docket.api.wait_status(request_id, "complete")
    letters = docket.wait_letters(*places)
    docket.wait_read()
    log = docket.worker.log_text()
    for (letter, said), (request_id, sent), state, place in zip(letters, bad, states, places):
        assert (said["reason"], said["sqlstate"]) == ("internal", state) and letter.same_as(sent)
        assert said["detail"] == "PostgreSQL refused what came of it"
        mine = re.escape("/".join(map(str, place)))
        assert len(re.findall(rf'"event":"event.failed".*"{mine}"', log)) == 1, "tried twice"
        assert docket.api.status(request_id) == "awaiting_pre_approval"
    refuse.taken_back()
    docket.dead("retry", *(str(letter.was[2]) for letter, _ in letters))
    for request_id, _ in bad:
        docket.api.wait_status(request_id, "complete")


def test_what_is_wrong_with_postgresql_itself_is_waited_for(clean, identity):
    """Nobody's event is left out for a right that was taken from us."""
    docket = clean
    asked = ask(docket, identity, 3)
    dead = len(docket.letters())
    docket.query("alter table pre_approval_reply rename to pre_approval_reply_away")
    try:
        docket.put(*(each for _, each in asked))
        wait_until(lambda: docket.worker.log_text().count('"event":"postgresql.statement_failed"') > 10, 20,
                   "it to be tried many times")
    finally:
        docket.query("alter table pre_approval_reply_away rename to pre_approval_reply")
    for request_id, _ in asked:
        docket.api.wait_status(request_id, "complete")
    docket.wait_read()
    assert len(docket.letters()) == dead


# --- what the worker dies of ---------------------------------------------------------------------------------


def run_until(worker, condition, most=12):
    """Starts the worker whenever it dies, as a supervisor does. How often it died."""
    for died in range(most + 1):
        wait_until(lambda: condition() or not worker.is_alive(), 60, "the worker to die, or not to", every=0.1)
        if condition():
            return died
        worker.wait_stopped()
        worker.start()
    raise AssertionError(f"it died {died} times")


@pytest.mark.timeout(500)
def test_an_event_that_kills_the_worker_is_left_out_and_the_partition_goes_on(clean, identity):
    docket = clean
    (bad, bad_reply), *good = ask(docket, identity, 5)
    docket.wait_read()
    deadly = bad_reply.with_header("docket_test_trigger", b"handle")
    before, after = good[:2], good[2:]
    docket.put(*(each for _, each in before))
    [place] = docket.put(deadly)
    docket.put(*(each for _, each in after))
    mine = "/".join(map(str, place))
    dead = f'"reason":"internal","detail":"workers died at it","place":"{mine}"'
    died = run_until(docket.worker, lambda: docket.worker.log_contains(dead))
    assert died in (4, 5), "two or three that may have died of anything, and two of which it is known"
    for request_id, _ in good:
        docket.api.wait_status(request_id, "complete")
    [(letter, said)] = docket.wait_letters(place)
    assert said["reason"] == "internal" and letter.same_as(deadly)
    docket.wait_read()
    docket.worker.wait_log('"event":"care.ended"')
    assert docket.api.status(bad) == "awaiting_pre_approval"
    docket.dead("retry", str(letter.was[2]), "--header", "docket_test_trigger")
    docket.api.wait_status(bad, "complete")


@pytest.mark.timeout(500)
def test_two_events_that_kill_are_both_left_out(clean, identity):
    docket = clean
    (first, first_reply), (second, second_reply), (last, last_reply) = ask(docket, identity, 3)
    docket.wait_read()
    places = docket.put(first_reply.with_header("docket_test_trigger", b"read"),
                        second_reply.with_header("docket_test_trigger", b"handle"))
    docket.put(last_reply)
    run_until(docket.worker, lambda: len([place for place in places if docket.worker.log_contains(
        f'"detail":"workers died at it","place":"{"/".join(map(str, place))}"', since_start=False)]) == 2)
    docket.api.wait_status(last, "complete")
    assert {said["reason"] for _, said in docket.wait_letters(*places)} == {"internal"}
    docket.wait_read()


@pytest.mark.timeout(500)
def test_a_worker_that_is_killed_again_and_again_blames_no_event(clean, identity):
    docket = clean
    asked = ask(docket, identity, 5)
    docket.wait_read()
    dead = len(docket.letters())
    docket.worker.stop()
    for request_id, each in asked:
        docket.put(each)
        docket.worker.start()
        wait_until(lambda: docket.worker.log_contains("intake.assigned"), 40, "it to have its partitions")
        docket.worker.kill()
    docket.worker.start()
    for request_id, _ in asked:
        docket.api.wait_status(request_id, "complete")
    docket.wait_read()
    assert len(docket.letters()) == dead
    assert docket.worker.log_contains("care.began", since_start=False)


@pytest.mark.timeout(500)
def test_a_run_goes_on_through_care(clean, identity):
    """What is owed while events are watched is called once that is over."""
    docket = clean
    docket.api.make_webhooks(docket.receiver, crm=Answer())
    (bad, bad_reply), = ask(docket, identity, 1)
    docket.wait_read()
    docket.worker.stop()
    [place] = docket.put(bad_reply.with_header("docket_test_trigger", b"read"))
    created = [docket.api.create_request(identity())["id"] for _ in range(5)]
    docket.worker.start()
    run_until(docket.worker, lambda: docket.worker.log_contains('"event":"care.ended"'))
    for request_id in created:
        docket.receiver.wait_calls(1, "/crm", request_id, timeout=60)
    docket.wait_letters(place)
    assert all(len(docket.receiver.calls("/crm", request_id)) == 1 for request_id in created)


def test_a_worker_that_ended_well_leaves_no_word_behind(clean):
    docket = clean
    for _ in range(3):
        docket.worker.stop()
        docket.worker.start()
        docket.worker.wait_log("intake.assigned", 40)
    assert not docket.worker.log_contains("care.began")
