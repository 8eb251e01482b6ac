"""What the tests of pauses share: a policy whose run is halted by webhooks that do as they are told."""

import pytest

from replying import RESUME, Replies
from utils import Answer, must, must_all

POLICY = "gated"
HALT = Answer(json={"halt": True})
GO = Answer(json={"halt": False})
PAUSED = "docket.request.paused.v1"
RESUMED = "docket.request.resumed.v1"
RESUME_KEPT = "docket.request.resume_kept.v1"
COMPLETED = "docket.request.completed.v1"


class Gates:
    """Pre-execution webhooks of one policy, and requests that run into them."""

    def __init__(self, api, receiver, identity, db, stack):
        self.api, self.receiver, self.identity, self.db = api, receiver, identity, db
        self.replies = Replies(stack)
        self.ids = {}

    def build(self, when="pre_execution", **behaviours):
        """A connection and a two_way webhook of each name, in that order; the receiver does as told at its path."""
        for name, behaviour in behaviours.items():
            script = behaviour if isinstance(behaviour, list) else [behaviour]
            self.api.make_connection(name, self.receiver.script(f"/{name}", *script))
        must_all(self.api.patch("/dsr/policy", [{"name": POLICY, "key": POLICY}]))
        rule = {"name": "all", "key": "all_of_gated", "action_type": "erasure",
                "masking_strategy": {"strategy": "null_rewrite", "configuration": {}}}
        must_all(self.api.patch(f"/dsr/policy/{POLICY}/rule", [rule]))
        self.api.set_policy_webhooks(POLICY, when, *((name, name, "two_way") for name in behaviours))
        self.ids |= dict(self.db.execute("select key, id from policy_webhook").fetchall())

    def request(self, *statuses):
        """The id of a new one, once it has such a status; paused unless told."""
        request_id = self.api.create_request(self.identity(), policy=POLICY)["id"]
        self.api.approve(request_id)
        self.api.wait_status(request_id, *(statuses or ("paused",)))
        return request_id

    def token(self, name, request_id=None, **options):
        return self.replies.token(self.ids[name], request_id, RESUME, **options)

    def resume(self, name, request_id, **options):
        """With a token of the webhook's for that request."""
        return self.replies.resume(request_id, self.token(name, request_id), **options)

    def delivery(self, name, request_id, columns):
        return self.db.execute(f"select {columns} from webhook_delivery where request_id = %s and webhook_id = %s",
                               (request_id, self.ids[name])).fetchone()

    def events(self, request_id):
        """Their types, as they are on record."""
        return [row[0] for row in self.db.execute("select type from request_event where request_id = %s order by seq",
                                                  (request_id,))]

    def clear(self):
        """Runs under way end first: they would go by the lists of whoever comes next."""
        under_way = {"filters": {"status": ["approved", "in_processing", "paused"]}}
        must(self.api.patch("/privacy-request/administrate/cancel", under_way))
        for when in ("pre_execution", "post_execution"):
            if self.ids:
                must(self.api.put(f"/dsr/policy/{POLICY}/webhook/{when}", []))


@pytest.fixture
def gates(api, receiver, identity, db, stack):
    gates = Gates(api, receiver, identity, db, stack)
    yield gates
    gates.clear()
