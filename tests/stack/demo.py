"""./dev demo: two privacy requests, judged by two services before they run; one that services are told of while it
runs, one of which halts it; then a package with what a database has and a person adds, and an erasure (demo_data.py);
at the end the proof that the log of all this is whole, and to whom the data of one of them went.

The configuration is the examples of the product's pages on webhooks. All services are this program: it listens on
loopback, answers docket's calls and then replies to docket-callback, as the services of a company would. What is told is what happened; anything else than expected ends the story with an error.
"""

import sys

import demo_data
from auditing import wait_covered
from client import Api, must, must_all
from events import Bus
from receiver import Answer, Receiver, Reply
from stack import RUN, StackError, development_stack, wait_until
from telling import Clock, bold, chapter, faint, paint, said, tell

SERVICES = {  # connection -> path, and the webhook that calls it
    "my_service_config": ("/pre-approval-handler", "my_test_webhook", "My test webhook"),
    "my_other_service_config": ("/tickets/open-cases", "my_test_webhook_2", "My test webhook 2"),
}
STEPS = {  # connection -> path, and the webhook that calls it: kind, direction, key, name
    "warehouse_config": ("/wake-up", "pre_execution", "one_way", "wake_up_snowflake_db",
                         "Wake up Snowflake DB Webhook"),
    "test_webhook_connection_config": ("/prepare", "pre_execution", "two_way", "prep_systems_webhook",
                                       "Prep Systems Webhook"),
    "app_config": ("/log-out", "post_execution", "two_way", "log_out_webhook", "Log out Webhook"),
}
POLICY = "default_access_policy"
BOUND = 30  # seconds; all of it takes a fraction of one


# --- the two services ------------------------------------------------------------------------------------


class Services:
    """What stands behind both connections. `no_from` says which path refuses whom."""

    def __init__(self, callback_url):
        self.receiver = Receiver(callback_url)
        self.no_from = set()
        self.done = []  # the request of each reply that was told
        self.clock = Clock()
        for path, _, _ in SERVICES.values():
            self.receiver.script(path, self.judge)

    def judge(self, receiver, handler, call):
        body = call.json
        request_id, email = body["privacy_request_id"], body["identity"]["email"]
        verdict = "not-eligible" if (call.path, email) in self.no_from else "eligible"
        self.clock.tell(f"{call.path} is called: {body['callback_type']}, status {body['privacy_request_status']}, "
                        f"{faint(email)}")
        if verdict == "not-eligible":  # the last word, so that the other's is not too late
            wait_until(lambda: request_id in self.done, BOUND, "the other service's reply")
        Reply(verdict)(receiver, handler, call)
        reply = next(reply for reply in reversed(receiver.replies) if reply.call is call)
        colour = "32" if verdict == "eligible" else "33"
        self.clock.tell(f"{call.path} says {paint(colour, verdict)} to docket-callback, "
                        f"which answers {reply.status} {reply.body}")
        self.done.append(request_id)

    def take_steps(self):
        """The services around a run: the second one halts it, and goes on when it has found the phone number."""
        halt = Answer(json={"halt": "true"})
        found = {"derived_identity": {"phone_number": "+15555555555"}}
        self.receiver.script("/wake-up", self.told(Answer()))
        self.receiver.script("/prepare", self.told(halt, "answers halt: the request has to wait"))
        self.receiver.script("/log-out", self.told(Answer(json={})))
        return found

    def told(self, answer, note=""):
        def behave(receiver, handler, call):
            body = call.json
            self.clock.tell(f"{call.path} is called: {body['callback_type']}, {body['direction']}, "
                            f"{faint(body['identity']['phone_number'] or 'no phone number yet')}  {note}")
            answer(receiver, handler, call)
        return behave

    def close(self):
        self.receiver.close()


# --- the story -------------------------------------------------------------------------------------------


def configure(api, services):
    chapter("Two of your services want a say before a privacy request runs.")
    connections = [{"name": key.replace("_", " ").title(), "key": key, "connection_type": "https",
                    "access": "read"} for key in SERVICES]
    must_all(api.patch("/connection", connections))
    said("PATCH", "/connection", ", ".join(SERVICES))
    for key, (path, _, _) in SERVICES.items():
        must(api.put(f"/connection/{key}/secret", {
            "url": services.receiver.url(path),
            "authorization": "test_authorization",
            "headers": {"User-Agent": "Example"},
        }))
        said("PUT", f"/connection/{key}/secret", services.receiver.url(path))
    webhooks = [{"connection_config_key": key, "name": name, "key": webhook}
                for key, (_, webhook, name) in SERVICES.items()]
    must(api.put("/dsr/webhook/pre_approval", webhooks))
    said("PUT", "/dsr/webhook/pre_approval", ", ".join(webhook["key"] for webhook in webhooks))
    for kind in ("pre_execution", "post_execution"):  # what an earlier demo left
        must(api.put(f"/dsr/policy/{POLICY}/webhook/{kind}", []))


