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
    ({"storage": {"active_default_storage_type": "gcs"}}, "storage.active_default_storage_type"),
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


def bucket(format="json", **details):
    return {"name": "My Bucket", "type": "s3", "format": format,
            "details": {"auth_method": "secret_keys", "bucket": "packages"} | details}


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
    result = must(storage(destination(), destination(name="G", type="gcs", details={"bucket": "b"}),
                          bucket(auth_method="automatic"), destination(name="!"), destination(name="Second")))
    assert [item["key"] for item in result["succeeded"]] == ["second"]
    assert [item["message"] for item in result["failed"]] == [
        clash("my_disk", "StorageConfig"), "Storage of type 'gcs' is not available in this version.",
        "Storage with auth_method 'automatic' is not available in this version.",
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
    assert refusal(api.get("/storage/default/gcs")) == (404, "No default config for storage type gcs.")
    assert errors(api.get("/storage/default/tape"))[0][:2] == ("enum", ["path", "storage_type"])
    assert refusal(api.put("/storage/default", {"type": "gcs", "details": {}})) == (
        501, "Storage of type 'gcs' is not available in this version.")


def test_a_bucket_is_made_shown_and_changed(api, storage):
    made, = must_all(storage(bucket(format="csv", endpoint_url="http://minio.example.com:9000", max_retries=2)))
    assert made == {"name": "My Bucket", "key": "my_bucket", "type": "s3", "format": "csv", "is_default": False,
                    "details": {"auth_method": "secret_keys", "bucket": "packages", "naming": "request_id",
                                "max_retries": 2, "endpoint_url": "http://minio.example.com:9000"}}
    assert must(api.get("/storage/config/my_bucket")) == made
    changed, = must_all(storage(bucket(region="eu-central-1") | {"key": "my_bucket"}))
    assert changed["details"] == {"auth_method": "secret_keys", "bucket": "packages", "naming": "request_id",
                                  "max_retries": 0, "region": "eu-central-1"}


@pytest.mark.parametrize("details, type_, where", [
    ({"bucket": "a/b"}, "value_error", ["bucket"]),
    ({"bucket": "../b"}, "value_error", ["bucket"]),
    ({"bucket": "ab"}, "string_too_short", ["bucket"]),
    ({"auth_method": "magic"}, "enum", ["auth_method"]),
    ({"max_retries": 11}, "less_than_equal", ["max_retries"]),
    ({"region": "eu central"}, "value_error", ["region"]),
    ({"endpoint_url": "ftp://example.com"}, "value_error", ["endpoint_url"]),
    ({"endpoint_url": "https://example.com/?a=b"}, "value_error", ["endpoint_url"]),
    ({"other": 1}, "extra_forbidden", ["other"])])
def test_a_bucket_that_can_not_be_is_refused(storage, details, type_, where):
    assert [error[:2] for error in errors(storage(bucket(**details)))] == [
        (type_, ["body", 0, "details", *where])]


def test_secrets_of_a_bucket_are_kept_and_never_shown(api, storage, db):
    must_all(storage(bucket()))
    path = "/storage/config/my_bucket/secret"
    assert errors(api.put(path, {"aws_access_key_id": "", "x": 1})) == [
        ("string_too_short", ["body", "aws_access_key_id"], "String should have at least 1 character"),
        ("missing", ["body", "aws_secret_access_key"], "Field required"),
        ("extra_forbidden", ["body", "x"], "Extra inputs are not permitted")]
    secrets = {"aws_access_key_id": "AKIA1", "aws_secret_access_key": "very-secret", "region_name": "eu-central-1"}
    assert must(api.put(path, secrets)) == {"msg": "Secrets updated for StorageConfig with key: my_bucket.",
                                            "test_status": None, "failure_reason": None}
    assert "very-secret" not in api.get("/storage/config/my_bucket").text
    sealed = db.execute("select secrets from storage where key = 'my_bucket'").fetchone()[0]
    assert sealed and b"very-secret" not in bytes(sealed)
    must_all(storage(destination(key="my_bucket")))  # another type: they are of no use to it
    assert db.execute("select secrets from storage where key = 'my_bucket'").fetchone()[0] is None


@pytest.fixture
def bucket_default(api, db):
    """There is none before the test, whatever one before it made, and none after it."""
    without = "delete from storage where key = 'default_storage_config_s3'"
    db.execute(without)
    yield
    must(api.delete("/config"))
    db.execute(without)


def test_a_bucket_may_be_the_active_default(api, bucket_default):
    def status():
        return must(api.get("/storage/default/status"))

    must(api.patch("/config", {"storage": {"active_default_storage_type": "s3"}}))
    assert status() == {"config_status": "not configured",
                        "detail": "The active default storage has no configuration."}
    assert refusal(api.get("/storage/default/active")) == (404, "No default config for storage type s3.")
    made = must(api.put("/storage/default", {"type": "s3", "format": "html", "details": bucket()["details"]}))
    assert (made["name"], made["is_default"], made["format"]) == ("Default Storage Config [s3]", True, "html")
    assert must(api.get("/storage/default/active")) == must(api.get("/storage/default/s3")) == made
    assert status()["detail"] == "The active default storage has no secrets."
    assert must(api.put("/storage/default/s3/secret", {"aws_access_key_id": "a", "aws_secret_access_key": "b"})) == {
        "msg": "Secrets updated for default config of storage type: s3.", "test_status": None, "failure_reason": None}
    assert status() == {"config_status": "configured", "detail": "The active default storage is configured."}


def test_a_default_without_secrets_has_none_to_set(api):
    must(api.get("/storage/default/local"))
    assert refusal(api.put("/storage/default/local/secret", {})) == (400, "Storage of type 'local' has no secrets.")
    assert refusal(api.put("/storage/default/gcs/secret", {})) == (404, "No default config for storage type gcs.")
    assert_scope(api, "PUT", "/storage/default/s3/secret", "storage:create_or_update")


def test_scopes(api):
    assert_scope(api, "PATCH", "/storage/config", "storage:create_or_update")
    assert_scope(api, "DELETE", "/storage/config/x", "storage:delete")
