"""Requests are found, shown, sorted, paged, downloaded, and their timelines read."""

import csv
import io
from datetime import datetime, timedelta, timezone

import pytest

from utils import Answer, must, must_all, wait_until

UNKNOWN = "pri_00000000-0000-4000-8000-000000000000"


def make(api, person, policy="default_access_policy", **more):
    element = {"policy_key": policy, "identity": {"email": person()}} | more
    return must_all(api.anonymous().post("/privacy-request", [element]))[0]


def search(api, page=None, **filters):
    return must(api.post("/privacy-request/search", filters, params=page or {}))


def found(api, **filters):
    return [item["id"] for item in search(api, **filters)["items"]]


def listed(api, **query):
    return [item["id"] for item in must(api.get("/privacy-request", params=query))["items"]]


@pytest.fixture
def group(api, identity):
    """Three requests of this test's own, found by their external id, oldest first."""
    name = identity.derived()
    return name, [make(api, identity, external_id=f"{name}-{letter}")["id"] for letter in "abc"]


# --- finding -------------------------------------------------------------------------------------------------


def test_a_search_needs_no_body(api, group):
    page = must(api.session.post(f"{api.url}/api/v1/privacy-request/search"))
    assert page["total"] >= 3 and page["page"] == 1 and page["size"] == 50
    assert [item["id"] for item in page["items"]][:3] == group[1][::-1]


@pytest.mark.parametrize("part", [slice(None), slice(4, 12), slice(0, 10), slice(30, 40)])
def test_an_id_is_found_by_any_part_of_it(api, group, part):
    one = group[1][1]
    assert one in found(api, request_id=one[part])
    assert one in found(api, request_id=one[part].upper())
    assert one in listed(api, request_id=one[part])
    assert one in found(api, fuzzy_search_str=one[part])
    assert found(api, request_id=UNKNOWN) == []


def test_an_identity_is_found_by_its_whole_value(api, identity):
    email, phone, custom = identity(), identity.phone(), identity.custom()
    one = make(api, identity, identity={"email": email, "phone_number": phone, "loyalty_id": custom})["id"]
    make(api, identity)
    assert found(api, identities={"email": email}) == [one]
    assert found(api, identities={"email": email.replace("@example.com", "@EXAMPLE.com")}) == [one]
    assert found(api, identities={"phone_number": phone}) == [one]
    assert found(api, identities={"loyalty_id": custom["value"]}) == [one]
    assert found(api, identities={"email": "nobody@example.com", "phone_number": phone}) == [one]
    assert found(api, identities={"phone_number": email}) == []
    assert found(api, identities={"email": email[:-1]}) == []
    assert listed(api, identity=email) == [one]
    assert listed(api, identity=phone) == [one]
    assert found(api, fuzzy_search_str=email) == [one]
    assert found(api, identities={"email": email}, request_id=UNKNOWN) == []


def test_statuses_are_one_or_many(api, identity, group):
    name, (first, second, third) = group
    api.deny(first)
    must_all(api.patch("/privacy-request/administrate/cancel", [second]))
    assert found(api, external_id=name, status="denied") == [first]
    assert set(found(api, external_id=name, status=["denied", "canceled"])) == {first, second}
    assert found(api, external_id=name, status="pending") == [third]
    assert set(listed(api, external_id=name, status=["denied", "pending"])) == {first, third}
    assert found(api, external_id=name, status=[]) == found(api, external_id=name)


def test_an_external_id_is_found_by_its_beginning(api, group):
    name, ids = group
    assert set(found(api, external_id=name.upper())) == set(ids)
    assert found(api, external_id=f"{name}-b") == [ids[1]]
    assert found(api, external_id=f"{name[:-1]}%") == []
    assert found(api, external_id=name[1:]) == []


