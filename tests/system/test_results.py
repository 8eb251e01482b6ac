"""Results are fetched by links that end; what an access rule takes of the collected rows is transferred as JSON."""

import re
import uuid

import pytest

from configuring import assert_scope, refusal
from utils import must, must_all


@pytest.fixture
def pending(api, identity):
    return lambda: api.create_request(identity())["id"]


def results(api, request_id):
    return api.get(f"/privacy-request/{request_id}/access-results")


def test_links_need_their_scope(api):
    assert_scope(api, "GET", "/privacy-request/pri_1/access-results", "privacy-request-access-results:read")
    assert_scope(api, "GET", "/privacy-request/transfer/pri_1/rule", "privacy-request:transfer")


def test_there_are_none_before_the_end(api, pending):
    request_id = pending()
    assert refusal(results(api, request_id)) == (
        400, f"Access results for privacy request '{request_id}' are not available because the request is not complete.")
    unknown = f"pri_{uuid.uuid4()}"
    assert refusal(results(api, unknown)) == (404, f"No privacy request found with id '{unknown}'.")
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))
    assert refusal(results(api, request_id)) == (422, f"Privacy request with id {request_id} has been deleted.")


@pytest.mark.settings(DOCKET_RESULTS_DOWNLOAD="false")
def test_they_may_be_turned_off(api, pending):
    assert refusal(results(api, pending())) == (403, "Access results download is disabled.")
    assert refusal(api.anonymous().get("/docket/package/abc")) == (403, "Access results download is disabled.")


@pytest.mark.parametrize("token", ["abc", "%20", "A" * 60, "A" * 5000])
def test_a_link_that_nobody_made(api, token):
    assert refusal(api.anonymous().get(f"/docket/package/{token}")) == (403, "This link is not valid.")


def plant(db, request_id, *rules):
    """A complete request with packages whose files are not there."""
    db.execute("update privacy_request set status = 'complete' where id = %s", (request_id,))
    for rule in rules:
        db.execute("insert into request_package values (%s, %s, 'default_local', '{\"type\": \"local\", \"details\": {}}', "
                   "'json', %s, 10, false, now(), now() + interval '1 day')", (request_id, rule, f"{request_id}.json"))


def test_one_link_a_package_to_where_the_call_came(api, stack, db, pending):
    request_id = pending()
    plant(db, request_id, "a_rule", "b_rule")
    answer = results(api, request_id)
    links = must(answer)["access_result_urls"]
    assert len(set(links)) == 2 and answer.headers["Cache-Control"] == "no-store"
    assert all(re.fullmatch(re.escape(stack.api.url) + r"/api/v1/docket/package/[\w-]+", link) for link in links)
    for link in links:
        path = link.removeprefix(stack.api.url)
        assert refusal(api.anonymous().get(path)) == (404, "There is no such package any more.")
        assert api.anonymous().request("HEAD", path).status_code == 404
        assert refusal(api.anonymous().get(path[:-1] + ("A" if path[-1] != "A" else "B"))) == (
            403, "This link is not valid.")
    db.execute("delete from request_package where request_id = %s", (request_id,))
    assert refusal(api.anonymous().get(path)) == (404, "There is no such package any more.")
    must(api.post(f"/privacy-request/{request_id}/soft-delete"))
    assert refusal(api.anonymous().get(path)) == (410, "This privacy request was deleted.")


@pytest.mark.settings(DOCKET_PUBLIC_URL="https://privacy.example.com/docket/")
def test_links_begin_with_the_public_address(api, db, pending):
    request_id = pending()
    plant(db, request_id, "a_rule")
    [link] = must(results(api, request_id))["access_result_urls"]
    assert link.startswith("https://privacy.example.com/docket/api/v1/docket/package/")


def test_behind_a_proxy_that_ends_tls(api, db, pending):
    request_id = pending()
    plant(db, request_id, "a_rule")
    answer = api.get(f"/privacy-request/{request_id}/access-results",
                     headers={"Host": "privacy.example.com", "X-Forwarded-Proto": "https"})
    assert must(answer)["access_result_urls"][0].startswith("https://privacy.example.com/api/v1/docket/package/")


# --- transfer --------------------------------------------------------------------------------------------------


@pytest.fixture
def access_policy(api):
    must_all(api.patch("/dsr/policy", [{"name": "transferred", "key": "transferred"}]))
    must_all(api.patch("/dsr/policy/transferred/rule", [{"name": "give", "key": "give_all", "action_type": "access"}]))
    must_all(api.patch("/dsr/policy/transferred/rule/give_all/target", [{"data_category": "user"}]))
    return "transferred"


def test_a_transfer_of_what_is_not_there(api, access_policy, identity):
    unknown = f"pri_{uuid.uuid4()}"
    assert refusal(api.get(f"/privacy-request/transfer/{unknown}/give_all")) == (
        404, f"No privacy request with id {unknown} found")
    request_id = api.create_request(identity(), policy=access_policy)["id"]
    assert refusal(api.get(f"/privacy-request/transfer/{request_id}/other")) == (404, "Rule key other not found")
    assert refusal(api.get(f"/privacy-request/transfer/{request_id}/give_all")) == (
        400, f"Access data of privacy request '{request_id}' is not available because it was not collected.")
    api.deny(request_id)
