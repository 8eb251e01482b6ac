"""A client, webhooks and a reader of the outcome that do not mind what is killed around them.

The client sends a create again until it is answered: one whose answer was lost may then exist twice, told apart
by nothing but its id; `external_id` says what it was meant to be. A webhook sends its reply again until it gets a
definite answer. What must be true of all of it in the end is in `problems_of`.
"""

import http.client
import json
import queue
import random
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass

from events import first_seen, sequence_problems
from stack import wait_until

WEBHOOKS = ("crm", "tickets", "billing")
OBJECTOR = "tickets"  # the one that says not eligible, where one does
BULK = 20


def objects_to(external_id):
    """Every fifth request is refused by one of its webhooks."""
    return int(external_id.rpartition("-")[2]) % 5 == 0


def make_webhooks(api, receiver, replier):
    """All three, each replying as `objects_to` has it; about a request called held-... they say nothing yet."""

    def verdict(webhook):
        def judge(call):
            external_id = call.json["privacy_request"]["external_id"]
            if external_id.startswith("held-"):
                return None
            return not (webhook == OBJECTOR and objects_to(external_id))

        return judge

    api.make_webhooks(receiver, **{webhook: replier.behaviour(webhook, verdict(webhook)) for webhook in WEBHOOKS})


# --- who replies --------------------------------------------------------------------------------------------


@dataclass
class Reply:
    request_id: str
    webhook: str
    eligible: bool | None  # None: the reply to a halt
    path: str
    token: str
    data: bytes = b"{}"
    due: float = 0.0
    tries: int = 0
    status: int = 0
    body: str = ""


class Replier:
    """The webhooks' other half: posts replies to docket-callback from threads of its own, until each is settled."""

    THREADS = 12

    def __init__(self, callback):
        self.port = callback.port
        self.waiting = queue.Queue()
        self.settled = []
        self.unsettled = 0
        self.answers = Counter()  # status -> how often; 0: no answer
        self.lock = threading.Lock()
        self.closing = False
        for _ in range(self.THREADS):
            threading.Thread(target=self.run, daemon=True).start()

    def close(self):
        self.closing = True

    def behaviour(self, webhook, verdict):
        """A script for the receiver: answers 200, and replies later, unless the verdict is None."""

        def behave(receiver, handler, call):
            body = b"{}"
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
            eligible = verdict(call)
            if eligible is not None:
                self.reply(call, webhook, eligible)

        return behave

    def reply(self, call, webhook, eligible):
        path = call.headers["reply-to-eligible" if eligible else "reply-to-not-eligible"]
        self.send(Reply(call.request_id, webhook, eligible, path, call.headers["reply-to-token"]))

    def send(self, reply):
        with self.lock:
            self.unsettled += 1
        self.waiting.put(reply)

    def run(self):
        connection = None
        while not self.closing:
            try:
                reply = self.waiting.get(timeout=0.2)
            except queue.Empty:
                continue
            if (wait := reply.due - time.monotonic()) > 0:
                time.sleep(min(wait, 0.1))
                if reply.due > time.monotonic():
                    self.waiting.put(reply)
                    continue
            connection = self.post(connection, reply)
            self.judge(reply)

    def post(self, connection, reply):
        """Tells it once; returns the connection if it can be used again."""
        reply.tries += 1
        reply.status, reply.body = 0, ""
        try:
            connection = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
            connection.request("POST", f"/api/v1{reply.path}", reply.data,
                               {"Authorization": f"Bearer {reply.token}", "Content-Type": "application/json"})
            answer = connection.getresponse()
            reply.body = answer.read().decode()
            reply.status = answer.status
            return connection
        except (OSError, http.client.HTTPException) as error:
            reply.body = str(error)
            if connection is not None:
                connection.close()
            return None

    def judge(self, reply):
        with self.lock:
            self.answers[reply.status] += 1
            if reply.status and reply.status < 500:
                self.settled.append(reply)
                self.unsettled -= 1
                return
        reply.due = time.monotonic() + 0.3
        self.waiting.put(reply)