def test_a_country_has_its_parts(api, identity):
    name = identity.derived()
    country = make(api, identity, external_id=name, location="FR")["id"]
    part = make(api, identity, external_id=name, location="FR-75")["id"]
    make(api, identity, external_id=name, location="DE")
    assert set(found(api, external_id=name, location="fr")) == {country, part}
    assert found(api, external_id=name, location="FR-75") == [part]
    assert found(api, external_id=name, location="not a place") == []


def test_actions_are_those_of_the_policy(api, identity):
    name = identity.derived()
    access = make(api, identity, external_id=name)["id"]
    erasure = make(api, identity, "default_erasure_policy", external_id=name)["id"]
    assert found(api, external_id=name, action_type="erasure") == [erasure]
    assert set(found(api, external_id=name, action_type=["erasure", "access"])) == {access, erasure}
    assert found(api, external_id=name, action_type="update") == []
    assert listed(api, external_id=name, action_type="access") == [access]


def test_times_are_limits_that_are_not_reached(api, group):
    name, ids = group
    middle = api.find(ids[1])["created_at"]
    assert found(api, external_id=name, created_lt=middle) == [ids[0]]
    assert found(api, external_id=name, created_gt=middle) == [ids[2]]
    assert found(api, external_id=name, created_gt="2026-01-01", created_lt=middle) == [ids[0]]
    assert listed(api, external_id=name, created_gt=middle) == [ids[2]]
    api.approve(ids[0])
    done = api.wait_status(ids[0], "complete")
    assert found(api, external_id=name, completed_gt="2026-01-01") == [ids[0]]
    assert found(api, external_id=name, completed_lt=done["finished_processing_at"]) == []
    assert found(api, external_id=name, errored_gt="2026-01-01") == []
    assert found(api, external_id=name, started_gt="2026-01-01") == [ids[0]]


def test_what_is_overdue_is_late_and_still_open(api, identity):
    name = identity.derived()
    long_ago = (datetime.now(timezone.utc) - timedelta(days=60)).isoformat()
    late = make(api, identity, external_id=name, requested_at=long_ago)["id"]
    closed = make(api, identity, external_id=name, requested_at=long_ago)["id"]
    api.deny(closed)
    in_time = make(api, identity, external_id=name)["id"]
    assert found(api, external_id=name, is_overdue=True) == [late]
    assert found(api, external_id=name, is_overdue=False) == [in_time]
    assert api.find(late)["days_left"] == -15


@pytest.mark.by_hand
def test_deleted_requests_show_when_asked_for(api, group, db):
    name, ids = group
    db.execute("update privacy_request set deleted_at = now(), deleted_by = 'root' where id = %s", (ids[0],))
    assert ids[0] not in found(api, external_id=name)
    assert ids[0] in found(api, external_id=name, include_deleted_requests=True)
    assert ids[0] in listed(api, external_id=name, include_deleted_requests="true")
    assert api.find(ids[0], include_deleted_requests=True)["deleted_by"] == "root"


# --- order and pages -----------------------------------------------------------------------------------------


def test_pages_are_cut_from_one_order(api, group):
    name, ids = group
    pages = [search(api, {"page": number, "size": 2}, external_id=name) for number in (1, 2, 3)]
    assert [[item["id"] for item in page["items"]] for page in pages] == [ids[:0:-1], ids[:1], []]
    for number, page in enumerate(pages, 1):
        assert (page["total"], page["page"], page["size"], page["pages"]) == (3, number, 2, 2)
    for bad in ({"page": 0}, {"size": 0}, {"size": 101}, {"page": "x"}):
        assert api.post("/privacy-request/search", {}, params=bad).status_code == 422
        assert api.get("/privacy-request", params=bad).status_code == 422


def test_lists_are_sorted_as_told(api, group):
    name, ids = group
    assert found(api, external_id=name) == ids[::-1]
    assert found(api, external_id=name, sort_direction="asc") == ids
    assert found(api, external_id=name, sort_field="external_id") == ids[::-1]
    assert found(api, external_id=name, sort_field="id", sort_direction="asc") == sorted(ids)
    api.deny(ids[1])
    assert found(api, external_id=name, sort_field="reviewed_at")[0] == ids[1]
    assert found(api, external_id=name, sort_field="reviewed_at", sort_direction="asc")[0] == ids[1]
    assert listed(api, external_id=name, sort_field="status", sort_direction="asc")[0] == ids[1]


