"""A request is forgotten: its key is destroyed, and nothing of whom it was about can be found or opened any more."""

import contextlib
import json
import re
import subprocess
import uuid

import pytest

from configuring import refusal
from packing import packing  # noqa: F401
from pausing import GO, HALT, gates  # noqa: F401
from safe import Ring, fresh_key, seal, unseal
from utils import Answer, must, must_all, wait_until, worker_settings

FORGOTTEN = "docket.request.forgotten.v1"
DELETED = "docket.request.package_deleted.v1"
ENDED = "it must be complete, denied, canceled or error"


@pytest.fixture
def forget(stack):
    """forget(*ids): what docketctl says, and its exit code."""
    def run(*ids):
        done = stack.docketctl("forget", *ids, check=False)
        return done.stdout.splitlines(), done.returncode
    return run


@pytest.fixture
def denied(api, identity):
    """denied(): (id, e-mail) of a request that a person has denied, with a reason."""
    def make():
        email = identity()
        request_id = api.create_request(email)["id"]
        api.deny(request_id, reason=identity.derived())
        return request_id, email
    return make


def key_of(db, stack, request_id):
    key_id, wrapped = db.execute("select key_id, wrapped from request_key where request_id = %s",
                                 (request_id,)).fetchone()
    return Ring(stack.environment()["DOCKET_SEALING_KEYS"]).unwrap(key_id, wrapped, request_id)


def plant(db, stack, request_id, value):
    """What a run leaves: a row that was read, what a person filled in, a package in its place."""
    key = key_of(db, stack, request_id)
    text = json.dumps({"email": value}).encode()
    db.execute("insert into request_rows values (%s, 'access:shop:person', 'a1', 1, 1, %s)",
               (request_id, seal(key, "rows", "access:shop:person.a1.1", text)))
    db.execute("insert into manual_input values (%s, 'acc_1', 'access', '{email}', %s, null, now())",
               (request_id, seal(key, "input", "acc_1.access", text)))
    package = stack.packages / f"{request_id}.json"
    package.parent.mkdir(parents=True, exist_ok=True)
    package.write_bytes(seal(key, "package", package.name, text))
    db.execute("insert into request_package values (%s, 'a_rule', 'default_local', %s, 'json', %s, 10, false, now(), "
               "now() + interval '30 days')",
               (request_id, json.dumps({"type": "local", "details": {"naming": "request_id"}}), package.name))
    return package


def email_of(api, request_id):
    return api.find(request_id, include_identities=True)["identity"]["email"]["value"]


def counts(db, request_id):
    tables = ("request_key", "identity_hash", "request_rows", "manual_input")
    return {table: db.execute(f"select count(*) from {table} where request_id = %s", (request_id,)).fetchone()[0]
            for table in tables}


# --- who may be forgotten ------------------------------------------------------------------------------------


def test_a_request_that_has_ended_is_forgotten_once(db, bus, forget, denied):
    request_id, _ = denied()
    assert forget(request_id) == ([f"{request_id}: forgotten"], 0)
    assert forget(request_id, request_id) == ([f"{request_id}: was forgotten before"], 0)
    events = [event for event in bus.wait_types(request_id, FORGOTTEN) if event.type == FORGOTTEN]
    assert {event.id for event in events} == {events[0].id}
    assert events[0].data["by"] == "operator" and "status" not in events[0].data
    assert not any(counts(db, request_id).values())
    assert db.execute("select forgotten_at is not null from privacy_request where id = %s", (request_id,)).fetchone()[0]


def test_one_under_way_is_not_and_the_others_are(api, identity, forget, denied):
    pending = api.create_request(identity())["id"]
    unknown = f"pri_{uuid.uuid4()}"
    ended, _ = denied()
    lines, code = forget(pending, unknown, ended)
    assert code == 1
    assert lines == [f"{pending}: not forgotten, as its status is pending: {ENDED}",
                     f"{unknown}: there is no such request", f"{ended}: forgotten"]
    assert email_of(api, pending)


def test_more_than_fit_one_transaction(forget, denied):
    ids = [denied()[0] for _ in range(70)]
    assert forget(*ids) == ([f"{request_id}: forgotten" for request_id in ids], 0)


# --- what is left of it --------------------------------------------------------------------------------------