# --- who asks ------------------------------------------------------------------------------------------------


class Creator(threading.Thread):
    """Makes `count` requests, BULK a call, each call again until it is answered."""

    def __init__(self, api, identity, prefix, count, pause=0.0, until=None, policy="default_erasure_policy"):
        super().__init__(daemon=True)
        self.policy = policy
        self.port = int(api.url.rpartition(":")[2])
        self.email = identity()  # one for all: every one is looked for in every event
        self.prefix = prefix
        self.count = count
        self.pause = pause
        self.until = until or (lambda: False)  # ends it early
        self.external_ids = []
        self.answers = Counter()
        self.failed = []

    def run(self):
        while len(self.external_ids) < self.count and not self.until():
            first = len(self.external_ids)
            ids = [f"{self.prefix}-{number}" for number in range(first, min(first + BULK, self.count))]
            self.create(ids)
            self.external_ids += ids
            time.sleep(self.pause)

    def create(self, external_ids):
        body = json.dumps([{"policy_key": self.policy, "identity": {"email": self.email},
                            "external_id": external_id} for external_id in external_ids]).encode()
        while True:
            status, text = self.post(body)
            self.answers[status] += 1
            if status == 200:
                self.failed += json.loads(text)["failed"]
                return
            if status and status < 500:
                self.failed.append(text)
                return
            time.sleep(0.2)

    def post(self, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/api/v1/privacy-request", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            return 0, str(error)
        finally:
            connection.close()


# --- who kills ----------------------------------------------------------------------------------------------


class Killer(threading.Thread):
    """SIGKILLs one of the programs every `pause` seconds or so, and starts it again."""

    def __init__(self, programs, seed, pause=1.0):
        super().__init__(daemon=True)
        self.programs = programs
        self.pause = pause
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.killed = []
        self.failure = None

    def run(self):
        try:
            while not self.over.wait(self.random.uniform(0.5, 1.5) * self.pause):
                program = self.random.choice(self.programs)
                program.kill()
                self.killed.append(program.name)
                time.sleep(self.random.uniform(0, 0.3))
                program.start(wait=False)
        except Exception as error:  # told by the test, whose thread this is not
            self.failure = error

    def end(self):
        self.over.set()
        self.join()
        assert self.failure is None, self.failure


# --- what came of it ------------------------------------------------------------------------------------------


DECIDED = ("complete", "pre_approval_not_eligible")


def wait_decided(db, prefix, count, timeout, statuses=DECIDED):
    """Until every request with that prefix has one of these, and nothing about it is on its way any more."""

    def counts():
        return db.execute("""
            select count(*), count(distinct external_id),
                   count(*) filter (where status = any(%s)),
                   (select count(*) from request_outbox), (select count(*) from webhook_delivery d
                    join privacy_request p on p.id = d.request_id where d.state = 'waiting' and p.external_id like %s)
            from privacy_request where external_id like %s""",
                          (list(statuses), f"{prefix}-%", f"{prefix}-%")).fetchone()

    def over():
        every, distinct, decided, outbox, waiting = counts()
        return distinct >= count and decided == every and outbox == 0 and waiting == 0

    wait_until(over, timeout, lambda: "requests, different ones, decided, in the outbox, calls waiting: "
                                      f"{counts()}, of {count}\n{undecided(db, prefix, statuses)}", every=0.5)


def undecided(db, prefix, statuses):
    """What those that are not decided wait for."""
    rows = db.execute("""
        select p.status, w.key, d.attempts, count(*), min(d.due_at - now()), max(d.due_at - now()), max(d.worker)
        from privacy_request p left join webhook_delivery d on d.request_id = p.id and d.state = 'waiting'
        left join policy_webhook w on w.id = d.webhook_id
        where p.external_id like %s and p.status <> all(%s) group by 1, 2, 3 order by 4 desc limit 20""",
                      (f"{prefix}-%", list(statuses)))
    return "\n".join(f"{count} are {status}, of {webhook} after {attempts} attempts, due in {first} to {last}, "
                     f"{worker} has them" for status, webhook, attempts, count, first, last, worker in rows)


def problems_of(db, bus, replier, creators):
    """Everything that must be true at the end, as a list of what is not."""
    problems = []
    for creator in creators:
        problems += [f"a create failed: {failure}" for failure in creator.failed]
        problems += requests_problems(db, creator)
    problems += replies_problems(db, replier)
    problems += topic_problems(db, bus, creators)
    return problems


def requests_problems(db, creator):
    rows = db.execute("select id, external_id, status from privacy_request where external_id like %s",
                      (f"{creator.prefix}-%",)).fetchall()
    missing = set(creator.external_ids) - {external_id for _, external_id, _ in rows}
    wrong = [(request_id, external_id, status) for request_id, external_id, status in rows
             if status != ("pre_approval_not_eligible" if objects_to(external_id) else "complete")]
    return ([f"requests are missing: {sorted(missing)[:10]}"] if missing else []) + [
        f"{request_id} ({external_id}) is {status}" for request_id, external_id, status in wrong]


def replies_problems(db, replier):
    """Every reply that was taken is on record with its verdict, or the timeline says that it came too late."""
    recorded = {(request_id, webhook): eligible for request_id, webhook, eligible in db.execute(
        "select r.request_id, w.key, r.eligible from pre_approval_reply r "
        "join pre_approval_webhook w on w.id = r.webhook_id")}
    ignored = {(request_id, json.loads(payload)["webhook_key"]) for request_id, payload in db.execute(
        "select request_id, payload from request_event where type = 'docket.request.reply_ignored.v1'")}
    problems = []
    for reply in replier.settled:
        name = (reply.request_id, reply.webhook)
        if reply.status == 200 and recorded.get(name) != reply.eligible and name not in ignored:
            problems.append(f"a reply was taken and is not on record: {reply}")
        if reply.status not in (200, 400):
            problems.append(f"a reply was refused: {reply}")
        if reply.status == 400 and "is not in pending or awaiting" not in reply.body:
            problems.append(f"a reply was refused: {reply}")
    return problems


def topic_problems(db, bus, creators):
    """Order, gaps and chain on the topic, and no approval before all of its replies."""
    grouped = defaultdict(list)
    for event in bus.records("lifecycle"):
        grouped[event.key].append(event)
    problems = []
    prefixes = [f"{creator.prefix}-%" for creator in creators]
    for request_id, last in db.execute("select id, seq from privacy_request where external_id like any(%s)",
                                       (prefixes,)):
        events = grouped.get(request_id, [])
        if not events:
            problems.append(f"no event of {request_id} is on the topic")
            continue
        problems += sequence_problems(events)
        events = first_seen(events)
        if events[-1].sequence != last:
            problems.append(f"{request_id} has {last} events, on the topic are {events[-1].sequence}")
        problems += approval_problems(events)
    return problems


def approval_problems(events):
    types = [event.type.removeprefix("docket.request.").removesuffix(".v1") for event in events]
    approvals = types.count("approved")
    if approvals > 1:
        return [f"{events[0].key} was approved {approvals} times"]
    if not approvals:
        return []
    before = Counter(types[:types.index("approved")])
    if before["pre_approval_eligible"] != len(WEBHOOKS) or before["pre_approval_not_eligible"]:
        return [f"{events[0].key} was approved after {dict(before)}"]
    return []


def log_problems(stack):
    """What no fault of others may make a program say."""
    ours = ("settle.poisoned", "event.dead", "engine.lost_too_often", "engine.unknown_request", "Segmentation fault",
            "Assertion", "AddressSanitizer", "runtime error")
    return [f"{program.name} says {word}" for program in stack.programs for word in ours
            if program.log_contains(word, since_start=False)]
