"""Every example of the product's page on manual webhooks, in its order, with its paths and values; and our own page's.

What the page leaves open is as the current release has it: a request of a policy that reads waits, and what is
uploaded is null where it was left out. The package that comes of it is held elsewhere.
"""

import json
import os
import re
import subprocess

import pytest

from asking import desk  # noqa: F401
from utils import ROOT, must, must_all

KEY = "manual_webhook_key"
CONNECTION = {"name": "Manual Webhook ConnectionConfig", "key": KEY, "connection_type": "manual_webhook",
              "access": "read"}
FIELDS = [
    {"pii_field": "First Name", "dsr_package_label": "first_name"},
    {"pii_field": "Last Name", "dsr_package_label": "last_name"},
    {"pii_field": "Phone Number", "dsr_package_label": None},
    {"pii_field": "Height", "dsr_package_label": "height"},
]
UPLOAD = {"first_name": "Jane", "last_name": "Customer"}
NOTHING = {"first_name": None, "last_name": None, "phone_number": None, "height": None}


@pytest.fixture
def connection(api):
    """POST api/v1/connection."""
    made = must_all(api.post("/api/v1/connection", [CONNECTION]))[0]
    assert {name: made[name] for name in CONNECTION} == CONNECTION


@pytest.fixture
def fields(api, connection):
    """PATCH api/v1/connection/{{manual_webhook_key}}/access_manual_webhook."""
    return must(api.patch(f"/api/v1/connection/{KEY}/access_manual_webhook", {"fields": FIELDS}))["fields"]


@pytest.fixture
def waiting(desk, fields, identity):
    """A request that exits early, as data is missing."""
    identity.derived("Jane")
    return desk.start("default_access_policy")


def test_a_key_is_made_of_the_name_where_it_is_left_blank(api):
    blank = {name: value for name, value in CONNECTION.items() if name != "key"}
    assert must_all(api.post("/api/v1/connection", [blank]))[0]["key"] == "manual_webhook_connectionconfig"


def test_access_is_one_of_read_or_write(api):
    assert must_all(api.post("/api/v1/connection", [CONNECTION | {"access": "write"}]))[0]["access"] == "write"
    assert api.post("/api/v1/connection", [CONNECTION | {"access": "both"}]).status_code == 422


def test_the_fields_are_defined_and_a_missing_label_is_created(fields):
    assert [(field["pii_field"], field["dsr_package_label"]) for field in fields] == [
        ("First Name", "first_name"), ("Last Name", "last_name"), ("Phone Number", "phone_number"),
        ("Height", "height")]


def test_the_fields_are_submitted_once_more(api, fields):
    again = must(api.patch(f"/api/v1/connection/{KEY}/access_manual_webhook", {"fields": FIELDS}))
    assert again["fields"] == fields


@pytest.mark.parametrize("prefix", ["/api/v1", "/v1"])
def test_data_is_uploaded_and_the_request_resumed(api, waiting, prefix):
    path = f"{prefix}/privacy-request/{waiting}"
    assert must(api.patch(f"{path}/access_manual_webhook/{KEY}", UPLOAD)) is None
    assert must(api.get(f"{path}/access_manual_webhook/{KEY}")) == {"checked": True, "fields": NOTHING | UPLOAD}
    assert must(api.post(f"{path}/resume_from_requires_input"))["id"] == waiting
    api.wait_status(waiting, "complete")


def test_an_empty_dictionary_confirms_that_the_system_was_searched(api, waiting, desk):
    must(api.patch(f"/privacy-request/{waiting}/access_manual_webhook/{KEY}", {}))
    assert desk.shown(waiting, KEY) == {"checked": True, "fields": NOTHING}
    must(api.post(f"/privacy-request/{waiting}/resume_from_requires_input"))
    api.wait_status(waiting, "complete")


def test_a_request_for_each_manual_webhook_is_needed(api, waiting, desk):
    desk.ask("other_key", "height")
    must(api.patch(f"/privacy-request/{waiting}/access_manual_webhook/{KEY}", UPLOAD))
    refused = api.post(f"/privacy-request/{waiting}/resume_from_requires_input")
    assert refused.status_code == 400 and "'other_key'" in refused.json()["detail"]
    must(api.patch(f"/privacy-request/{waiting}/access_manual_webhook/other_key", {}))
    must(api.post(f"/privacy-request/{waiting}/resume_from_requires_input"))
    api.wait_status(waiting, "complete")


# --- in our own documentation ------------------------------------------------------------------------------


def test_the_documentation_s_examples_work(api, desk, identity):
    environment = os.environ | {"DOCKET_API_URL": api.url,
                                "TOKEN": api.session.headers["Authorization"].removeprefix("Bearer ")}

    def run(example):
        told = subprocess.run(["bash", "-euo", "pipefail", "-c", example], env=environment, check=True,
                              capture_output=True, timeout=60)
        return json.loads(told.stdout)

    examples = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/manual-webhooks.md").read_text(), re.DOTALL)
    connecting, asking, looking, showing, filling, going_on = examples
    identity.derived("Jane")
    assert run(connecting)["failed"] == []
    assert [field["dsr_package_label"] for field in run(asking)["fields"]] == ["first_name", "membership_since"]
    environment["REQUEST"] = desk.start("default_access_policy")
    assert environment["REQUEST"] in [item["id"] for item in run(looking)["items"]]
    assert run(showing) == {"checked": False, "fields": {"first_name": None, "membership_since": None}}
    assert run(filling) is None
    assert run(showing)["checked"]
    assert run(going_on)["id"] == environment["REQUEST"]
    api.wait_status(environment["REQUEST"], "complete")
