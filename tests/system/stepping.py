"""What the tests of policy webhooks share: steps around a run in a line or two, and how the run went."""

import socket

import pytest

from utils import Answer, must, must_all, wait_until

POLICY = "default_erasure_policy"


class Step:
    """A webhook: its direction, and what the receiver does at the path of its name."""

    def __init__(self, direction, script):
        self.direction = direction
        self.script = script or (Answer(),)


def one_way(*script):
    return Step("one_way", script)


def two_way(*script):
    """Without a script it answers {}: go on."""
    return Step("two_way", script)


def halt(**derived):
    """The answer that pauses a request."""
    return Answer(json={"halt": True} | ({"derived_identity": derived} if derived else {}))


def go_on(**derived):
    return Answer(json={"halt": False} | ({"derived_identity": derived} if derived else {}))


def element(key, direction="one_way", connection=None):
    return {"key": key, "name": key, "direction": direction, "connection_config_key": connection or key}


def put_steps(api, when, *elements, policy=POLICY):
    """`when`: pre or post. Replaces the list."""
    return must(api.put(f"/dsr/policy/{policy}/webhook/{when}_execution", list(elements)))


def make_steps(api, receiver, when="pre", policy=POLICY, **steps):
    """A connection and a webhook of each name, in this order."""
    for name, step in steps.items():
        api.make_connection(name, receiver.script(f"/{name}", *step.script))
    return put_steps(api, when, *(element(name, step.direction) for name, step in steps.items()), policy=policy)


def start(api, who, policy=POLICY, **more):
    """A request that a person has approved; `who` is an address, or makes one."""
    request_id = api.create_request(who if isinstance(who, str) else who(), policy, **more)["id"]
    api.approve(request_id)
    return request_id


def nowhere():
    """A url whose host there is not."""
    try:
        socket.getaddrinfo("nowhere.invalid", 80)
    except socket.gaierror as error:
        if error.errno not in (socket.EAI_NONAME, socket.EAI_NODATA):
            pytest.skip("no resolver here says that a name is unknown")
    return "http://nowhere.invalid/hook"


def cancel(api, request_id):
    """Also at the end of a test: what stands in a run goes on with the webhooks of the next one."""
    return must_all(api.patch("/privacy-request/administrate/cancel", {"request_ids": [request_id]}))[0]


def order(receiver, request_id):
    """The names of the webhooks that were called about it, in their order."""
    return [call.path[1:] for call in receiver.calls(request_id=request_id)]


def told(api, request_id, group):
    return [entry["message"] for entry in api.timeline(request_id).get(group, [])]


def wait_told(api, request_id, group, words):
    """The first message of the timeline's group that has these words."""
    def found():
        return next((message for message in told(api, request_id, group) if words in message), None)

    return wait_until(found, 15, lambda: f"the timeline to say {words!r}: {api.timeline(request_id)}")


def deliveries(db, request_id):
    """What stands of its policy webhooks' calls: key -> (state, attempts, outcome)."""
    rows = db.execute("select coalesce(w.key, d.webhook_id), d.state, d.attempts, d.outcome from webhook_delivery d "
                      "left join policy_webhook w on w.id = d.webhook_id "
                      "where d.request_id = %s and d.kind <> 'pre_approval'", (request_id,))
    return {row[0]: row[1:] for row in rows}


def wait_delivery(db, request_id, key, state, timeout=15):
    wait_until(lambda: deliveries(db, request_id).get(key, (None,))[0] == state, timeout,
               lambda: f"the delivery to {key} to be {state}: {deliveries(db, request_id)}")
    return deliveries(db, request_id)[key]


def disable(api, key, disabled=True):
    stored = must(api.get(f"/connection/{key}"))
    kept = {name: stored[name] for name in ("key", "name", "connection_type", "access")}
    must_all(api.patch("/connection", [kept | {"disabled": disabled}]))


def free_port():
    """Where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
