"""Settings that are changed while docket runs, and where packages go. Contract: rest.md 14."""

import pytest

from configuring import assert_scope, clash, errors, failed, refusal
from utils import must, must_all

MANUAL = "require_manual_request_approval"


# --- /config -------------------------------------------------------------------------------------------------


def set_manual(value):
    return {"execution": {MANUAL: value}}


def test_what_was_set_goes_over_what_was_configured(api):
    assert must(api.get("/config"))["execution"][MANUAL] is True  # the stack's own setting
    assert must(api.patch("/config", set_manual(False))) == set_manual(False)
    assert must(api.get("/config"))["execution"][MANUAL] is False
    assert must(api.get("/config", params={"api_set": "true"})) == set_manual(False)
    assert must(api.delete("/config")) == {}
    assert must(api.get("/config", params={"api_set": "true"})) == {}
    assert must(api.get("/config"))["execution"][MANUAL] is True


def test_requests_follow_the_setting_at_once(api, identity):
    for manual, status in (False, "approved"), (True, "pending"), (False, "approved"):
        must(api.patch("/config", set_manual(manual)))
        assert api.create_request(identity())["status"] == status


def test_what_waits_already_is_left_as_it_is(api, identity):
    waiting = api.create_request(identity())["id"]
    must(api.patch("/config", set_manual(False)))
    api.wait_status(api.create_request(identity())["id"], "complete")
    assert api.status(waiting) == "pending"
    api.approve(waiting)
    api.wait_status(waiting, "complete")


def test_patch_adds_and_put_replaces(api):
    must(api.patch("/config", {"security": {"cors_origins": []}}))
    assert must(api.patch("/config", set_manual("no"))) == {"security": {"cors_origins": []}} | set_manual(False)
    assert must(api.put("/config", set_manual(1))) == set_manual(True)
    assert must(api.get("/config", params={"api_set": 1})) == set_manual(True)


@pytest.mark.parametrize("body, name", [
    ({"execution": {"subject_identity_verification_required": True}},
     "execution.subject_identity_verification_required"),
    ({"notifications": {"send_request_completion_notification": True}},
     "notifications.send_request_completion_notification"),
    ({"storage": {"active_default_storage_type": "s3"}}, "storage.active_default_storage_type"),
    ({"security": {"cors_origins": ["https://example.com"]}}, "security.cors_origins"),
    ({"admin_ui": {"enabled": True}}, "admin_ui"),
    ({"default_policies": {"access": "x"}}, "default_policies")])
def test_what_would_have_no_effect_is_refused_by_its_name(api, body, name):
    must(api.patch("/config", set_manual(False)))
    assert refusal(api.patch("/config", body | set_manual(True) if "execution" not in body else body)) == (
        501, f"{name} is not available in this version.")
    assert must(api.get("/config", params={"api_set": "true"})) == set_manual(False)


def test_what_is_in_effect_anyway_is_accepted(api):
    body = {"execution": {"subject_identity_verification_required": False},
            "notifications": {"send_request_review_notification": False},
            "storage": {"active_default_storage_type": "local"}}
    assert must(api.patch("/config", body)) == body


@pytest.mark.parametrize("body, kind, loc", [
    ({}, "value_error", ["body"]),
    ({"executions": {}}, "extra_forbidden", ["body", "executions"]),
    ({"security": {"encryption": "x"}}, "extra_forbidden", ["body", "security", "encryption"]),
    ({"execution": {MANUAL: "perhaps"}}, "bool_parsing", ["body", "execution", MANUAL]),
    ({"execution": 3}, "dict_type", ["body", "execution"]),
    ([], "dict_type", ["body"])])
def test_what_is_no_setting_is_a_422(api, body, kind, loc):
    for method in "PATCH", "PUT":
        assert errors(api.request(method, "/config", json=body))[0][:2] == (kind, loc)


def test_nothing_secret_is_shown(api, stack):
    text = api.get("/config").text
    for name, value in stack.environment().items():
        if any(word in name for word in ("SECRET", "KEY", "PASSWORD")):
            assert value not in text


def test_identity_verification_is_told_to_anyone(api):
    assert must(api.anonymous().get("/id-verification/config")) == {
        "identity_verification_required": False, "disable_consent_identity_verification": False,
        "valid_email_config_exists": False}


# --- /storage --------------------------------------------------------------------------------------------------


def destination(**more):
    return {"name": "My Disk", "type": "local", "details": {"naming": "request_id"}} | more


