"""Endpoints with a private CA, and those that want to see a certificate."""

import datetime
import ssl

import pytest

from certificates import Authority, TlsReceiver, peer
from utils import Answer, Receiver, must, must_all, wait_until, worker_settings

HOST = "127.0.0.1"
PROTOCOLS = {"tls 1.2": ssl.TLSVersion.TLSv1_2, "tls 1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module", autouse=True)
def impatient_worker(stack):
    with worker_settings(stack, DOCKET_WEBHOOK_RETRY_SCHEDULE="none", DOCKET_BREAKER_CALLS=1000):
        yield


@pytest.fixture(scope="module")
def company():
    """The CA of the endpoints and of those that they let in."""
    return Authority("company CA")


@pytest.fixture(scope="module")
def stranger():
    return Authority("another CA")


@pytest.fixture
def endpoint(tmp_path, company):
    """endpoint(...) is a TlsReceiver of the company, unless told otherwise."""
    made = []

    def make(server=None, **options):
        made.append(TlsReceiver(tmp_path, server or company.issue("endpoint", HOST), **options))
        return made[-1]

    yield make
    for receiver in made:
        receiver.close()


def remember(into):
    """A behaviour that notes who calls, and over which connection."""

    def note(receiver, handler, call):
        into.append((call.path, peer(handler), handler.client_address))
        Answer()(receiver, handler, call)

    return note


def connect(api, key, url, **certificates):
    must_all(api.patch("/connection", [{"key": key, "name": key, "connection_type": "https", "access": "read"}]))
    must(api.put(f"/connection/{key}/secret", {"url": url, "authorization": "x"} | certificates))


def as_client(issued):
    return {"client_certificate": issued[0], "client_key": issued[1]}


def outcome(api, identity, db):
    """What came of the one call of a new request."""
    request_id = api.create_request(identity())["id"]
    query = "select status_code, outcome from webhook_attempt where request_id = %s"
    wait_until(lambda: db.execute(query, (request_id,)).fetchone(), 15, "the attempt to be on record")
    return db.execute(query, (request_id,)).fetchall()


@pytest.mark.parametrize("version", PROTOCOLS)
def test_an_endpoint_with_a_private_ca_and_our_certificate_is_called(api, identity, db, company, endpoint, version):
    seen = []
    receiver = endpoint(clients=company, version=PROTOCOLS[version])
    connect(api, "crm", receiver.script("/crm", remember(seen)), ca_certificate=company.pem,
            **as_client(company.issue("docket")))
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(200, "succeeded")]
    assert [(path, name) for path, name, _ in seen] == [("/crm", "docket")]


def test_a_test_call_shows_the_certificate_too(api, company, endpoint):
    seen = []
    receiver = endpoint(clients=company)
    connect(api, "crm", receiver.script("/crm", remember(seen)), ca_certificate=company.pem,
            **as_client(company.issue("docket")))
    must(api.post("/docket/endpoint/crm/test"), 202)
    wait_until(lambda: seen, 15, "the test call")
    assert [(path, name) for path, name, _ in seen] == [("/crm", "docket")]


@pytest.mark.parametrize("version", PROTOCOLS)
@pytest.mark.parametrize("shown", ["nothing", "of another CA", "expired"])
def test_who_shows_no_certificate_or_the_wrong_one_is_not_heard(api, identity, db, company, stranger, endpoint, shown,
                                                                version):
    receiver = endpoint(clients=company, version=PROTOCOLS[version])
    issued = {"of another CA": stranger.issue("docket"),
              "expired": company.issue("docket", until=-datetime.timedelta(minutes=5))}.get(shown)
    connect(api, "crm", receiver.script("/crm", Answer()), ca_certificate=company.pem,
            **(as_client(issued) if issued else {}))
    api.set_pre_approval(("crm", "crm"))
    [(status, word)] = outcome(api, identity, db)
    assert status is None
    # In TLS 1.3 the endpoint says so when the call is on its way already, and the word may be lost with it.
    assert word == "tls_error" or (version == "tls 1.3" and word == "connection_reset")
    assert receiver.calls() == []


def test_a_private_ca_that_nobody_told_us_of_is_not_trusted(api, identity, db, endpoint):
    receiver = endpoint()
    connect(api, "crm", receiver.script("/crm", Answer()))
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(None, "tls_error")]
    assert receiver.calls() == []


