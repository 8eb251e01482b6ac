"""What the tests of replies share: tokens of one's own making, and posts to whichever program."""

import json
from datetime import datetime, timedelta, timezone

import requests
from jwcrypto import jwe, jwk

REVIEW = "privacy-request:review"
RESUME = "privacy-request:resume"
NOT_AWAITED = "Privacy request with id '{}' is not in pending or awaiting pre-approval status."
CONTRADICTS = "Failed to mark privacy request {} as {} due to: webhook has already answered {}."
WORDS = {"eligible": "eligible", "not-eligible": "not eligible"}
DONE = (200, None)


def not_awaited(request_id):
    return 400, NOT_AWAITED.format(request_id)


def contradicts(request_id, verdict):
    before = "not eligible" if verdict == "eligible" else "eligible"
    return 400, CONTRADICTS.format(request_id, WORDS[verdict], before)


def outcome(answer):
    """Status, and the error's text; None for the answer null."""
    body = answer.json()
    return answer.status_code, body["detail"] if isinstance(body, dict) else body


class Replies:
    def __init__(self, stack):
        self.url = stack.callback.url
        self._key = jwk.JWK.from_password(stack.environment()["DOCKET_APP_ENCRYPTION_KEY"])

    def token(self, webhook_id, request_id=None, scope=REVIEW, age=timedelta()):
        """Bound to the request when one is given."""
        issued = datetime.now(timezone.utc).replace(tzinfo=None) - age
        claims = {"webhook_id": webhook_id, "scopes": [scope], "iat": issued.isoformat(timespec="microseconds")}
        if request_id:
            claims["privacy_request_id"] = request_id
        token = jwe.JWE(json.dumps(claims).encode(), protected={"alg": "dir", "enc": "A256GCM"})
        token.add_recipient(self._key)
        return token.serialize(compact=True)

    def post(self, request_id, verdict, token=None, url=None, **options):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.post(f"{url or self.url}/api/v1/privacy-request/{request_id}/pre-approve/{verdict}",
                             headers=headers, timeout=30, **options)

    def say(self, webhook_id, request_id, verdict, url=None):
        """The webhook's reply with a token of its own; what it is answered."""
        return outcome(self.post(request_id, verdict, self.token(webhook_id, request_id), url))

    def resume(self, request_id, token=None, url=None, path="/api/v1/privacy-request/{}/resume", **options):
        """With an empty object unless told otherwise."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        options.setdefault("json", None if "data" in options else {})
        return requests.post((url or self.url) + path.format(request_id), headers=headers, timeout=30, **options)
