"""What people are asked for by hand: defined, shown, changed, deleted, and that waiting requests are looked at.
Contract: rest.md 7."""

import re

import pytest

from asking import definition, make_manual, manual_connection
from configuring import KEY_RULE, assert_scope, errors, refusal, sweeps  # noqa: F401
from utils import must, must_all

PATH = "/connection/archive/access_manual_webhook"
FIELDS = [
    {"pii_field": "First Name", "dsr_package_label": "first_name", "types": ["string"], "data_categories": None},
    {"pii_field": "Scan", "dsr_package_label": "the scan", "types": ["file"],
     "data_categories": ["user.government_id"]},
]


@pytest.fixture
def archive(api):
    must_all(api.patch("/connection", [manual_connection("archive")]))


@pytest.fixture
def defined(api, archive):
    return must(api.post(PATH, {"fields": FIELDS}), 201)


def fields_of(answer, status=200):
    return must(answer, status)["fields"]


def labels_of(answer, status=200):
    return [field["dsr_package_label"] for field in fields_of(answer, status)]


def field(name="First Name", **more):
    return {"pii_field": name} | more


# --- good paths --------------------------------------------------------------------------------------------


def test_a_definition_is_made_and_shown_with_its_connection(api, defined):
    assert list(defined) == ["fields", "connection_config", "id"]
    assert defined["fields"] == FIELDS
    assert defined["connection_config"] == {
        name: value for name, value in must(api.get("/connection/archive")).items() if name != "system_key"}
    assert re.fullmatch(r"acc_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", defined["id"])
    assert must(api.get(PATH)) == defined
    assert must(api.get("/access_manual_webhook")) == [defined]


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_replaces_the_fields_and_keeps_the_id(api, defined, method):
    changed = must(api.request(method, PATH, json=definition("height")))
    assert [one["dsr_package_label"] for one in changed["fields"]] == ["height"]
    assert changed["id"] == defined["id"]
    assert must(api.get(PATH)) == changed


@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_a_change_also_makes_it(api, archive, method):
    made = must(api.request(method, PATH, json=definition("height")))
    assert must(api.get(PATH)) == made


@pytest.mark.parametrize("given, label", [
    (field("First Name"), "first_name"), (field("First Name", dsr_package_label=None), "first_name"),
    (field("First Name", dsr_package_label=""), "first_name"),
    (field("First Name", dsr_package_label="  "), "first_name"),
    (field(" Über-Prüfung! "), "uber_prufung"),
    (field("x", dsr_package_label=" Any Text, even: this "), "Any Text, even: this"),
    (field("名前", dsr_package_label="名前"), "名前"),
    (field("x", dsr_package_label="l" * 200), "l" * 200)])
def test_a_missing_label_is_made_of_the_field_s_name(api, archive, given, label):
    shown, = fields_of(api.post(PATH, {"fields": [given]}), 201)
    assert shown["dsr_package_label"] == label
    assert shown["pii_field"] == given["pii_field"].strip()
    assert shown["types"] == ["string"]


def test_null_is_as_if_absent_and_other_members_are_passed_over(api, archive):
    given = field(dsr_package_label=None, types=None, data_categories=None, extra=1)
    assert fields_of(api.post(PATH, {"fields": [given], "more": 2}), 201) == [
        {"pii_field": "First Name", "dsr_package_label": "first_name", "types": ["string"], "data_categories": None}]


def test_a_hundred_fields_are_taken_and_one_more_is_not(api, archive):
    names = [f"field {number}" for number in range(101)]
    assert len(labels_of(api.post(PATH, definition(*names[:100])), 201)) == 100
    assert errors(api.patch(PATH, definition(*names))) == [
        ("too_long", ["body", "fields"], "List should have at most 100 items after validation, not 101")]