def configure_steps(api, services):
    chapter("Three more are to be told while a request runs, one after another.")
    for key, (path, *_) in STEPS.items():
        api.make_connection(key, services.receiver.url(path))
        said("PUT", f"/connection/{key}/secret", services.receiver.url(path))
    for kind in ("pre_execution", "post_execution"):
        webhooks = [{"connection_config_key": key, "direction": direction, "key": webhook, "name": name}
                    for key, (_, when, direction, webhook, name) in STEPS.items() if when == kind]
        must(api.put(f"/dsr/policy/{POLICY}/webhook/{kind}", webhooks))
        said("PUT", f"/dsr/policy/{POLICY}/webhook/{kind}", ", ".join(webhook["key"] for webhook in webhooks))


def make_request(api, services, email, policy=POLICY):
    services.clock = Clock()
    request = api.create_request(email, policy)
    said("POST", "/privacy-request", f"{policy}, {email}")
    services.clock.tell(f"{bold(request['id'])} is {bold(request['status'])}")
    return request["id"], request["status"]


def follow(api, services, request_id, known, wanted):
    """Tells each change of status until the wanted one."""
    seen = [known]

    def arrived():
        status = api.status(request_id)
        if status != seen[-1]:
            services.clock.tell(f"it is {bold(status)}")
            seen.append(status)
        return status == wanted

    wait_until(arrived, BOUND, lambda: f"the request to be {wanted}; it went {' -> '.join(seen)}", every=0.01)
    wait_until(lambda: services.done.count(request_id) == len(SERVICES), BOUND, "both services to have replied")
    replies = [reply for reply in services.receiver.replies if reply.call.request_id == request_id]
    refused = [f"{reply.call.path}: {reply.status} {reply.body}" for reply in replies if reply.status != 200]
    if refused:
        raise StackError(f"docket-callback refused a reply: {refused}")


def show_timeline(api, request_id):
    tell("\n  Its timeline, as the Admin UI shows it:")
    entries = [(entry, group) for group, entries in api.timeline(request_id).items() for entry in entries]
    if not entries:
        raise StackError(f"the timeline of {request_id} is empty")
    for entry, group in sorted(entries, key=lambda pair: pair[0]["updated_at"]):
        when = entry["updated_at"][11:23]
        message = entry["message"] or group
        tell(f"    {when}  {bold(message if message.startswith(group) else group)}")
        if not message.startswith(group):
            tell(f"                  {faint(message)}")


def first_story(api, services):
    chapter("customer-1 asks for their data. Both services find nothing against it.")
    request_id, status = make_request(api, services, "customer-1@example.com")
    follow(api, services, request_id, status, "complete")
    show_timeline(api, request_id)
    expect_groups(api, request_id, "Request auto-approved by pre-approval webhooks")
    return request_id


def second_story(api, services):
    chapter("customer-2 asks too, but has an open case: the second service objects.")
    services.no_from.add((SERVICES["my_other_service_config"][0], "customer-2@example.com"))
    request_id, status = make_request(api, services, "customer-2@example.com")
    follow(api, services, request_id, status, "pre_approval_not_eligible")
    tell("\n  That denies nothing: a person decides. The operator looks at the case and approves.\n")
    services.clock = Clock()
    api.approve(request_id)
    said("PATCH", "/privacy-request/administrate/approve", request_id)
    follow(api, services, request_id, "pre_approval_not_eligible", "complete")
    show_timeline(api, request_id)
    expect_groups(api, request_id, "Request flagged for manual review by pre-approval webhooks", "Request approved")
    return request_id


def third_story(api, services):
    configure_steps(api, services)
    chapter("customer-3 asks. One service needs time to look something up: it halts the request, then resumes it.")
    found = services.take_steps()
    request_id, status = make_request(api, services, "customer-3@example.com")
    follow(api, services, request_id, status, "paused")
    call = services.receiver.wait_calls(1, "/prepare", request_id, timeout=BOUND)[0]
    reply = services.receiver.reply(call, "resume", found)
    if reply.status != 200:
        raise StackError(f"docket-callback refused to resume: {reply.status} {reply.body}")
    services.clock.tell(f"/prepare says {paint('32', 'resume')} to docket-callback, with the phone number it has found")
    follow(api, services, request_id, "paused", "complete")
    last = services.receiver.wait_calls(1, "/log-out", request_id, timeout=BOUND)[0]
    if last.json["identity"]["phone_number"] != found["derived_identity"]["phone_number"]:
        raise StackError("the webhook after the run was not told what was found before it")
    show_timeline(api, request_id)
    return request_id


def step_of(api, services, wanted, *step):
    """A request's next part: made with an address and a policy, or gone on with from a status that is known."""
    if wanted is None:
        return make_request(api, services, *step)
    request_id, known = step
    return follow(api, services, request_id, known, wanted)