@pytest.fixture
def storage(api):
    """PATCH, and what it made is gone after the test."""
    yield lambda *elements: api.patch("/storage/config", list(elements))
    for item in must(api.get("/storage/config", params={"size": 100}))["items"]:
        api.delete(f"/storage/config/{item['key']}")


def test_a_destination_is_made_shown_changed_and_deleted(api, storage):
    made = {"name": "My Disk", "type": "local", "details": {"naming": "request_id"}, "key": "my_disk",
            "format": "json", "is_default": False}
    assert must_all(storage(destination())) == [made]
    assert must(api.get("/storage/config/my_disk")) == made
    assert must(api.get("/storage/config"))["items"][0] == made
    assert must_all(storage(destination(key="my_disk", name="Other", format="html"))) == [
        made | {"name": "Other", "format": "html"}]
    assert api.delete("/storage/config/my_disk").status_code == 204
    assert refusal(api.get("/storage/config/my_disk")) == (404, "No configuration with key my_disk.")
    assert refusal(api.delete("/storage/config/my_disk")) == (404, "No configuration with key my_disk.")


def test_elements_that_fail_keep_none_back(storage):
    must_all(storage(destination()))
    result = must(storage(destination(), destination(name="S3", type="s3", details={"bucket": "b"}),
                          destination(name="!"), destination(name="Second")))
    assert [item["key"] for item in result["succeeded"]] == ["second"]
    assert [item["message"] for item in result["failed"]] == [
        clash("my_disk", "StorageConfig"), "Storage of type 's3' is not available in this version.",
        "StorageConfig requires a key: none can be made of its name."]


def test_ill_formed_destinations_refuse_the_whole_call(api, storage):
    assert errors(storage(destination(format="csv"), destination(details={"naming": "x", "y": 1}), {"name": "a"})) == [
        ("value_error", ["body", 0],
         "Value error, Only JSON or HTML upload format are supported for local storage destinations."),
        ("enum", ["body", 1, "details", "naming"], "Input should be 'request_id'"),
        ("extra_forbidden", ["body", 1, "details", "y"], "Extra inputs are not permitted"),
        ("missing", ["body", 2, "type"], "Field required"),
        ("missing", ["body", 2, "details"], "Field required")]
    assert errors(storage(*[destination()] * 51))[0][0] == "too_long"
    assert api.get("/storage/config/my_disk").status_code == 404


def test_a_destination_that_a_rule_needs_stays(api, storage):
    must_all(storage(destination()))
    must_all(api.patch("/dsr/policy", [{"name": "With storage", "key": "with_storage"}]))
    must_all(api.patch("/dsr/policy/with_storage/rule", [
        {"name": "A", "key": "with_storage_rule", "action_type": "access", "storage_destination_key": "my_disk"}]))
    assert refusal(api.delete("/storage/config/my_disk")) == (
        409, "Cannot delete storage my_disk: it is referenced by one or more rules.")
    assert api.delete("/dsr/policy/with_storage").status_code == 204
    assert api.delete("/storage/config/my_disk").status_code == 204


def test_local_storage_has_no_secrets(api, storage):
    must_all(storage(destination()))
    assert refusal(api.put("/storage/config/my_disk/secret", {"a": "b"})) == (
        400, "Storage of type 'local' has no secrets.")
    assert refusal(api.put("/storage/config/none/secret", {})) == (404, "No configuration with key none.")


def test_the_local_default_is_there_for_who_asks(api):
    shown = must(api.get("/storage/default/local"))
    assert shown["name"] == "Default Storage Config [local]" and shown["is_default"] is True
    assert must(api.get("/storage/default/active")) == shown
    assert shown in must(api.get("/storage/default"))["items"]
    changed = must(api.put("/storage/default", {"type": "local", "details": {"naming": "request_id"}, "format": "json"}))
    assert changed == shown | {"format": "json"}
    assert refusal(api.delete(f"/storage/config/{shown['key']}")) == (
        400, "Default storage configurations cannot be deleted.")
    assert must(api.get("/storage/default/status"))["config_status"] == "not configured"


def test_other_defaults_are_not_there(api):
    assert refusal(api.get("/storage/default/s3")) == (404, "No default config for storage type s3.")
    assert errors(api.get("/storage/default/tape"))[0][:2] == ("enum", ["path", "storage_type"])
    assert refusal(api.put("/storage/default", {"type": "s3", "details": {}})) == (
        501, "Storage of type 's3' is not available in this version.")


def test_scopes(api):
    assert_scope(api, "PATCH", "/storage/config", "storage:create_or_update")
    assert_scope(api, "DELETE", "/storage/config/x", "storage:delete")