def test_the_list_has_enabled_ones_in_the_order_of_their_making(api, defined):
    other = make_manual(api, "cellar", "height")
    assert [item["id"] for item in must(api.get("/access_manual_webhook"))] == [defined["id"], other["id"]]
    must_all(api.patch("/connection", [manual_connection("archive", disabled=True)]))
    assert [item["id"] for item in must(api.get("/access_manual_webhook"))] == [other["id"]]
    assert must(api.get(PATH))["connection_config"]["disabled"] is True


def test_a_deleted_one_is_gone_and_can_be_made_again(api, defined):
    assert api.delete(PATH).status_code == 204
    assert refusal(api.get(PATH)) == (404, NONE)
    assert must(api.post(PATH, {"fields": FIELDS}), 201)["id"] != defined["id"]


def test_it_goes_with_its_connection(api, defined, db):
    must(api.delete("/connection/archive"), 204)
    assert db.execute("select count(*) from manual_webhook").fetchone() == (0,)
    assert must(api.get("/access_manual_webhook")) == []


# --- the connection's test ---------------------------------------------------------------------------------


def test_the_test_of_its_connection_succeeds_once_there_are_fields(api, archive):
    def tried():
        status = must(api.get("/connection/archive/test"))
        assert status["msg"] == "Test completed for ConnectionConfig with key: archive."
        return status["test_status"], must(api.get("/connection/archive"))["last_test_succeeded"]

    assert must(api.get("/connection/archive"))["last_test_succeeded"] is None
    assert tried() == ("failed", False)
    must(api.post(PATH, {"fields": FIELDS}), 201)
    assert tried() == ("succeeded", True)
    assert must(api.get("/connection/archive"))["last_test_timestamp"]
    must(api.delete(PATH), 204)
    assert tried() == ("failed", False)


# --- waiting requests --------------------------------------------------------------------------------------


def test_every_change_has_waiting_requests_looked_at(api, archive, sweeps):
    sweeps()
    must(api.post(PATH, definition("height")), 201)
    assert sweeps() == ["manual_webhook_changed"]
    must(api.patch(PATH, definition("height", "width")))
    assert sweeps() == ["manual_webhook_changed"]
    must(api.put(PATH, definition("height", "width")))
    assert sweeps() == []
    must_all(api.patch("/connection", [manual_connection("archive", disabled=True)]))
    assert sweeps() == ["connection_disabled"]
    must_all(api.patch("/connection", [manual_connection("archive", disabled=False)]))
    assert sweeps() == ["connection_enabled"]
    must_all(api.patch("/connection", [manual_connection("archive", enabled_actions=["erasure"])]))
    assert len(sweeps()) == 1
    must(api.delete(PATH), 204)
    assert sweeps() == ["manual_webhook_deleted"]
    must(api.put(PATH, definition("height")))
    sweeps()
    must(api.delete("/connection/archive"), 204)
    assert sweeps() == ["connection_deleted"]


def test_the_same_again_changes_nothing(api, defined, db):
    before = db.execute("select version from catalog").fetchone()
    assert must(api.patch(PATH, {"fields": FIELDS})) == defined
    assert db.execute("select version from catalog").fetchone() == before


# --- refusals ----------------------------------------------------------------------------------------------

NO_CONNECTION = "No connection config with key 'archive'."
NONE = "No access manual webhook exists for connection config with key 'archive'"
OTHER_TYPE = "Can't access manual webhooks for ConnectionConfigs of type 'https'"
BODY = definition("height")


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "GET", "DELETE"])
def test_without_a_connection(api, method):
    assert refusal(api.request(method, PATH, json=BODY)) == (404, NO_CONNECTION)


@pytest.mark.parametrize("method, told", [
    ("POST", (400, "You can only create manual webhooks for ConnectionConfigs of type 'manual_webhook'.")),
    ("PATCH", (404, OTHER_TYPE)), ("PUT", (404, OTHER_TYPE)), ("GET", (404, OTHER_TYPE)),
    ("DELETE", (404, OTHER_TYPE))])