def test_another_ca_s_endpoint_is_not_trusted(api, identity, db, company, stranger, endpoint):
    receiver = endpoint(stranger.issue("endpoint", HOST))
    connect(api, "crm", receiver.script("/crm", Answer()), ca_certificate=company.pem)
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(None, "tls_error")]
    assert receiver.calls() == []


@pytest.mark.parametrize("server", ["of another host", "expired"])
def test_a_certificate_that_is_not_the_endpoint_s_is_not_trusted(api, identity, db, company, endpoint, server):
    issued = company.issue("endpoint", "127.0.0.2") if server == "of another host" \
        else company.issue("endpoint", HOST, until=-datetime.timedelta(minutes=5))
    receiver = endpoint(issued)
    connect(api, "crm", receiver.script("/crm", Answer()), ca_certificate=company.pem)
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(None, "tls_error")]
    assert receiver.calls() == []


def test_who_speaks_no_tls_is_no_endpoint(api, identity, db):
    plain = Receiver()
    try:
        connect(api, "crm", plain.url("/crm").replace("http:", "https:"))
        api.set_pre_approval(("crm", "crm"))
        assert outcome(api, identity, db) == [(None, "tls_error")]
    finally:
        plain.close()


def test_a_kept_connection_is_used_again_for_the_same_certificate_only(api, identity, db, company, endpoint):
    """Three connections with different certificates, one with none, all to one address: what is kept open for one
    must not carry another's call."""
    seen = []
    receiver = endpoint(clients=company, required=False)
    names = {"alice": as_client(company.issue("alice")), "bob": as_client(company.issue("bob")), "nobody": {},
             "alice2": as_client(company.issue("alice2"))}
    for key, certificate in names.items():
        connect(api, key, receiver.script(f"/{key}", remember(seen)), ca_certificate=company.pem, **certificate)
    api.set_pre_approval(*((key, key) for key in names))
    for turn in range(1, 7):
        api.create_request(identity())
        wait_until(lambda: len(seen) >= turn * len(names), 15, lambda: f"all to be called {turn} times: {seen}")
    assert {path: {name for at, name, _ in seen if at == path} for path in {path for path, _, _ in seen}} == {
        "/alice": {"alice"}, "/bob": {"bob"}, "/nobody": {None}, "/alice2": {"alice2"}}
    used = {}
    for path, _, address in seen:
        used.setdefault(address, set()).add(path)
    assert all(len(paths) == 1 for paths in used.values()), used
    assert len(used) < len(seen), "connections are kept and used again"


def test_a_new_certificate_goes_with_the_next_call(api, identity, company, endpoint):
    seen = []
    receiver = endpoint(clients=company)
    url = receiver.script("/crm", remember(seen))
    for turn, name in enumerate(["old", "new"], 1):
        connect(api, "crm", url, ca_certificate=company.pem, **as_client(company.issue(name)))
        api.set_pre_approval(("crm", "crm"))
        api.create_request(identity())
        wait_until(lambda: len(seen) >= turn, 15, f"call {turn}")
    assert [name for _, name, _ in seen] == ["old", "new"]


def test_a_token_endpoint_is_asked_with_the_same_certificates(api, identity, db, company, endpoint):
    seen = []
    receiver = endpoint(clients=company)
    connect(api, "crm", receiver.script("/crm", remember(seen)), ca_certificate=company.pem,
            **as_client(company.issue("docket")))

    def give(receiver, handler, call):
        seen.append((call.path, peer(handler), handler.client_address))
        Answer(json={"access_token": identity.derived()})(receiver, handler, call)

    must(api.put("/connection/crm/oauth", {"grant_type": "client_credentials", "client_id": "id",
                                           "client_secret": "secret", "token_url": receiver.script("/token", give)}))
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(200, "succeeded")]
    assert [(path, name) for path, name, _ in seen] == [("/token", "docket"), ("/crm", "docket")]


def test_a_private_ca_is_one_connection_s_own(api, identity, db, company, endpoint):
    """The other one calls the same endpoint without it, after a connection to it was made and kept."""
    receiver = endpoint()
    connect(api, "crm", receiver.script("/crm", Answer()), ca_certificate=company.pem)
    api.set_pre_approval(("crm", "crm"))
    assert outcome(api, identity, db) == [(200, "succeeded")]
    connect(api, "desk", receiver.script("/desk", Answer()))
    api.set_pre_approval(("desk", "desk"))
    assert outcome(api, identity, db) == [(None, "tls_error")]
    assert receiver.calls("/desk") == []
