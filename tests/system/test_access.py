"""Who may do what: clients and their tokens, scopes and roles, the one user. Contract: rest.md 1.3, 2, 15."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import assert_scope, errors, refusal, same_session
from utils import Api, must

FORBIDDEN = (403, "Not Authorized for this action")


def make_client(api, **body):
    client = must(api.post("/oauth/client", body))
    return client["client_id"], client["client_secret"]


@pytest.fixture
def client(api):
    """Makes a client with these scopes; it is gone after the test."""
    made = []

    def make(*scopes, **more):
        made.append(make_client(api, scopes=list(scopes), **more))
        return made[-1]

    yield make
    for client_id, _ in made:
        api.delete(f"/oauth/client/{client_id}")


def login(api, credentials):
    return Api.login(api.url, *credentials)


# --- tokens ----------------------------------------------------------------------------------------------


def token_answer(api, form=None, **options):
    return api.anonymous().post("/oauth/token", data=form, **options)


def test_a_token_is_given_for_a_form_or_for_basic(api, client):
    client_id, secret = client("scope:read")
    by_form = token_answer(api, {"client_id": client_id, "client_secret": secret, "scope": "ignored"})
    by_basic = token_answer(api, {"grant_type": "client_credentials"}, auth=(client_id, secret))
    for answer in by_form, by_basic:
        body = must(answer)
        assert body["token_type"] == "Bearer"
        assert body["expires_in"] == 11520 * 60
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", body["expires_at"])
        assert answer.headers["Cache-Control"] == "no-store"
        assert Api(api.url, body["access_token"]).get("/oauth/scope").status_code == 200


@pytest.mark.parametrize("form", [
    None, {}, {"client_id": "x"}, {"client_secret": "x"}, {"client_id": "x", "client_secret": "y"},
    {"client_id": "'; --", "client_secret": "y"}])
def test_who_does_not_say_who_gets_no_token(api, form):
    answer = token_answer(api, form)
    assert refusal(answer) == (401, "Authentication Failure")
    assert "WWW-Authenticate" in answer.headers


def test_a_wrong_secret_gets_no_token(api, client, stack):
    client_id, secret = client()
    root = stack.environment()["DOCKET_ROOT_CLIENT_ID"]
    for name, given in (client_id, secret[:-1]), (client_id, secret + "x"), (root, secret):
        assert refusal(token_answer(api, auth=(name, given))) == (401, "Authentication Failure")


@pytest.mark.parametrize("header", ["Basic", "Basic !", "Basic " + base64.b64encode(b"no colon").decode(),
                                    "Basic " + base64.b64encode(b"\xff\xfe:x").decode(), "Bearer x"])
def test_ill_formed_credentials_get_no_token(api, header):
    answer = token_answer(api, headers={"Authorization": header})
    assert refusal(answer) == (401, "Authentication Failure")


@pytest.mark.parametrize("grant", ["password", "", "client"])
def test_another_grant_is_refused(api, grant):
    assert errors(token_answer(api, {"grant_type": grant, "client_id": "a", "client_secret": "b"})) == [
        ("string_pattern_mismatch", ["body", "grant_type"], "String should match pattern 'client_credentials'")]


# --- what a token is good for ------------------------------------------------------------------------------


def test_without_a_token_401(api):
    for header in None, "", "Basic eDp5", "Bearer", "Token x":
        answer = api.anonymous().get("/connection", headers={"Authorization": header} if header is not None else {})
        assert refusal(answer) == (401, "Failed to authenticate")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_a_token_that_is_none_403(api):
    for token in "x", "a.b.c.d.e", "é", api.session.headers["Authorization"][7:-4] + "AAAA":
        assert refusal(api.anonymous().get("/connection", headers={
            "Authorization": f"bearer {token}".encode()})) == FORBIDDEN


def test_what_is_wrong_is_told_in_the_contract_s_order(api, client):
    """No JSON, then who, then whether, then the schema."""
    nobody, somebody = api.anonymous(), login(api, client("scope:read"))
    assert errors(nobody.patch("/connection", data=b"{"))[0][0] == "json_invalid"
    assert nobody.patch("/connection", {"not": "a list"}).status_code == 401
    assert somebody.patch("/connection", {"not": "a list"}).status_code == 403
    assert errors(api.patch("/connection", {"not": "a list"}))[0][0] == "list_type"
    assert errors(api.patch("/connection")) == [("missing", ["body"], "Field required")]


def test_scopes_of_every_kind_of_call(api):
    assert_scope(api, "GET", "/oauth/client", "client:read")
    assert_scope(api, "PUT", "/oauth/client/x/scope", "client:update")
    assert_scope(api, "GET", "/config", "config:read")
    assert_scope(api, "DELETE", "/config", "config:update")


def test_a_scope_taken_away_ends_the_tokens_that_have_it(api, client):
    client_id, secret = client("scope:read", "client:read")
    before = login(api, (client_id, secret))
    must(api.put(f"/oauth/client/{client_id}/scope", ["scope:read"]))
    assert before.get("/oauth/scope").status_code == 403
    assert login(api, (client_id, secret)).get("/oauth/scope").status_code == 200


def test_a_scope_added_is_for_the_next_token(api, client):
    client_id, secret = client("scope:read")
    before = login(api, (client_id, secret))
    must(api.put(f"/oauth/client/{client_id}/scope", ["scope:read", "client:read"]))
    assert before.get("/oauth/scope").status_code == 200
    assert before.get("/oauth/client").status_code == 403
    assert login(api, (client_id, secret)).get("/oauth/client").status_code == 200


def test_a_role_implies_its_scopes_while_its_client_has_it(api, client, db):
    client_id, secret = client()
    db.execute("update oauth_client set roles = '{viewer}' where id = %s", [client_id])
    viewer = login(api, (client_id, secret))
    assert viewer.get("/connection").status_code == 200
    assert viewer.post("/privacy-request/search").status_code == 403
    db.execute("update oauth_client set roles = '{approver}' where id = %s", [client_id])
    assert viewer.get("/connection").status_code == 403


def test_a_deleted_client_is_out_at_once(api, client):
    credentials = client("scope:read")
    deleted = login(api, credentials)
    assert must(api.delete(f"/oauth/client/{credentials[0]}")) is None
    assert refusal(deleted.get("/oauth/scope")) == FORBIDDEN
    assert refusal(token_answer(api, auth=credentials)) == (401, "Authentication Failure")


# --- clients -----------------------------------------------------------------------------------------------


def test_a_client_is_shown_without_its_secret(api, client):
    client_id, secret = client("scope:read", name="Portal", description="what for")
    assert re.fullmatch("[0-9a-f]{32}", client_id)
    shown = {"client_id": client_id, "name": "Portal", "description": "what for", "scopes": ["scope:read"]}
    assert must(api.get(f"/oauth/client/{client_id}")) == shown
    assert must(api.get("/oauth/client"))["items"][0] == shown
    assert must(api.get(f"/oauth/client/{client_id}/scope")) == ["scope:read"]
    assert secret not in api.get("/oauth/client", params={"size": 100}).text


def test_a_secret_is_kept_as_a_salted_hash(api, client, db):
    client_id, secret = client()
    (kept,), = db.execute("select secret_hash from oauth_client where id = %s", [client_id])
    assert kept.startswith("$argon2id$") and secret not in kept


def test_old_clients_send_a_list_of_scopes_or_nothing(api):
    listed = must(api.post("/oauth/client", ["scope:read"]))["client_id"]
    bare = must(api.post("/oauth/client"))["client_id"]
    assert must(api.get(f"/oauth/client/{listed}/scope")) == ["scope:read"]
    assert must(api.get(f"/oauth/client/{bare}")) == {"client_id": bare, "name": None, "description": None,
                                                      "scopes": []}
    for client_id in listed, bare:
        api.delete(f"/oauth/client/{client_id}")


def test_the_root_client_is_hidden(api, stack):
    root = stack.environment()["DOCKET_ROOT_CLIENT_ID"]
    assert root not in [item["client_id"] for item in must(api.get("/oauth/client"))["items"]]
    assert refusal(api.get(f"/oauth/client/{root}")) == (404, "Client not found.")


def test_what_is_absent_in_a_change_stays(api, client):
    client_id, _ = client("scope:read", name="Portal", description="what for")
    path = f"/oauth/client/{client_id}"
    assert must(api.put(path, {"name": "Door"}))["description"] == "what for"
    assert must(api.put(path, {"description": None})) == {
        "client_id": client_id, "name": "Door", "description": None, "scopes": ["scope:read"]}
    assert must(api.put(path, {"scopes": []}))["scopes"] == []


def test_a_new_secret_replaces_the_old_one(api, client):
    client_id, old = client("scope:read")
    new = must(api.post(f"/oauth/client/{client_id}/secret"))
    assert new["client_id"] == client_id
    assert token_answer(api, auth=(client_id, old)).status_code == 401
    assert login(api, (client_id, new["client_secret"])).get("/oauth/scope").status_code == 200


def test_unknown_clients(api):
    assert refusal(api.get("/oauth/client/none")) == (404, "Client not found.")
    assert refusal(api.put("/oauth/client/none", {})) == (404, "Client not found.")
    assert refusal(api.post("/oauth/client/none/secret")) == (404, "Client not found.")
    assert must(api.get("/oauth/client/none/scope")) == []
    assert must(api.put("/oauth/client/none/scope", [])) is None
    assert must(api.delete("/oauth/client/none")) is None


def test_a_blank_name_is_refused(api):
    for method, path in ("POST", "/oauth/client"), ("PUT", "/oauth/client/none"):
        assert errors(api.request(method, path, json={"name": " \t"}))[0][:2] == ("value_error", ["body", "name"])


def test_only_scopes_that_there_are_can_be_given(api, client):
    client_id, _ = client()
    for method, path, body in (("POST", "/oauth/client", {"scopes": ["webhook:write"]}),
                               ("PUT", f"/oauth/client/{client_id}", {"scopes": ["webhook:write"]}),
                               ("PUT", f"/oauth/client/{client_id}/scope", ["webhook:write"])):
        status, text = refusal(api.request(method, path, json=body))
        assert status == 403 and text.startswith("Invalid Scope. Scopes must be one of ['backfill:exec', ")


def test_nobody_gives_what_they_have_not(api, client):
    giver = login(api, client("client:create", "client:update", "scope:read"))
    other, _ = client()
    lacking = (403, "Cannot assign scopes that you do not have. Missing scopes: ['webhook:read', 'config:read']")
    wanted = ["webhook:read", "scope:read", "config:read"]
    assert refusal(giver.post("/oauth/client", {"scopes": wanted})) == lacking
    assert refusal(giver.put(f"/oauth/client/{other}", {"scopes": wanted})) == lacking
    assert refusal(giver.put(f"/oauth/client/{other}/scope", wanted)) == lacking
    assert must(giver.put(f"/oauth/client/{other}/scope", ["scope:read"])) is None


def test_clients_are_paged_newest_first(api, client):
    made = [client(name=str(number))[0] for number in range(3)]
    page = must(api.get("/oauth/client", params={"page": 1, "size": 2}))
    assert [item["client_id"] for item in page["items"]] == made[:0:-1]
    assert page["size"] == 2 and page["pages"] == -(-page["total"] // 2)
    beyond = must(api.get("/oauth/client", params={"page": 10**9, "size": 100}))
    assert beyond["items"] == [] and beyond["total"] == page["total"]


def test_the_registry_is_whole(api):
    scopes, roles = must(api.get("/oauth/scope")), must(api.get("/oauth/role"))
    assert len(scopes) == len(set(scopes)) == 130
    assert set(roles) == {"owner", "contributor", "viewer", "approver", "viewer_and_approver", "data_steward",
                          "respondent", "external_respondent"}
    assert roles["owner"] == scopes
    assert set(roles["viewer_and_approver"]) == set(roles["viewer"]) | set(roles["approver"])
    assert "privacy-request:read" not in roles["viewer"]
    client_id, _ = make_client(api, scopes=scopes)
    assert must(api.get(f"/oauth/client/{client_id}/scope")) == scopes
    api.delete(f"/oauth/client/{client_id}")


def test_many_log_in_at_once(api, client):
    credentials = client("scope:read")

    def one(_):
        return login(same_session(api), credentials).get("/oauth/scope").status_code

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(one, range(24))) == {200}


# --- the one user ------------------------------------------------------------------------------------------


def user(stack):
    environment = stack.environment()
    return environment["DOCKET_ROOT_USERNAME"], environment["DOCKET_ROOT_PASSWORD"]


def test_the_user_of_the_configuration_logs_in(api, stack):
    username, password = user(stack)
    for given in password, base64.b64encode(password.encode()).decode():
        body = must(api.anonymous().post("/login", {"username": username, "password": given}))
        assert body["user_data"]["id"] == stack.environment()["DOCKET_ROOT_CLIENT_ID"]
        assert body["user_data"]["username"] == username
        assert set(body["user_data"]) == {
            "id", "username", "created_at", "email_address", "first_name", "last_name", "disabled",
            "disabled_reason", "email_verified_at", "has_invite", "invite_expired"}
        token = body["token_data"]["access_token"]
        assert set(body["token_data"]) == {"access_token", "token_type", "expires_in", "expires_at"}
        assert Api(api.url, token).get("/oauth/client").status_code == 200


def test_nobody_else_does(api, stack):
    username, password = user(stack)
    for name, given in (username, password + "x"), (username + "x", password), ("", ""), (username, ""):
        answer = api.anonymous().post("/login", {"username": name, "password": given})
        assert refusal(answer) == (403, "Incorrect username or password.")
    assert errors(api.anonymous().post("/login", {"username": username})) == [
        ("missing", ["body", "password"], "Field required")]


def test_who_logs_out_need_not_be_known(api):
    assert api.post("/logout").status_code == 204
    for token in "x", "a.b.c.d.e":
        assert Api(api.url, token).post("/logout").status_code == 204
    assert refusal(api.anonymous().post("/logout")) == (401, "Failed to authenticate")
