"""An endpoint is down for a while: who waits for it goes on by itself when it is back, and nobody else waits."""

import os
import threading
import time

import pytest

from events import consumer_lag
from load import Creator, log_problems, wait_decided
from receiver import Answer, Receiver
from runs import Course, Step, percentile, run_problems
from stack import wait_until

DOWN = int(os.environ.get("DOCKET_TEST_DOWN", 20))  # seconds
BEFORE = 8  # seconds in which both are up
EACH_SECOND = 20  # requests to each, BULK at once
PROMPT = 5  # seconds for a whole run of two calls; it takes a few hundredths
HEAL = 15  # seconds until the last that waited is complete; the longest wait for a turn is less

# Half of the calls fail at once before the breaker opens; it lets one probe through a second. What waits for it has
# used none of its attempts, and those that did have more than the endpoint is down for.
patient = pytest.mark.settings(DOCKET_BREAKER_WINDOW="10s", DOCKET_BREAKER_OPEN="1s",
                               DOCKET_WEBHOOK_RETRY_SCHEDULE="1s,2s,4s,8s,8s,8s,8s,8s,8s,8s,8s,8s,8s")


def two_steps(policy, name):
    return Course(policy, [Step(f"{name}_before"), Step(f"{name}_after", lambda seen: Answer(), kind="post")])


class Load:
    """A stream of requests to one policy, from now until it is told to end."""

    def __init__(self, api, identity, prefix, course):
        self.course = course
        self.over = threading.Event()
        self.creator = Creator(api, identity, prefix, 1_000_000, pause=1, until=self.over.is_set,
                               policy=course.policy)
        self.creator.start()

    def end(self):
        self.over.set()
        self.creator.join(30)
        assert not self.creator.is_alive()

    def durations(self, db, begin, end):
        """Seconds from creation to completion of those created between these two, by the machine's clock."""
        return [float(took) for took, in db.execute("""
            select extract(epoch from finished_processing_at - created_at) from privacy_request
            where external_id like %s and status = 'complete'
              and created_at between to_timestamp(%s) and to_timestamp(%s)""",
                                                    (f"{self.creator.prefix}-%", begin, end))]


def count(db, prefix, status):
    return db.execute("select count(*) from privacy_request where external_id like %s and status = %s",
                      (f"{prefix}-%", status)).fetchone()[0]


@pytest.mark.workers(2)
@patient
@pytest.mark.timeout(150 + 2 * DOWN)
def test_an_endpoint_that_is_back_heals_and_its_neighbour_never_noticed(stack, api, receiver, identity, bus, db, seed):
    bus.skip()
    frail = Receiver(stack.callback.url)
    ill, well = two_steps("faults_ill", "ill"), two_steps("faults_well", "well")
    ill.install(api, frail)
    well.install(api, receiver)
    loads = [Load(api, identity, f"{course.policy}-{seed}", course) for course in (ill, well)]
    try:
        up = time.time()
        time.sleep(BEFORE)  # what it is like without the fault is a matter of time, as the fault is
        ill.is_up = False
        frail.close()
        down = time.time()
        time.sleep(DOWN)
        complete = count(db, loads[0].creator.prefix, "complete")
        waiting = count(db, loads[0].creator.prefix, "in_processing")
        back = Receiver(stack.callback.url, port=frail.port)
        ill.listen(back)
        ill.is_up = True
        healed = time.time()
    finally:
        for load in loads:
            load.end()
    try:
        for load in loads:
            wait_decided(db, load.creator.prefix, len(load.creator.external_ids), HEAL, ["complete"])
        took = time.time() - healed
        wait_until(lambda: consumer_lag(stack) == 0, 60, lambda: f"the lag to be 0, it is {consumer_lag(stack)}")
    finally:
        back.close()
    before = percentile(loads[1].durations(db, up, down), 0.99)
    beside = percentile(loads[1].durations(db, down, healed), 0.99)
    print(f"down for {DOWN} s, with {complete} complete and {waiting} waiting at its end, all complete {took:.1f} s "
          f"later; the neighbour's p99 {before * 1000:.0f} ms before and {beside * 1000:.0f} ms beside it, "
          f"{beside / before:.2f} times")
    problems = log_problems(stack)
    for load in loads:
        problems += run_problems(db, bus, load.course, load.creator)
    assert not problems, f"seed {seed}: {len(problems)}\n" + "\n".join(map(str, problems[:30]))
    assert waiting >= (DOWN - 2) * EACH_SECOND * 0.9, "they waited for it"
    assert max(loads[1].durations(db, down, healed)) < PROMPT
