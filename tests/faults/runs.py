"""Webhooks around a run, and what must be true of them in the end.

Each does with a request what follows from the request alone, whatever was killed meanwhile, and every call is
remembered. Nothing is remembered about the way a run took: `run_problems` holds the calls, the tables and the topic
against each other.
"""

import json
import os
import re
import threading
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from client import must, must_all
from events import first_seen, sequence_problems
from load import Reply
from receiver import Answer

FAILURES = 2  # of the webhook that fails, about each request
REFUSED_RESUME = re.compile(r"Invalid resume request: privacy request '[^']+' status = ")


@dataclass
class Seen:
    """One call, as far as it matters here."""

    request_id: str
    external_id: str
    step: str
    webhook_id: str  # its header
    identity: dict
    number: int  # among the calls of this step about this request, from 1


@dataclass
class Step:
    """One webhook of a policy: what it answers, and what it does once that is out."""

    key: str
    answer: Callable = lambda seen: Answer(json={"halt": False})
    after: Callable = lambda seen, call: None
    direction: str = "two_way"
    kind: str = "pre"


@dataclass
class Course:
    """A policy with its webhooks, in the order of a run, and every call that they got."""

    policy: str
    steps: list[Step]
    is_up: bool = True  # else a kept connection gets no answer any more
    calls: dict[str, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def install(self, api, receiver):
        """Its requests wait for nobody's approval."""
        must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
        must_all(api.patch("/dsr/policy", [{"key": self.policy, "name": self.policy}]))
        must_all(api.patch(f"/dsr/policy/{self.policy}/rule", [
            {"key": f"{self.policy}_rule", "name": f"{self.policy}_rule", "action_type": "erasure",
             "masking_strategy": {"strategy": "null_rewrite", "configuration": {}}}]))
        self.listen(receiver)
        for step in self.steps:
            api.make_connection(step.key, receiver.url(f"/{step.key}"))
        for kind in ("pre", "post"):
            must(api.put(f"/dsr/policy/{self.policy}/webhook/{kind}_execution", [
                {"key": step.key, "name": step.key, "direction": step.direction, "connection_config_key": step.key}
                for step in self.steps if step.kind == kind]))

    def listen(self, receiver):
        for step in self.steps:
            receiver.script(f"/{step.key}", self.behaviour(step))

    def behaviour(self, step):
        def behave(receiver, handler, call):
            if not self.is_up:
                handler.close_connection = True
                return
            seen = self.remember(step, call)
            step.answer(seen)(receiver, handler, call)
            handler.wfile.flush()
            step.after(seen, call)

        return behave

    def remember(self, step, call):
        data = call.json
        with self.lock:
            calls = self.calls[data["privacy_request_id"]]
            number = 1 + sum(seen.step == step.key for seen in calls)
            calls.append(Seen(data["privacy_request_id"], data["privacy_request"]["external_id"], step.key,
                              call.headers["webhook-id"], data["identity"], number))
            return calls[-1]

    def count(self, step=None):
        with self.lock:
            return sum(step in (None, seen.step) for calls in self.calls.values() for seen in calls)


def resume_of(call, derived=None):
    """The reply to a call that was answered with a halt."""
    data = {"derived_identity": derived} if derived else {}
    return Reply(call.request_id, call.path.strip("/"), None, call.headers["reply-to"], call.headers["reply-to-token"],
                 json.dumps(data).encode())


def resident_bytes(program):
    """What the program has of the machine's memory."""
    pages = Path(f"/proc/{program.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


# --- five webhooks of every kind -----------------------------------------------------------------------------


class Person:
    """What the webhooks find out about whoever a request is about; looked for on the bus and in the logs."""

    def __init__(self, identity):
        self.phone = identity.derived(f"+1555{int.from_bytes(os.urandom(2), 'big'):05}")
        self.client = identity.derived()
        self.loyalty = identity.derived()

    def resumed(self, external_id):
        return {"ga_client_id": f"{self.client}-{external_id}"}

    def answered(self, external_id):
        number = int(external_id.rpartition("-")[2])
        return {"phone_number": f"{self.phone}{number:05}",
                "loyalty": {"label": "Loyalty id", "value": f"{self.loyalty}-{external_id}"}}


def failing_twice(seen):
    return Answer(503) if seen.number <= FAILURES else Answer(json={"halt": False})


def enriching(person, seen):
    return Answer(json={"halt": False, "derived_identity": person.answered(seen.external_id)})


def make_course(policy, replier, person):
    """One halts and replies, one brings an identity, one fails twice; then two after the run."""
    def resume(seen, call):
        replier.send(resume_of(call, person.resumed(seen.external_id)))

    return Course(policy, [
        Step("ask", lambda seen: Answer(json={"halt": True}), resume),
        Step("enrich", partial(enriching, person)),
        Step("flaky", failing_twice),
        Step("notify", lambda seen: Answer(), direction="one_way", kind="post"),
        Step("archive", lambda seen: Answer(json={"halt": True}), kind="post"),
    ])


# --- what must be true in the end -----------------------------------------------------------------------------


def run_problems(db, bus, course, creator, replier=None):
    """Of a load whose every request ran to its end, as a list of what is not as it must be."""
    problems = [f"a create failed: {failure}" for failure in creator.failed]
    ids = completed_problems(db, creator, problems)
    for request_id in ids:
        problems += calls_problems(course, request_id)
    problems += delivery_problems(db, course, creator)
    problems += topic_problems(bus, course, ids)
    return problems + (resume_problems(replier) if replier else [])


def completed_problems(db, creator, problems):
    """The requests' ids with their last number; adds those that are not complete to the problems."""
    rows = db.execute("select id, external_id, status, seq from privacy_request where external_id like %s",
                      (f"{creator.prefix}-%",)).fetchall()
    missing = set(creator.external_ids) - {external_id for _, external_id, _, _ in rows}
    if missing:
        problems.append(f"requests are missing: {sorted(missing)[:10]}")
    problems += [f"{request_id} ({external_id}) is {status}" for request_id, external_id, status, _ in rows
                 if status != "complete"]
    return {request_id: seq for request_id, _, _, seq in rows}


def calls_problems(course, request_id):
    """Each step was called, all of its calls before the next one's first, under one webhook-id of its own."""
    calls = course.calls.get(request_id, [])
    order = [seen.step for number, seen in enumerate(calls) if not number or calls[number - 1].step != seen.step]
    ids = {step.key: {seen.webhook_id for seen in calls if seen.step == step.key} for step in course.steps}
    problems = []
    if order != [step.key for step in course.steps]:
        problems.append(f"the webhooks of {request_id} were called in the order {order}")
    if any(len(of_step) > 1 for of_step in ids.values()) or len(set().union(*ids.values())) < len(ids):
        problems.append(f"the calls of {request_id} had the ids {ids}")
    return problems


def delivery_problems(db, course, creator):
    """The ledger: every step delivered once, nothing of it left to do."""
    rows = db.execute("""
        select p.id, array_agg(w.key order by w.kind desc, w.place),
               bool_or(d.state <> 'delivered' or d.due_at is not null or not d.passed or d.worker is not null
                       or (d.halted and d.resumed_at is null))
        from privacy_request p left join webhook_delivery d on d.request_id = p.id
        left join policy_webhook w on w.id = d.webhook_id
        where p.external_id like %s group by p.id""", (f"{creator.prefix}-%",)).fetchall()
    wanted = [step.key for step in course.steps]
    return [f"the deliveries of {request_id} are {keys}, something is left to do: {left}"
            for request_id, keys, left in rows if keys != wanted or left]


def topic_problems(bus, course, ids, judge=None):
    """Order, gaps and chain of each request's events, and how often each came, as the judge has it."""
    grouped = defaultdict(list)
    for event in bus.records("lifecycle"):
        grouped[event.key].append(event)
    problems = []
    for request_id, last in ids.items():
        events = grouped.get(request_id, [])
        if not events:
            problems.append(f"no event of {request_id} is on the topic")
            continue
        problems += sequence_problems(events)
        events = first_seen(events)
        if events[-1].sequence != last:
            problems.append(f"{request_id} has {last} events, on the topic are {events[-1].sequence}")
        problems += (judge or course_problems)(course, request_id, events)
    return problems


def types_of(events):
    return Counter(event.type.removeprefix("docket.request.").removesuffix(".v1") for event in events)


def course_problems(course, request_id, events):
    """A run begins once and ends once, every step is passed once, and every halt is followed by its reply, unless the
    reply was here before it."""
    types = types_of(events)
    answered = [event.data["webhook_key"] for event in events if event.type.endswith(".webhook_answered.v1")]
    halts = sum(event.type.endswith(".webhook_answered.v1") and event.data.get("halt", False) for event in events)
    problems = []
    if (types["approved"], types["started"], types["completed"]) != (1, 1, 1):
        problems.append(f"the run of {request_id} went {dict(types)}")
    if answered != [step.key for step in course.steps]:
        problems.append(f"the steps of {request_id} were passed in the order {answered}")
    if types["paused"] != types["resumed"] or types["paused"] + types["resume_kept"] != halts:
        problems.append(f"{halts} halts of {request_id}: {dict(types)}")
    return problems


def resume_problems(replier):
    """Of the replies about each request one was taken; another may only be told that the run is further on."""
    problems, about = [], defaultdict(list)
    for reply in replier.settled:
        about[reply.request_id].append(reply)
    for replies in about.values():
        refused = [reply for reply in replies if reply.status != 200]
        # A reply without an answer, which the sender says again, may have been taken.
        taken = len(refused) < len(replies) or any(reply.tries > 1 for reply in refused)
        problems += [f"a resume was refused: {reply}" for reply in refused
                     if not taken or reply.status != 400 or not REFUSED_RESUME.search(reply.body)]
    return problems


def identity_problems(course, person):
    """What a step brings is seen by every later one, and by no earlier."""
    problems = []
    for seen in (seen for calls in course.calls.values() for seen in calls):
        wanted = {}
        if seen.step != "ask":
            wanted |= person.resumed(seen.external_id)
        if seen.step not in ("ask", "enrich"):
            wanted |= person.answered(seen.external_id)
        known = {name: seen.identity.get(name) for name in ("ga_client_id", "phone_number", "loyalty")}
        if seen.step == "ask" and seen.number > 1 and known["ga_client_id"]:
            wanted |= person.resumed(seen.external_id)  # its reply was faster than the record of its answer
        if known != dict.fromkeys(known) | wanted:
            problems.append(f"call {seen.number} of {seen.step} about {seen.request_id} knew {known}")
    return problems


def failure_problems(db, prefix):
    """No failure is on record that was none, and no success before all of them."""
    return [f"{request_id} has {refused} refusals of {failures} failures on record, after {attempts} attempts" for
            request_id, refused, failures, attempts in db.execute("""
                select p.id, count(a.*) filter (where a.status_code = 503),
                       count(a.*) filter (where a.status_code is distinct from 200), max(d.attempts)
                from privacy_request p join webhook_delivery d on d.request_id = p.id
                join policy_webhook w on w.id = d.webhook_id and w.key = 'flaky'
                left join webhook_attempt a on a.request_id = d.request_id and a.delivery_id = d.id
                where p.external_id like %s group by p.id""", (f"{prefix}-%",))
            if refused > FAILURES or attempts != failures + 1]
