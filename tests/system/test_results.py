"""Results are fetched by links that end; what an access rule takes of the collected rows is transferred as JSON."""

import json
import re
import uuid

import pytest

from asking import make_manual
from configuring import assert_scope, refusal
from customers import sorted_rows
from packing import packing  # noqa: F401
from utils import must, must_all, wait_until

pytestmark = pytest.mark.by_hand


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
        400, f"Access results for privacy request '{request_id}' are not available because the request is not "
             "complete.")
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
        db.execute("insert into request_package values (%s, %s, 'default_local', "
                   "'{\"type\": \"local\", \"details\": {}}', 'json', %s, 10, false, now(), now() + "
                   "interval '1 day')", (request_id, rule, f"{request_id}.json"))


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


def links(api, request_id):
    return [link.removeprefix(api.url) for link in must(results(api, request_id))["access_result_urls"]]


def test_a_package_is_fetched_without_a_token_and_kept_nowhere(api, packing):
    policy = packing.policy("res_one", ("res_one", packing.storage("res_one"), ["user"]))
    request_id = packing.run(packing.person(), policy)
    [path] = links(api, request_id)
    answer = api.anonymous().get(path)
    head = api.anonymous().request("HEAD", path)
    assert answer.status_code == head.status_code == 200 and answer.json() and not head.content
    for headers in (answer.headers, head.headers):
        assert headers["Content-Type"] == "application/json" and headers["Cache-Control"] == "no-store"
        assert headers["Content-Disposition"] == f'attachment; filename="{request_id}.json"'
    assert api.anonymous().get(path + "/").content == answer.content
    [file] = [file for file in packing.stack.packages.rglob("*") if request_id in str(file) and file.is_file()]
    file.write_bytes(file.read_bytes()[:-1])
    broken = api.anonymous().get(path)  # a part is never taken for the whole
    assert broken.status_code == 500 and "Content-Disposition" not in broken.headers
    file.unlink()
    assert refusal(api.anonymous().get(path)) == (404, "There is no such package any more.")


@pytest.mark.settings(DOCKET_PACKAGE_LINK_LIFE="10s")
def test_a_link_ends(api, db, pending):
    request_id = pending()
    plant(db, request_id, "a_rule")
    [path] = links(api, request_id)
    assert api.anonymous().get(path).status_code == 404
    wait_until(lambda: refusal(api.anonymous().get(path)) == (410, "This link has ended."), 20, "the link to end")


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


def transferred(api, request_id, rule):
    answer = api.get(f"/privacy-request/transfer/{request_id}/{rule}")
    assert answer.headers["Content-Type"] == "application/json" and answer.headers["Cache-Control"] == "no-store"
    return sorted_rows(must(answer))


def test_a_transfer_has_what_the_package_has(api, packing):
    """Of one rule, with what people filled in."""
    make_manual(api, "archive", "email", "last_name")
    storage = packing.storage("tra_two")
    policy = packing.policy("tra_two", ("tra_all", storage, ["user"]), ("tra_names", storage, ["user.name"]))
    request_id = packing.run(packing.person(), policy, "requires_input")
    must(api.patch(f"/privacy-request/{request_id}/access_manual_webhook/archive",
                   {"email": "x\"y", "last_name": None}))
    must(api.post(f"/privacy-request/{request_id}/resume_from_requires_input"))
    api.wait_status(request_id, "complete", timeout=60)
    packages = {name.split(".")[1]: content for name, content in packing.fetch(request_id).items()}
    for rule in ("tra_all", "tra_names"):
        found = json.loads(packages[rule])
        told = transferred(api, request_id, rule)
        assert {address: len(rows) for address, rows in told.items()} == {
            address: len(rows) for address, rows in found.items()}
        assert told["archive"] == found["archive"] == [{"email": 'x"y'}] and told.keys() == found.keys()


def test_collected_rows_that_had_their_time_are_told(api, packing, db):
    policy = packing.policy("tra_old", ("tra_old", packing.storage("tra_old"), ["user"]))
    request_id = packing.run(packing.person(), policy)
    assert transferred(api, request_id, "tra_old")
    db.execute("update privacy_request set finished_processing_at = now() - interval '8 days' where id = %s",
               (request_id,))
    wait_until(lambda: not db.execute("select 1 from request_rows where request_id = %s", (request_id,)).fetchone(), 30,
               "the rows to be deleted")
    assert refusal(api.get(f"/privacy-request/transfer/{request_id}/tra_old")) == (
        410, f"Access data of privacy request '{request_id}' was deleted.")
    assert packing.fetch(request_id)[f"{request_id}.json"], "its package stays"