def expect_groups(api, request_id, *groups):
    """The timeline is written in the same transaction as the status, so it is all there by now."""
    missing = set(groups) - set(api.timeline(request_id))
    if missing:
        raise StackError(f"the timeline of {request_id} lacks {sorted(missing)}")


def show_events(bus, *request_ids):
    chapter("What everyone else saw: the events on Kafka. Ids only, never who asked.")
    for request_id in request_ids:
        events = bus.wait_types(request_id, "docket.request.completed.v1", timeout=BOUND)
        tell(f"  {bus.prefix}.lifecycle, partition {events[0].partition}, key {bold(request_id)}")
        for event in events:
            headers = event.headers
            tell(f"    {event.sequence:>3}  {bold(event.type)}")
            tell(faint(f"         {headers['ce_time']}  {headers['ce_source']}  id …{event.id[-8:]}"))
            tell(faint(f"         {event.value.decode()}"))
        expect_unbroken(events)
        tell()
    events = bus.records(key=request_ids[0])
    tell("  One of them with all its headers:")
    for name, value in events[-1].headers.items():
        tell(f"    {name:<20} {value}")
    if any(b"customer-" in event.everything() for event in events):
        raise StackError("an identity is on the bus")


def expect_unbroken(events):
    """In order and without a gap. A repeat may come late, so repeats are left out first."""
    numbers = list(dict.fromkeys(event.sequence for event in events))
    if numbers != list(range(1, len(numbers) + 1)):
        raise StackError(f"the events of {events[0].key} have the numbers {numbers}")


def docketctl(*arguments):
    """What it answers, shown."""
    tell(f"  {bold('docketctl ' + ' '.join(arguments))}\n")
    answer = development_stack().docketctl(*arguments).stdout
    for line in answer.splitlines():
        tell(f"    {faint(line) if line.startswith(' ') else line}")
    tell()
    if "customer-" in answer:
        raise StackError("an identity is in the log")
    return answer


def show_proof(bus, request_id):
    """Of one request, then of all that this docket has ever recorded."""
    chapter("And it can be proven: docketctl reads the topics, and holds each event against its chain and signed checkpoints.")
    wait_covered(bus, BOUND)
    docketctl("audit", "show", request_id)
    if "the log is whole" not in docketctl("audit", "verify").splitlines():
        raise StackError("the log is not whole")


def show_disclosures(services, request_id):
    """The person's question, answered from Kafka alone."""
    chapter("To whom did customer-3's data go? docketctl reads it off the log.")
    account = docketctl("audit", "disclosures", request_id)
    calls = [call for call in services.receiver.calls() if call.request_id == request_id]
    if f"{len(calls)} disclosures in " not in account:
        raise StackError(f"{len(calls)} calls were made for {request_id}, and this is told of them:\n{account}")


def where_next(environment, request_id):
    chapter("Look around; everything goes on running.")
    tell(f"""  source .run/env
  kcat -b $DOCKET_KAFKA_BROKERS -t {environment['DOCKET_TOPIC_PREFIX']}.lifecycle -C -e -f '%k  %h\\n  %s\\n'
  ./dev psql -c "select seq, type, time from request_event where request_id = '{request_id}'"
  ./dev topics
  ./dev logs docket-worker

  REST API     {environment['DOCKET_API_URL']}/api/v1   client $DOCKET_ROOT_CLIENT_ID / $DOCKET_ROOT_CLIENT_SECRET
  replies      {environment['DOCKET_CALLBACK_URL']}/api/v1
  stop it      ./dev down
""")


def read_environment():
    """What ./dev up wrote; values hold no quotes."""
    lines = (RUN / "env").read_text().splitlines()
    pairs = (line.removeprefix("export ").split("=", 1) for line in lines)
    return {name: value.strip("'") for name, value in pairs}


def main():
    environment = read_environment()
    api = Api.login(environment["DOCKET_API_URL"], environment["DOCKET_ROOT_CLIENT_ID"],
                    environment["DOCKET_ROOT_CLIENT_SECRET"])
    bus = Bus(environment["DOCKET_KAFKA_BROKERS"], environment["DOCKET_TOPIC_PREFIX"])
    bus.skip()
    services = Services(environment["DOCKET_CALLBACK_URL"])
    try:
        configure(api, services)
        told = [first_story(api, services), second_story(api, services), third_story(api, services)]
        demo_data.tell_stories(api, environment, lambda *step: step_of(api, services, *step))
        show_events(bus, *told)
        show_proof(bus, told[1])
        show_disclosures(services, told[2])
        where_next(environment, told[1])
    finally:
        services.close()
        bus.close()


if __name__ == "__main__":
    try:
        main()
    except (StackError, AssertionError, OSError) as error:
        sys.exit(f"\n./dev demo: it did not go as it should: {error}\n./dev logs shows what the programs say.")
