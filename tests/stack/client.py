"""docket's REST API for tests, demo and benches: one session, paths relative to /api/v1."""

import re

import requests

from stack import StackError, wait_until

FINAL = {"complete", "denied", "canceled", "error"}


POLICY_WEBHOOKS = re.compile(r"/policy/([^/]+)/webhook/")


class Api:
    _with_webhooks = set()  # policies that may have webhooks
    _kept = {}              # of each url: policies that requests refer to, which can't be deleted

    def __init__(self, url, token=None):
        self.url = url
        self.session = requests.Session()
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    @classmethod
    def login(cls, url, client_id, client_secret):
        """As an OAuth client; the root client may do everything."""
        form = {"client_id": client_id, "client_secret": client_secret, "grant_type": "client_credentials"}
        answer = cls(url).post("/oauth/token", data=form)
        return cls(url, must(answer)["access_token"])

    def anonymous(self):
        return Api(self.url)

    def request(self, method, path, **options):
        options.setdefault("timeout", 30)
        if method != "GET" and (webhooks := POLICY_WEBHOOKS.search(path)):
            self._with_webhooks.add((self.url, webhooks[1]))
        prefix = "" if path.startswith(("/api/", "/health", "/metrics", "/v1/")) else "/api/v1"
        return self.session.request(method, f"{self.url}{prefix}{path}", **options)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, json=None, **options):
        return self.request("POST", path, json=json, **options)

    def put(self, path, json=None, **options):
        return self.request("PUT", path, json=json, **options)

    def patch(self, path, json=None, **options):
        return self.request("PATCH", path, json=json, **options)

    def delete(self, path, **options):
        return self.request("DELETE", path, **options)

    # --- what most tests need, told in one line; each fails loudly when the API refuses ---

    def make_connection(self, key, url, authorization="test_authorization", headers=None, **more):
        connection = {"key": key, "name": key, "connection_type": "https", "access": "read"} | more
        must_all(self.patch("/connection", [connection]))
        secrets = {"url": url, "authorization": authorization}
        if headers is not None:
            secrets["headers"] = headers
        must(self.put(f"/connection/{key}/secret", secrets))
        return key

    def set_pre_approval(self, *webhooks):
        """Each is (webhook key, connection key) or a whole object."""
        return must(self.put("/dsr/webhook/pre_approval", [
            webhook if isinstance(webhook, dict)
            else {"key": webhook[0], "name": webhook[0], "connection_config_key": webhook[1]}
            for webhook in webhooks]))

    def set_policy_webhooks(self, policy, when, *webhooks):
        """`when` is pre_execution or post_execution; each is (webhook key, connection key, direction) or a whole
        object."""
        return must(self.put(f"/dsr/policy/{policy}/webhook/{when}", [
            webhook if isinstance(webhook, dict)
            else {"key": webhook[0], "name": webhook[0], "connection_config_key": webhook[1], "direction": webhook[2]}
            for webhook in webhooks]))

    def make_webhooks(self, receiver, **behaviours):
        """A connection and a pre-approval webhook of each name; the receiver does as told (once, or a list) at
        the path of that name."""
        for name, behaviour in behaviours.items():
            script = behaviour if isinstance(behaviour, list) else [behaviour]
            self.make_connection(name, receiver.script(f"/{name}", *script))
        self.set_pre_approval(*((name, name) for name in behaviours))

    def create_request(self, email=None, policy="default_erasure_policy", **more):
        """By the endpoint that needs no token; returns the created object."""
        element = {"policy_key": policy, "identity": {"email": email}} | more
        return must_all(self.anonymous().post("/privacy-request", [element]))[0]

    def create_requests(self, emails, policy="default_access_policy"):
        """All in one call (50 at the most), so that none is created long after another."""
        return must_all(self.anonymous().post("/privacy-request", [{"policy_key": policy, "identity": {"email": email}}
                                                                   for email in emails]))

    def find(self, request_id, **filters):
        """The request as search shows it; None when there is none."""
        page = must(self.post("/privacy-request/search", {"request_id": request_id} | filters))
        return next((item for item in page["items"] if item["id"] == request_id), None)

    def status(self, request_id):
        found = self.find(request_id)
        return found and found["status"]

    def wait_status(self, request_id, *statuses, timeout=20):
        """The request once it has one of the statuses; fails at once in a final one that is not asked for."""
        seen = []

        def arrived():
            found = self.find(request_id)
            status = found and found["status"]
            if status not in seen[-1:]:
                seen.append(status)
            if status in FINAL and status not in statuses:
                raise StackError(f"request {request_id} went {' -> '.join(map(str, seen))}, not {statuses}")
            return found if status in statuses else None

        return wait_until(arrived, timeout, lambda: f"request {request_id} to be {statuses}, it went {seen}")

    def timeline(self, request_id):
        """The activity timeline: group name -> entries."""
        return self.find(request_id, verbose=True)["results"]

    def approve(self, *ids):
        return must_all(self.patch("/privacy-request/administrate/approve", {"request_ids": list(ids)}))

    def deny(self, *ids, reason=None):
        return must_all(self.patch("/privacy-request/administrate/deny",
                                   {"request_ids": list(ids), "reason": reason}))

    def waiting(self):
        """The ids of up to 100 requests that pre-approval webhooks have not decided yet."""
        page = must(self.post("/privacy-request/search", {"status": ["awaiting_pre_approval"]},
                              params={"size": 100}))
        return [item["id"] for item in page["items"]]

    def cancel_waiting(self):
        """So that the webhooks of whoever comes next are not asked about them."""
        while ids := self.waiting():
            must(self.patch("/privacy-request/administrate/cancel", {"request_ids": ids}))

    def reset_configuration(self):
        """Back to what a new installation has, apart from requests and what they refer to."""
        self.cancel_waiting()
        must(self.put("/dsr/webhook/pre_approval", []))
        for url, policy in [pair for pair in self._with_webhooks if pair[0] == self.url]:
            for when in ("pre_execution", "post_execution"):
                self.put(f"/dsr/policy/{policy}/webhook/{when}", [])  # 404 when it is gone
            self._with_webhooks.discard((url, policy))
        self._delete_policies()
        for key in self._keys("/connection"):
            must(self.delete(f"/connection/{key}"), 204)
        for dataset in self.get("/dataset").json():
            self.delete(f"/dataset/{dataset['fides_key']}")
        self.delete("/config")

    def _delete_policies(self):
        """But the default ones, and those that requests refer to (409)."""
        kept = self._kept.setdefault(self.url, set())
        for policy in self._keys("/dsr/policy", kept):
            if policy.startswith("default_") or self.delete(f"/dsr/policy/{policy}").status_code == 409:
                kept.add(policy)

    def _keys(self, path, known=()):
        """All that are not known; the newest come first, so a page of known ones is the last that is looked at."""
        found, number = [], 1
        while True:
            page = must(self.get(path, params={"size": 100, "page": number}))
            new = [item["key"] for item in page["items"] if item["key"] not in known]
            found += new
            if number >= page["pages"] or not new:
                return found
            number += 1


def must(answer, status=200):
    """The answer's JSON; an error that shows the refusal otherwise."""
    if answer.status_code != status:
        request = answer.request
        raise StackError(f"{request.method} {request.path_url} answered {answer.status_code}, "
                         f"not {status}: {answer.text[:2000]}")
    return answer.json() if answer.content else None


def must_all(answer):
    """What succeeded of a bulk call of which nothing may fail."""
    result = must(answer)
    if result["failed"]:
        raise StackError(f"{answer.request.path_url} failed in part: {result['failed']}")
    return result["succeeded"]