def test_what_makes_no_sense_is_refused(api):
    def detail(code, **filters):
        answer = api.post("/privacy-request/search", filters)
        assert answer.status_code == code, answer.text
        return answer.json()["detail"]

    assert detail(400, completed_lt="2026-01-01", errored_lt="2026-01-01") == (
        "Cannot specify both succeeded and failed query params.")
    assert detail(400, created_lt="2026-01-01", created_gt="2026-02-01").startswith(
        "Value specified for created_lt: ")
    assert detail(422, sort_field="policy") == "policy is not on PrivacyRequest"
    assert detail(422, no_such_filter=1)[0]["type"] == "extra_forbidden"
    assert detail(422, status="new")[0]["loc"] == ["body", "status"]
    assert detail(422, created_lt="soon")[0]["loc"] == ["body", "created_lt"]
    assert detail(501, custom_privacy_request_fields={"a": "b"}) == (
        "Filtering by custom fields is not available in this version.")
    assert api.get("/privacy-request", params={"status": "new"}).json()["detail"][0]["loc"][:2] == ["query", "status"]
    assert api.get("/privacy-request", params={"verbose": "perhaps"}).status_code == 422
    assert api.get("/privacy-request", params={"no_such_filter": 1}).status_code == 200


def test_scopes_are_asked_for(api):
    client = must(api.post("/oauth/client", {"scopes": ["policy:read"]}))
    other = type(api).login(api.url, client["client_id"], client["client_secret"])
    for method, path in (("GET", ""), ("POST", "/search"), ("GET", f"/{UNKNOWN}/log"), ("GET", f"/{UNKNOWN}/tasks")):
        answer = other.request(method, f"/privacy-request{path}")
        assert answer.status_code == 403 and "privacy-request:read" in answer.json()["detail"]
        assert api.anonymous().request(method, f"/privacy-request{path}").status_code == 401


# --- what is shown -------------------------------------------------------------------------------------------


def test_what_is_sealed_shows_when_asked_for(api, identity):
    email = identity()
    one = make(api, identity, identity={"email": email},
               custom_privacy_request_fields={"shop": {"label": "Shop", "value": 7}})["id"]
    plain = api.find(one)
    assert plain["identity"] is None and plain["custom_privacy_request_fields"] is None
    assert "results" not in plain and "task_status_by_dataset" not in plain
    shown = api.find(one, include_identities=True, include_custom_privacy_request_fields=True, verbose=True)
    assert shown["identity"]["email"] == {"label": "Email", "value": email}
    assert shown["custom_privacy_request_fields"] == {"shop": {"label": "Shop", "value": 7}}
    assert shown["results"] == {} and shown["task_status_by_dataset"] == {}


def test_a_forgotten_request_has_no_identity_and_is_still_listed(api, identity, db):
    one = make(api, identity)["id"]
    db.execute("delete from request_key where request_id = %s", (one,))
    assert api.find(one, include_identities=True, verbose=True)["identity"] is None


def test_the_timeline_tells_decisions_in_order(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer())
    one = make(api, identity)["id"]
    receiver.wait_calls(1, "/crm", one)
    api.approve(one)
    api.wait_status(one, "complete")
    results = api.timeline(one)
    assert list(results) == ["Triggered pre-approval webhooks", "Request approved", "Access package upload",
                             "Request finished"]
    [entry] = results["Triggered pre-approval webhooks"]
    assert set(entry) == {"connection_key", "collection_name", "fields_affected", "message", "action_type", "status",
                          "updated_at", "user_id", "saas_version"}
    assert entry["message"] == "Triggered pre-approval webhooks: crm"
    assert entry["status"] == "pre_approval_webhook_triggered"
    assert [results[group][0]["status"] for group in results] == [
        "pre_approval_webhook_triggered", "approved", "complete", "finished"]


