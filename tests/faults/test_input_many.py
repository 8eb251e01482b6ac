"""Many requests wait for people's input: they wait in PostgreSQL, whatever happens to the programs meanwhile."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from client import Api, must, must_all
from load import Creator, log_problems, wait_decided
from stack import wait_until
from test_pause_many import GROWTH, memory, mib, restart_all, settled_memory, wait_idle

REQUESTS = int(os.environ.get("DOCKET_TEST_WAITING", 1000))
FILLED = 200  # by hand, one after another; the others go on as nobody is asked any more
MANUAL = "faults_files"
POLICY = "faults_input"


def configure(api):
    must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    must_all(api.patch("/connection", [{"key": MANUAL, "name": MANUAL, "connection_type": "manual_webhook",
                                        "access": "read"}]))
    must(api.post(f"/connection/{MANUAL}/access_manual_webhook", {"fields": [{"pii_field": "Paper file"}]}), 201)
    must_all(api.patch("/dsr/policy", [{"key": POLICY, "name": POLICY}]))
    must_all(api.patch(f"/dsr/policy/{POLICY}/rule", [{
        "key": f"{POLICY}_rule", "name": f"{POLICY}_rule", "action_type": "erasure",
        "masking_strategy": {"strategy": "null_rewrite", "configuration": {}}}]))


def wait_status(db, prefix, status, count, timeout):
    def counted():
        return db.execute("select count(*) from privacy_request where external_id like %s and status = %s",
                          (f"{prefix}-%", status)).fetchone()[0]

    wait_until(lambda: counted() == count, timeout, lambda: f"{count} to be {status}, {counted()} are", every=0.2)


def fill_in(api, request_ids):
    token = api.session.headers["Authorization"].removeprefix("Bearer ")

    def fill(request_id):
        own = Api(api.url, token)
        must(own.patch(f"/privacy-request/{request_id}/erasure_manual_webhook/{MANUAL}", {"paper_file": True}))
        must(own.post(f"/privacy-request/{request_id}/resume_from_requires_input"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(fill, request_ids))


@pytest.mark.workers(2)
@pytest.mark.timeout(150 + REQUESTS // 20)
def test_what_waits_for_input_costs_nothing_and_goes_on(stack, api, identity, bus, db, seed):
    bus.skip()
    configure(api)
    restart_all(stack)
    fresh = memory(stack)
    creator = Creator(api, identity, f"input-{seed}", REQUESTS, policy=POLICY)
    creator.run()
    wait_status(db, creator.prefix, "requires_input", REQUESTS, 30 + REQUESTS / 20)
    restart_all(stack)
    wait_idle(stack)
    waiting = settled_memory(stack, fresh, GROWTH / 2)  # what was not committed before the kill came once more
    filled = [row[0] for row in db.execute("select id from privacy_request where external_id like %s order by id "
                                           "limit %s", (f"{creator.prefix}-%", FILLED))]
    fill_in(api, filled)
    wait_status(db, creator.prefix, "complete", len(filled), 60)
    began = time.monotonic()
    must(api.delete(f"/connection/{MANUAL}"), 204)
    wait_decided(db, creator.prefix, REQUESTS, 60 + REQUESTS / 20, ["complete"])
    print(f"{REQUESTS} waited; a worker has MiB: fresh {mib(fresh)}, fresh with all of them waiting {mib(waiting)}; the "
          f"others were complete {time.monotonic() - began:.1f} s after nobody was asked any more")
    assert not creator.failed and not log_problems(stack)
    assert max(waiting) < max(fresh) + GROWTH / 2, "what waits is not even read at the start"
