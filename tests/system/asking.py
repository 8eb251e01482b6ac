"""What the tests of manual webhooks share: people who are asked, a policy that asks them, requests that wait."""

import pytest

from utils import must, must_all

POLICY = "asked"
REQUIRED = "docket.request.input_required.v1"
GIVEN = "docket.request.input_given.v1"
CONTINUED = "docket.request.input_completed.v1"


def definition(*labels, types=None):
    """A body that asks for these labels."""
    return {"fields": [{"pii_field": label, "dsr_package_label": label} | ({"types": types} if types else {})
                       for label in labels]}


def manual_connection(key, **more):
    return {"key": key, "name": key, "connection_type": "manual_webhook", "access": "read"} | more


def make_manual(api, key, *labels, types=None, **more):
    """A connection, and what its people are asked for."""
    must_all(api.patch("/connection", [manual_connection(key, **more)]))
    return must(api.patch(f"/connection/{key}/access_manual_webhook", definition(*labels, types=types)))


def make_policy(api, *actions, key=POLICY):
    must_all(api.patch("/dsr/policy", [{"name": key, "key": key}]))
    rules = [{"name": f"{key} {action}", "key": f"{key}_{action}", "action_type": action} for action in actions]
    for rule in rules:
        if rule["action_type"] == "erasure":
            rule["masking_strategy"] = {"strategy": "null_rewrite", "configuration": {}}
    must_all(api.patch(f"/dsr/policy/{key}/rule", rules))
    return key


def input_path(request_id, key, action="access"):
    return f"/privacy-request/{request_id}/{action}_manual_webhook/{key}"


def resume_path(request_id):
    return f"/privacy-request/{request_id}/resume_from_requires_input"


class Desk:
    def __init__(self, api, identity, db):
        self.api, self.identity, self.db = api, identity, db

    def ask(self, key, *labels, **more):
        return make_manual(self.api, key, *labels, **more)

    def start(self, policy="default_access_policy", *statuses):
        """An approved request, once it has such a status; requires_input unless told."""
        request_id = self.api.create_request(self.identity(), policy)["id"]
        self.api.approve(request_id)
        self.api.wait_status(request_id, *(statuses or ("requires_input",)))
        return request_id

    def fill(self, request_id, key, values, action="access"):
        return self.api.patch(input_path(request_id, key, action), values)

    def shown(self, request_id, key, action="access"):
        return must(self.api.get(input_path(request_id, key, action)))

    def resume(self, request_id):
        return self.api.post(resume_path(request_id))

    def clear(self):
        """Who still waits would go on with the configuration of whoever comes next."""
        waiting = {"filters": {"status": ["requires_input"]}}
        must(self.api.patch("/privacy-request/administrate/cancel", waiting))


@pytest.fixture
def desk(api, identity, db):
    desk = Desk(api, identity, db)
    yield desk
    desk.clear()
