"""Reply tokens as other programs make and read them: a JWE of any JOSE library, with the shared key."""

import json
from datetime import datetime, timedelta, timezone

import pytest
import requests
from jwcrypto import jwe, jwk

from utils import Answer, Api

HEADER = {"alg": "dir", "enc": "A256GCM"}
CONTRACT_KEY = "0123456789abcdef0123456789abcdef"
CONTRACT_TOKEN = (
    "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAECAwQFBgcICQoL.VsfMGbtwvcPDgxjaU_XxJpZ6ZtgM3kXqAvCblstGw_TY2BQkae"
    "41YONMzT251e5ISZrolHvEr7BNNV0razlCUo0gDVBCAWGLf1t4L89cPAkp5_AkdF7f1LSKd-qMeaRt1aAqqvA.o6S0stqxvb8MV-1vvUUt5Q")
CONTRACT_CLAIMS = {"webhook_id": "pre_0b1a", "scopes": ["privacy-request:review"],
                   "iat": "2026-01-02T03:04:05.678901"}
REVIEW = "privacy-request:review"


def seal(key, claims, header=HEADER):
    token = jwe.JWE(claims if isinstance(claims, bytes) else json.dumps(claims).encode(), protected=header)
    token.add_recipient(jwk.JWK.from_password(key))
    return token.serialize(compact=True)


def unseal(key, token):
    sealed = jwe.JWE()
    sealed.deserialize(token, jwk.JWK.from_password(key))
    return sealed.jose_header, json.loads(sealed.payload)


def moment(**ago):
    return (datetime.now(timezone.utc) - timedelta(**ago)).strftime("%Y-%m-%dT%H:%M:%S.%f")


@pytest.fixture
def key(stack):
    return stack.environment()["DOCKET_APP_ENCRYPTION_KEY"]


