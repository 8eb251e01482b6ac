"""What the tests of connections, policies and webhooks share."""

import pytest

from utils import Api, must

KEY_RULE = ("Value error, FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. "
            "Value provided: ")


def failed(answer):
    """The one element of a bulk call that failed; nothing succeeded."""
    body = must(answer)
    assert body["succeeded"] == []
    assert len(body["failed"]) == 1
    return body["failed"][0]


def errors(answer):
    """The validation errors of a 422 as (type, loc, msg)."""
    assert answer.status_code == 422, answer.text
    return [(error["type"], error["loc"], error["msg"]) for error in answer.json()["detail"]]


def refusal(answer):
    """Status and text of an error that a handler tells."""
    return answer.status_code, answer.json()["detail"]


def clash(key, model):
    return (f"Key {key} already exists in {model}. Keys will be snake-cased names if not provided. If you are seeing "
            "this error without providing a key, please provide a key or a different name.")


def assert_scope(api, method, path, scope):
    """A client without the scope is told of it, and who is no client nothing."""
    client = must(api.post("/oauth/client", {"scopes": ["storage:read"]}))
    stranger = Api.login(api.url, client["client_id"], client["client_secret"])
    assert refusal(stranger.request(method, path, json=[])) == (
        403, f"Not Authorized for this action. Required scope(s): [{scope}]")
    assert refusal(api.anonymous().request(method, path, json=[])) == (401, "Failed to authenticate")


def same_session(api):
    """The same client on a connection of its own, for a thread."""
    other = Api(api.url)
    other.session.headers.update(api.session.headers)
    return other


@pytest.fixture
def sweeps(db):
    """sweeps() tells why waiting requests were to be looked at again since it was asked last; workers delete the
    rows that say so."""
    db.execute("""
        create table if not exists test_sweep (id bigint, reason text);
        truncate test_sweep;
        create or replace function test_sweep_noted() returns trigger language plpgsql as
            $$ begin insert into test_sweep values (new.id, new.reason); return null; end $$;
        create or replace trigger test_sweep_noted after insert on review_sweep
            for each row execute function test_sweep_noted()""")

    def reasons():
        found = [row[0] for row in db.execute("select reason from test_sweep order by id")]
        db.execute("truncate test_sweep")
        return found

    yield reasons
    db.execute("drop trigger test_sweep_noted on review_sweep; drop table test_sweep")