def test_it_is_shown_without_whom_it_was_about(api, forget, denied):
    request_id, email = denied()
    assert must(api.post("/privacy-request/search", {"identities": {"email": email}}))["total"] == 1
    forget(request_id)
    shown = api.find(request_id, verbose=True, include_identities=True)
    assert shown["status"] == "denied" and not shown["identity"] and shown["results"]
    assert must(api.post("/privacy-request/search", {"identities": {"email": email}}))["total"] == 0
    assert must(api.post("/privacy-request/search", {"fuzzy_search_str": email}))["total"] == 0
    assert email not in json.dumps(shown) and "derived-" not in json.dumps(shown)
    assert "items" in must(api.get(f"/privacy-request/{request_id}/log"))
    assert must(api.get("/privacy-request", params={"request_id": request_id, "verbose": True}))["total"] == 1
    csv = api.get("/privacy-request", params={"request_id": request_id, "download_csv": True})
    assert csv.status_code == 200 and email not in csv.text


def test_it_can_t_be_tried_again_but_deleted(api, gates, forget):
    gates.build(gate=Answer(status=404))
    request_id = gates.request("error")
    forget(request_id)
    assert refusal(api.post(f"/privacy-request/{request_id}/retry")) == (
        400, f"Cannot restart privacy request '{request_id}': it was forgotten.")
    [failed] = must(api.post("/privacy-request/bulk/retry", {"request_ids": [request_id]}))["failed"]
    assert failed["message"] == f"Cannot restart privacy request '{request_id}': it was forgotten."
    assert api.status(request_id) == "error"
    assert must(api.post(f"/privacy-request/{request_id}/soft-delete")) is None


def test_nothing_is_sent_for_it_any_more(api, gates, receiver, forget, db):
    gates.build(gate=Answer(status=404))
    request_id = gates.request("error")
    forget(request_id)
    [delivery] = db.execute("select id from webhook_delivery where request_id = %s", (request_id,)).fetchone()
    answer = api.post(f"/docket/delivery/{request_id}/{delivery}/redeliver")
    assert refusal(answer) == (409, f"Privacy request '{request_id}' was forgotten: there is nothing left to send.")
    shown = must(api.get(f"/docket/delivery/{request_id}/{delivery}"))
    assert [attempt["answer"] for attempt in shown["attempts"]] == [None]


def package_deleted(bus, request_id):
    [event] = {event.id: event for event in bus.wait_types(request_id, DELETED) if event.type == DELETED}.values()
    return event.data


@pytest.mark.by_hand
def test_its_results_are_gone(api, db, bus, stack, forget, denied, identity):
    request_id, _ = denied()
    package = plant(db, stack, request_id, identity.derived())
    db.execute("update privacy_request set status = 'complete' where id = %s", (request_id,))
    [link] = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    forget(request_id)
    assert must(api.get(f"/privacy-request/{request_id}/access-results")) == {"access_result_urls": []}
    path = link.removeprefix(stack.api.url)
    assert refusal(api.anonymous().get(path)) == (410, "This privacy request was forgotten, and its package with it.")
    wait_until(lambda: not package.exists(), 20, "the package's file to be deleted")
    wait_until(lambda: not db.execute("select 1 from request_package where request_id = %s", (request_id,)).fetchone(),
               20, "the package's row to go")
    assert package_deleted(bus, request_id) == {
        "request_id": request_id, "rule_key": "a_rule", "storage_key": "default_local", "location": package.name,
        "reason": "forgotten"}