@pytest.mark.settings(DOCKET_WEBHOOK_RETRY_SCHEDULE="200ms")
def test_failures_of_webhooks_are_in_the_timeline_and_the_log(api, receiver, identity):
    api.make_webhooks(receiver, crm=Answer(status=503))
    one = make(api, identity)["id"]
    wait_until(lambda: len(api.timeline(one).get("Webhook: crm", [])) == 2, 15, "both attempts to be told")
    words = "Webhook 'crm' returned an error: Client call failed with status code '503'"
    first, last = api.timeline(one)["Webhook: crm"]
    assert first["status"] == "retrying" and first["message"].startswith(words)
    assert "Next attempt at" in first["message"]
    assert last["status"] == "error" and last["message"].startswith(words)
    log = must(api.get(f"/privacy-request/{one}/log"))
    assert log["total"] == 2
    assert [(item["dataset_name"], item["message"], item["status"], item["action_type"]) for item in log["items"]] == [
        ("Webhook: crm", entry["message"], entry["status"], "access") for entry in (first, last)]
    assert set(log["items"][0]) == {"collection_name", "fields_affected", "message", "action_type", "status",
                                    "updated_at", "connection_key", "dataset_name", "saas_version"}
    second = must(api.get(f"/privacy-request/{one}/log", params={"page": 2, "size": 1}))
    assert [item["status"] for item in second["items"]] == ["error"] and second["pages"] == 2


def test_the_log_has_no_decisions_and_unknown_requests_none(api, group):
    api.deny(group[1][0])
    assert must(api.get(f"/privacy-request/{group[1][0]}/log"))["items"] == []
    assert must(api.get(f"/privacy-request/{group[1][0]}/tasks")) == []
    for path in ("log", "tasks"):
        answer = api.get(f"/privacy-request/{UNKNOWN}/{path}")
        assert answer.status_code == 404
        assert answer.json()["detail"] == f"No privacy request found with id '{UNKNOWN}'."


# --- downloads -----------------------------------------------------------------------------------------------


def test_a_list_is_downloaded_as_a_table(api, identity):
    name, email, phone = identity.derived(), identity(), identity.phone()
    first = make(api, identity, external_id=name, identity={"email": email},
                 custom_privacy_request_fields={"shop": {"label": "Shop, main", "value": "=1+1"}})["id"]
    second = make(api, identity, "default_erasure_policy", external_id=name,
                  identity={"phone_number": phone, "loyalty_id": identity.custom()})["id"]
    api.deny(first, reason="\"no\"")
    answer = api.post("/privacy-request/search", {"external_id": name, "download_csv": True, "sort_direction": "asc"})
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/csv")
    today = datetime.now(timezone.utc).strftime("%Y-%m-%d")
    assert answer.headers["Content-Disposition"] == (
        f"attachment; filename=privacy_requests_download_{today}.csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert list(rows[0]) == ["Status", "Request Type", "Time Received", "Deadline", "Reviewed By", "Request ID",
                             "Time Approved/Denied", "Denial Reason", "Last Updated", "Completed On", "email",
                             "phone_number", "loyalty_id", "Custom Field Shop, main"]
    assert [row["Request ID"] for row in rows] == [first, second]
    assert [row["Request Type"] for row in rows] == ["access", "erasure"]
    assert [row["Status"] for row in rows] == ["denied", "pending"]
    assert rows[0]["Denial Reason"] == "&quot;no&quot;" and rows[0]["email"] == email
    assert rows[0]["Custom Field Shop, main"] == "'=1+1"
    assert rows[1]["phone_number"] == phone
    assert api.get("/privacy-request", params={"external_id": name, "download_csv": "true"}).text.count("\r\n") == 3