def test_a_connection_of_another_type(api, method, told):
    api.make_connection("archive", "https://archive.example/hook")
    assert refusal(api.request(method, PATH, json=BODY)) == told


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_without_a_definition(api, archive, method):
    assert refusal(api.request(method, PATH)) == (404, NONE)


def test_a_second_one(api, defined):
    assert refusal(api.post(PATH, BODY)) == (
        400, "An Access Manual Webhook already exists for ConnectionConfig 'archive'.")
    assert must(api.get(PATH)) == defined


def at(*place):
    return ["body", "fields", *place]


BAD = {
    "no fields": ({}, "missing", at(), "Field required"),
    "null": ({"fields": None}, "list_type", at(), "Input should be a valid list"),
    "an empty list": ({"fields": []}, "too_short", at(), "List should have at least 1 item after validation, not 0"),
    "no name": ({"fields": [{}]}, "missing", at(0, "pii_field"), "Field required"),
    "an empty name": ({"fields": [field("")]}, "string_too_short", at(0, "pii_field"),
                      "String should have at least 1 character"),
    "a blank name": ({"fields": [field(" \t")]}, "string_too_short", at(0, "pii_field"),
                     "String should have at least 1 character"),
    "a long name": ({"fields": [field("ü" * 201)]}, "string_too_long", at(0, "pii_field"),
                    "String should have at most 200 characters"),
    "a name that is none": ({"fields": [field(5)]}, "string_type", at(0, "pii_field"),
                            "Input should be a valid string"),
    "a long label": ({"fields": [field(dsr_package_label="l" * 201)]}, "string_too_long", at(0, "dsr_package_label"),
                     "String should have at most 200 characters"),
    "a label that can't be made": (
        {"fields": [field("名前")]}, "value_error", at(0),
        "Value error, a dsr_package_label is needed: none can be made of the pii_field"),
    "the same name twice": ({"fields": [field("a"), field(" a ", dsr_package_label="b")]}, "value_error", at(),
                            "Value error, pii_fields must be unique"),
    "the same label twice": ({"fields": [field("a", dsr_package_label="x"), field("b", dsr_package_label=" x")]},
                             "value_error", at(), "Value error, dsr_package_labels must be unique"),
    "a label that another's name makes": ({"fields": [field("First Name"), field("b", dsr_package_label="first_name")]},
                                          "value_error", at(), "Value error, dsr_package_labels must be unique"),
    "another type": ({"fields": [field(types=["number"])]}, "enum", at(0, "types", 0),
                     "Input should be 'string' or 'file'"),
    "types that are no list": ({"fields": [field(types="string")]}, "list_type", at(0, "types"),
                               "Input should be a valid list"),
    "a category that is no key": ({"fields": [field(data_categories=["user name"])]}, "value_error",
                                  at(0, "data_categories", 0), f"{KEY_RULE}user name"),
}


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT"])
@pytest.mark.parametrize("case", BAD)
def test_a_body_that_does_not_fit(api, archive, method, case):
    body, *expected = BAD[case]
    assert errors(api.request(method, PATH, json=body)) == [tuple(expected)]
    assert refusal(api.get(PATH)) == (404, NONE)


def test_names_and_labels_with_blanks_around_them_are_measured_without(api, archive):
    given = field(f"  {'n' * 200}  ", dsr_package_label=f"  {'l' * 200}  ")
    assert labels_of(api.post(PATH, {"fields": [given]}), 201) == ["l" * 200]


@pytest.mark.parametrize("method, path, scope", [
    ("POST", PATH, "webhook:create_or_update"), ("PATCH", PATH, "webhook:create_or_update"),
    ("PUT", PATH, "webhook:create_or_update"), ("GET", PATH, "webhook:read"), ("DELETE", PATH, "webhook:delete"),
    ("GET", "/access_manual_webhook", "webhook:read")])
def test_each_call_needs_its_scope(api, method, path, scope):
    assert_scope(api, method, path, scope)