@pytest.fixture
def asked(stack, api, receiver, identity):
    """A waiting request: (its id, the webhook's id, a function that replies with a token)."""
    api.make_webhooks(receiver, crm=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/crm", request_id)[0]
    _, claims = unseal(stack.environment()["DOCKET_APP_ENCRYPTION_KEY"], call.headers["reply-to-token"])

    def reply(token):
        return requests.post(f"{stack.callback.url}/api/v1{call.headers['reply-to-eligible']}", json={},
                             headers={"Authorization": f"Bearer {token}"}, timeout=10)

    return request_id, claims, reply


def test_the_contract_s_vector_is_what_this_library_reads():
    assert unseal(CONTRACT_KEY, CONTRACT_TOKEN) == (HEADER, CONTRACT_CLAIMS)


def test_docket_s_token_is_read_by_another_library(asked):
    request_id, claims, _ = asked
    assert claims.keys() == {"webhook_id", "scopes", "iat", "privacy_request_id"}
    assert claims["privacy_request_id"] == request_id and claims["scopes"] == [REVIEW]
    issued = datetime.fromisoformat(claims["iat"])
    assert issued.tzinfo is None
    assert abs(datetime.now(timezone.utc) - issued.replace(tzinfo=timezone.utc)) < timedelta(minutes=1)


def test_another_library_s_token_is_taken(asked, api, key):
    """One without the request's id too, as a release before this one made them."""
    request_id, claims, reply = asked
    old = {"webhook_id": claims["webhook_id"], "scopes": [REVIEW], "iat": moment(hours=59)}
    answer = reply(seal(key, old))
    assert (answer.status_code, answer.json()) == (200, None)
    api.wait_status(request_id, "complete")


def test_an_unbound_token_is_good_only_where_its_webhook_was_asked(stack, asked, api, receiver, identity, key):
    request_id, claims, reply = asked
    api.make_connection("other", receiver.script("/other", Answer()))
    api.set_pre_approval(("crm", "crm"), ("other", "other"))
    receiver.wait_calls(1, "/other", request_id)
    pending = api.create_request(identity(), policy="default_consent_policy")["id"]
    token = seal(key, {"webhook_id": claims["webhook_id"], "scopes": [REVIEW], "iat": moment()})
    answer = requests.post(f"{stack.callback.url}/api/v1/privacy-request/{pending}/pre-approve/eligible",
                           headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert answer.status_code == 403


WRONG = {
    "no scope": {"scopes": []},
    "another scope": {"scopes": ["privacy-request:resume"]},
    "scopes that are a text": {"scopes": REVIEW},
    "no webhook": {"webhook_id": None},
    "no time": {"iat": None},
    "a time that is none": {"iat": "soon"},
    "another request": {"privacy_request_id": "pri_00000000-0000-4000-8000-000000000000"},
    "a request that is no text": {"privacy_request_id": 5},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
def test_a_token_that_lacks_something_is_refused(asked, key, wrong):
    _, claims, reply = asked
    answer = reply(seal(key, {name: value for name, value in (claims | wrong).items() if value is not None}))
    assert (answer.status_code, answer.json()) == (403, {"detail": "Not Authorized for this action"})


@pytest.mark.parametrize("payload", [b"", b"x", b"[]", b"null", b"{", b"\xff", b'{"webhook_id":"a\x00b"}'])
def test_a_token_whose_content_is_no_object_is_refused(asked, key, payload):
    assert asked[2](seal(key, payload)).status_code == 403


def test_a_token_of_another_key_or_algorithm_is_refused(asked, key):
    _, claims, reply = asked
    assert reply(seal(CONTRACT_KEY, claims)).status_code == 403
    assert reply(seal(key, claims, HEADER | {"zip": "DEF"})).status_code == 403
    for enc in ("A128CBC-HS256",):
        assert reply(seal(key, claims, {"alg": "dir", "enc": enc})).status_code == 403


def test_a_token_stands_for_sixty_hours(asked, key):
    _, claims, reply = asked
    answer = reply(seal(key, claims | {"iat": moment(hours=60, seconds=5)}))
    assert (answer.status_code, answer.json()) == (403, {"detail": "Webhook token expired"})
    assert reply(seal(key, claims | {"iat": moment(hours=59, minutes=59)})).status_code == 200


def test_a_token_of_an_unknown_webhook_is_not_found(asked, key):
    _, claims, reply = asked
    answer = reply(seal(key, claims | {"webhook_id": "pre_none"}))
    assert (answer.status_code, answer.json()) == (
        404, {"detail": "No Pre-Approval Webhook found with id 'pre_none'."})


def test_an_unknown_request_is_not_found(stack, asked, key):
    _, claims, _ = asked
    unknown = "pri_00000000-0000-4000-8000-000000000000"
    token = seal(key, claims | {"privacy_request_id": unknown})
    answer = requests.post(f"{stack.callback.url}/api/v1/privacy-request/{unknown}/pre-approve/eligible", json={},
                           headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (answer.status_code, answer.json()) == (404, {"detail": f"No privacy request found with id: '{unknown}'."})


def test_an_access_token_made_elsewhere_with_the_shared_key_is_taken(stack, api, key):
    """What another program of the same installation issues is good here, with no more than the client may do."""
    environment = stack.environment()
    now = datetime.now(timezone.utc)
    claims = {"client-id": environment["DOCKET_ROOT_CLIENT_ID"], "scopes": ["webhook:read"], "roles": [],
              "systems": [], "connections": [], "monitors": [], "iat": now.isoformat(),
              "exp": int(now.timestamp()) + 60}
    assert Api(stack.api.url, seal(key, claims)).get("/dsr/webhook/pre_approval").status_code == 200
    refused = Api(stack.api.url, seal(key, claims)).get("/connection")
    assert (refused.status_code, refused.json()) == (
        403, {"detail": "Not Authorized for this action. Required scope(s): [connection:read]"})
    late = seal(key, claims | {"exp": int(now.timestamp()) - 1})
    assert Api(stack.api.url, late).get("/dsr/webhook/pre_approval").status_code == 403
    assert api.get("/dsr/webhook/pre_approval").status_code == 200