def test_what_was_collected_and_packed_for_it_is_gone(api, packing, db, forget):
    policy = packing.policy("forget_me", ("forget_me", packing.storage("forget_me"), ["user"]))
    request_id = packing.run(packing.person(), policy)
    [link] = must(api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
    assert counts(db, request_id)["request_rows"] > 0
    forget(request_id)
    assert not any(counts(db, request_id).values())
    assert api.anonymous().get(link.removeprefix(api.url)).status_code == 410
    assert refusal(api.get(f"/privacy-request/transfer/{request_id}/forget_me")) == (
        410, f"Privacy request '{request_id}' was forgotten.")
    wait_until(lambda: not [file for file in packing.stack.packages.rglob("*") if request_id in str(file)], 20,
               "the package to be deleted")
    shown = api.find(request_id, verbose=True)
    assert shown["status"] == "complete" and shown["results"]
    assert must(api.get(f"/privacy-request/{request_id}/tasks"))


# --- by the clock --------------------------------------------------------------------------------------------


def wait_forgotten(db, request_id):
    wait_until(lambda: db.execute("select forgotten_at from privacy_request where id = %s",
                                  (request_id,)).fetchone()[0], 20, f"{request_id} to be forgotten")


@pytest.mark.by_hand
def test_what_is_complete_is_forgotten_after_its_time(api, gates, stack, db, bus):
    gates.build(gate=GO)
    old, fresh = gates.request("complete"), gates.request("complete")
    db.execute("update privacy_request set finished_processing_at = now() - interval '2 hours' where id = %s", (old,))
    with worker_settings(stack, DOCKET_FORGET_AFTER="1h"):
        wait_forgotten(db, old)
    [event] = {event.id: event for event in bus.wait_types(old, FORGOTTEN) if event.type == FORGOTTEN}.values()
    assert event.data["by"] == "retention"
    assert db.execute("select forgotten_at from privacy_request where id = %s", (fresh,)).fetchone() == (None,)


@pytest.mark.by_hand
def test_collected_rows_and_packages_go_after_their_time(stack, db, bus, denied, identity):
    (old, _), (fresh, _) = denied(), denied()
    packages = [plant(db, stack, request_id, identity.derived()) for request_id in (old, fresh)]
    db.execute("update privacy_request set reviewed_at = now() - interval '8 days' where id = %s", (old,))
    db.execute("update request_package set delete_at = now() where request_id = %s", (old,))
    wait_until(lambda: counts(db, old)["request_rows"] == 0, 20, "old rows to be deleted")
    wait_until(lambda: not packages[0].exists(), 20, "an old package to be deleted")
    assert counts(db, old)["request_key"] == 1 and counts(db, fresh)["request_rows"] == 1 and packages[1].exists()
    assert package_deleted(bus, old)["reason"] == "expired"


# --- what somebody can find, with all that there is in their hands -------------------------------------------


def read(path):
    with contextlib.suppress(FileNotFoundError):  # it was deleted meanwhile
        return path.read_bytes()
    return b""


class Thief:
    """Has every file of every server, and whatever keys are left."""

    SEALED = (("privacy_request", "id", "sealed_identity", "identity", "id"),
              ("privacy_request", "id", "sealed_reason", "reason", "id"),
              ("webhook_delivery", "request_id", "sealed_derived", "derived", "id"),
              ("webhook_delivery", "request_id", "sealed_resumed", "resumed", "id"),
              ("request_rows", "request_id", "sealed", "rows", "task_id || '.' || attempt || '.' || chunk"),
              ("manual_input", "request_id", "sealed", "input", "webhook_id || '.' || action"))

    def __init__(self, stack, db, home):
        self.stack, self.db, self.home = stack, db, home

    def files(self):
        self.db.execute("checkpoint")
        roots = [self.stack.postgres.data, self.stack.kafka.data, self.stack.packages, self.stack.run.log,
                 self.stack.postgres.run.log]
        return [path for root in roots if root.exists() for path in root.rglob("*") if path.is_file()]

    def redis_dump(self):
        dump = self.home / "dump.rdb"
        redis = ["redis-cli", "-p", str(self.stack.redis.port)]
        subprocess.run([*redis, "config", "set", "rdbcompression", "no"], capture_output=True, check=True)
        subprocess.run([*redis, "--rdb", dump], capture_output=True, check=True)
        return dump

    def finds(self, *values):
        """Which of the values stand in a file of any server, or in Redis."""
        found = set()
        for path in [*self.files(), self.redis_dump()]:
            content = read(path)
            found |= {value for value in values if value in content}
        return found

    def copy(self, request_id):
        """As in a dump: the wrapped key, and everything that is sealed with it."""
        key = self.db.execute("select key_id, wrapped from request_key where request_id = %s", (request_id,)).fetchone()
        sealed = [(what, owner, bytes(value)) for table, column, value_column, what, owner_column in self.SEALED
                  for owner, value in self.db.execute(f"select {owner_column}, {value_column} from {table} "
                                                      f"where {column} = %s", (request_id,)) if value]
        return request_id, key, sealed

    @staticmethod
    def opens(copy, ring):
        """The plain texts of a copy's sealed values."""
        request_id, key, sealed = copy
        plain = Ring(ring).unwrap(key[0], bytes(key[1]), request_id) if key else None
        opened = [unseal(plain, what, owner, value) for what, owner, value in sealed] if plain else []
        return b"\n".join(text for text in opened if text)


@pytest.fixture
def thief(stack, db, tmp_path):
    """Meanwhile nothing is compressed in the log of writes, so that it can be searched. Kafka's records are compressed;
    they are searched for identities as they are read, at the end of all tests."""
    db.execute(f'alter database "{stack.name}" set wal_compression = off')
    stack.restart()  # it is for new connections
    yield Thief(stack, db, tmp_path)
    db.execute(f'alter database "{stack.name}" reset wal_compression')


@pytest.fixture
def rings(stack):
    """The ring that was; after the test everything is sealed by it again."""
    before = stack.environment()["DOCKET_SEALING_KEYS"]
    yield before
    now = stack.environment()["DOCKET_SEALING_KEYS"]
    if now != before:
        others = [key for key in now.split(",") if key not in before.split(",")]
        stack.restart(DOCKET_SEALING_KEYS=",".join([before, *others]))
        stack.docketctl("keys", "rewrap")
        stack.restart(DOCKET_SEALING_KEYS=None)


def test_nothing_is_found_or_opened_not_even_from_a_copy_of_before(api, gates, stack, db, identity, forget, rings,
                                                                   thief):
    gates.build(gate=[Answer(json={"halt": True, "derived_identity": {"phone_number": identity.phone()}})])
    living = gates.request()
    request_id = gates.request()
    must(gates.resume("gate", request_id, json={"derived_identity": {"customer_no": identity.custom()}}))
    api.wait_status(request_id, "complete")
    plant(db, stack, request_id, identity.derived())
    backup, living_backup = thief.copy(request_id), thief.copy(living)
    plain = [value.encode() for value in identity.values[-5:]]
    read = thief.opens(backup, rings)
    assert sum(value in read for value in plain) >= 3, "so a thief reads while there is a key"

    forget(request_id)
    assert not thief.finds(*plain)
    assert thief.finds(request_id.encode()), "so what is there is found"
    assert thief.copy(request_id)[1:] == (None, [])
    wrapped = bytes(backup[1][1])
    assert thief.finds(wrapped) == {wrapped}, "what was written is in old pages and the log of writes"

    new = fresh_key("fresh")
    stack.restart(DOCKET_SEALING_KEYS=f"{new},{rings}")
    said = stack.docketctl("keys", "rewrap").stdout
    old_id = rings.split(":")[0]
    assert re.search(rf"^{old_id}: 0 keys of requests, .*\(may be dropped\)$", said, re.MULTILINE), said
    stack.restart(DOCKET_SEALING_KEYS=new)
    assert thief.opens(backup, new) == b"" and thief.opens(living_backup, new) == b""
    assert not thief.finds(*plain)
    assert email_of(api, living), "who was not forgotten is still known"
    must(gates.resume("gate", living))
    api.wait_status(living, "complete")


# --- keys ----------------------------------------------------------------------------------------------------


def tallies(text):
    return {line.split(":")[0]: line for line in text.splitlines() if ":" in line}


def test_rewrapping_is_done_while_the_fleet_runs_and_can_be_repeated(api, identity, stack, db, rings, receiver):
    api.make_webhooks(receiver, crm=Answer())
    new = fresh_key("later")
    stack.restart(DOCKET_SEALING_KEYS=f"{new},{rings}")
    ids = [api.create_request(identity())["id"] for _ in range(3)]
    first = tallies(stack.docketctl("keys", "rewrap").stdout)
    change, = must(api.get("/docket/configuration-changes", params={"key": "crm", "size": 1}))["items"]
    assert (change["key"], change["fields"], change["by"], change["reason"]) == ("crm", ["secrets"], "system",
                                                                                 "rewrapped")
    assert change["source"].endswith("/docketctl")
    assert " 1 secrets of connections" in first["later"] and "may be dropped" in first[rings.split(":")[0]]
    again = stack.docketctl("keys", "rewrap").stdout
    assert again.startswith("0 sealed anew\n") and tallies(again)["later"] == first["later"]
    assert all(email_of(api, request_id) for request_id in ids)
    receiver.wait_calls(1, "/crm", ids[0])


def test_what_the_ring_can_t_open_is_told(stack, db, denied, rings):
    request_id, _ = denied()
    db.execute("update request_key set key_id = 'gone' where request_id = %s", (request_id,))
    done = stack.docketctl("keys", "rewrap", check=False)
    assert done.returncode == 1 and "1 could not be opened" in done.stderr
    assert "(not in the ring: they can't be opened)" in tallies(done.stdout)["gone"]
    db.execute("update request_key set key_id = %s where request_id = %s", (rings.split(":")[0], request_id))


def test_rewrapping_needs_the_ring(stack):
    settings = stack.settings
    stack.settings = settings | {"DOCKET_SEALING_KEYS": ""}
    try:
        done = stack.docketctl("keys", "rewrap", check=False)
    finally:
        stack.settings = settings
    assert done.returncode == 2 and "DOCKET_SEALING_KEYS" in done.stderr
