"""./dev bench: what docket does in a second, what that costs, and how near it is to what the parts can do alone.

    run.py [NAME...] [--profile] [--scale F]

A figure is a function in FIGURES; README.md tells what each measures. Every one runs on servers of this run's own,
with a database and topics that are new, and appends its lines to .run/bench/results.jsonl.
"""

import argparse
import contextlib
import json
import os
import statistics
import struct
import subprocess
import sys
import time
import urllib.request
from datetime import datetime, timezone
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

import psycopg
from confluent_kafka import Consumer, KafkaError, TopicPartition

from client import Api, must
from stack import (LOOPBACK, ROOT, RUN, Servers, Service, Stack, StackError, can_connect, remove_run,
                   temporary_run, wait_until)

RESULTS = RUN / "bench"
PRESET = os.environ.get("DOCKET_PRESET", "release")
BIN = ROOT / "build" / PRESET / "bin"
TICKS = os.sysconf("SC_CLK_TCK")
BULK = 50  # requests a call, as many as the API takes
ENDPOINT_CALLS = 64  # DOCKET_ENDPOINT_CALLS as it is unless told otherwise: a worker's cap for one endpoint


# --- the parts ---------------------------------------------------------------------------------------


class Sink(Service):
    """The endpoint that is called. What it says of a path is in stats()."""

    def __init__(self, bench, *options):
        super().__init__(bench.stack.run, f"sink-{bench.name}")
        self.port = self.run.port(self.name)
        self.options = options

    def command(self):
        return [BIN / "bench_sink", "--port", self.port, *self.options]

    def is_ready(self):
        return can_connect(self.port)

    def url(self, path):
        return f"http://{LOOPBACK}:{self.port}{path}"

    def stats(self, path):
        """count, first_us, last_us of the calls to a path; recorded files are whole afterwards."""
        with urllib.request.urlopen(self.url("/stats"), timeout=30) as answer:
            return json.load(answer).get(path, {"count": 0, "first_us": 0, "last_us": 0})

    def wait_count(self, path, count, timeout=300):
        wait_until(lambda: self.stats(path)["count"] >= count, timeout,
                   lambda: f"{count} calls to {path}, there were {self.stats(path)['count']}", every=0.2)
        return self.stats(path)


class Bench:
    """What one measurement has: a stack that nothing was done to, a sink, a place for files, its scale."""

    def __init__(self, servers, name, options):
        self.name = name
        self.options = options
        self.stack = Stack(servers.run, servers, PRESET, name=f"bench_{name}",
                           settings={"DOCKET_CHECKPOINT_INTERVAL": "60s"})  # as it is unless told otherwise
        self.worker = self.stack.add_worker()
        self.files = servers.run.path / name
        self.files.mkdir(exist_ok=True)
        self.sink = None
        self.database = None
        self._clean = contextlib.ExitStack()

    def __enter__(self):
        self.stack.prepare()
        self._clean.callback(self.stack.stop)
        self.stack.api.start()
        self.database = self._clean.enter_context(
            psycopg.connect(self.stack.postgres.url(self.stack.name), autocommit=True))
        environment = self.stack.environment()
        self.api = Api.login(self.stack.api.url, environment["DOCKET_ROOT_CLIENT_ID"],
                             environment["DOCKET_ROOT_CLIENT_SECRET"])
        return self

    def __exit__(self, *reason):
        self._clean.close()

    def scaled(self, count):
        """A count or a number of seconds at this run's scale; a multiple of what a bulk call takes."""
        scaled = count * self.options.scale
        return max(BULK, int(scaled) // BULK * BULK) if count >= BULK else max(1, scaled)

    def start_sink(self, *options):
        self.sink = Sink(self, *options).start()
        self._clean.callback(self.sink.stop)

    def set_webhooks(self, *paths):
        """One pre-approval webhook a path of the sink."""
        keys = [path.strip("/") for path in paths]
        for key, path in zip(keys, paths):
            self.api.make_connection(key, self.sink.url(path))
        self.api.set_pre_approval(*((key, key) for key in keys))

    def create_waiting(self, count):
        """Requests that owe a call to each webhook. Made fast: in bulk, over a few connections."""
        write_shots(self.files / "bulk", create_shots(self.stack.api.port, count // BULK, BULK))
        created = load(self.stack.api.port, self.files / "bulk", connections=8, count=count // BULK, seconds=300)
        if created["failed"] or created["calls"] != count // BULK:
            raise StackError(f"creating {count} requests: {created}")

    def deny_waiting(self):
        waiting = [id for (id,) in self.database.execute(
            "select id from privacy_request where status = 'awaiting_pre_approval'")]
        for first in range(0, len(waiting), 1000):
            self.api.deny(*waiting[first:first + 1000])

    def one(self, sql, *values):
        return self.database.execute(sql, values).fetchone()[0]

    def wait_settled(self, timeout=120):
        """Every call is on record and every event is known to be on the topic."""
        wait_until(lambda: not self.one("select exists (select from request_outbox) or "
                                        "exists (select from webhook_delivery where state = 'waiting')"),
                   timeout, lambda: f"the outbox to be empty, it has {self.one('select count(*) from request_outbox')}")

    def events(self):
        """(request id, type, event id, time on the topic in ms) of every event on the lifecycle topic."""
        yield from read_topic(self.stack.kafka.brokers, f"{self.stack.name}.lifecycle")


def read_topic(brokers, topic):
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "bench", "enable.auto.commit": False,
                         "enable.partition.eof": True})
    places = [TopicPartition(topic, number, 0) for number in consumer.list_topics(topic).topics[topic].partitions]
    consumer.assign(places)
    open_ends = len(places)
    while open_ends:
        for message in consumer.consume(10000, timeout=1):
            if message.error():
                if message.error().code() != KafkaError._PARTITION_EOF:
                    raise StackError(f"reading {topic}: {message.error()}")
                open_ends -= 1
                continue
            headers = dict(message.headers())
            yield (message.key().decode(), headers["ce_type"].decode(), headers["ce_id"].decode(),
                   message.timestamp()[1])
    consumer.close()


# --- shots: HTTP requests in a file, see shot.h ---------------------------------------------------------


def shot(method, port, path, body=b"", *headers):
    lines = [f"{method} {path} HTTP/1.1", f"Host: {LOOPBACK}:{port}", *headers]
    if method != "GET":
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join([*lines, "", ""]).encode(), body


def create_shots(port, calls, requests_a_call):
    for call in range(calls):
        body = [{"policy_key": "default_erasure_policy",
                 "identity": {"email": f"customer-{call}-{number}@example.com"}} for number in range(requests_a_call)]
        yield shot("POST", port, "/api/v1/privacy-request", json.dumps(body).encode())


def write_shots(path, shots):
    with open(path, "wb") as file:
        for head, body in shots:
            file.write(struct.pack("=II", len(head), len(body)) + head + body)


def read_shots(path):
    """Each as (header name in lower case -> value, body)."""
    with open(path, "rb") as file:
        while lengths := file.read(8):
            head, body = (file.read(length) for length in struct.unpack("=II", lengths))
            lines = (line.split(": ", 1) for line in head.decode().split("\r\n")[1:] if ": " in line)
            yield {name.lower(): value for name, value in lines}, json.loads(body)


def tool(name, *arguments):
    done = subprocess.run([BIN / f"bench_{name}", *map(str, arguments)], capture_output=True, text=True,
                          check=False, timeout=600)
    if not done.stdout:
        raise StackError(f"bench_{name} failed: {done.stderr.strip()}")
    return json.loads(done.stdout)


def load(port, file, **options):
    """bench_load's result: calls, failed, rate, p50_ms, p99_ms ..."""
    named = (part for name, value in options.items() for part in (f"--{name}", value))
    return tool("load", "--port", port, "--file", file, *named)


def read_times(path):
    """bench_load's --times: (shot, from_us, took_us, status) each."""
    for line in path.read_text().splitlines():
        yield tuple(map(int, line.split(",")))


# --- what a process uses --------------------------------------------------------------------------------


def process_tree(pid):
    """It and its children: PostgreSQL is a process a connection."""
    children = Path(f"/proc/{pid}/task/{pid}/children")
    return [pid, *map(int, children.read_text().split())] if children.exists() else [pid]


def cpu_seconds(pid):
    """Of the tree, with what its children that ended have used."""
    ticks = 0
    for member in process_tree(pid):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime
    return ticks / TICKS


def resident_mib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def cpu_by_part(bench):
    parts = {"worker": bench.worker, "kafka": bench.stack.kafka, "postgresql": bench.stack.postgres,
             "redis": bench.stack.redis}
    return {name: cpu_seconds(service.pid) for name, service in parts.items() if service.pid}


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


# --- perf and pg_stat_statements, with --profile ----------------------------------------------------------


@contextlib.contextmanager
def profiled(bench, program):
    """What a program and PostgreSQL do meanwhile, printed at the end; nothing unless it was asked for."""
    if not bench.options.profile:
        yield
        return
    record = RESULTS / f"{bench.name}.perf"
    bench.database.execute("select pg_stat_statements_reset()")
    perf = subprocess.Popen(["perf", "record", "-q", "--call-graph", "dwarf,8192", "-F", "199", "-p", str(program.pid), "-o", record],
                            stderr=subprocess.PIPE, text=True)
    yield
    perf.send_signal(2)
    print(perf.communicate()[1], end="")
    print_perf(record, "--no-children", "--sort", "comm,dso")
    print_perf(record, "--no-children", "--sort", "dso,symbol")
    print_perf(record, "--children", "--sort", "dso,symbol", only=program.binary_name)
    print(f"  the whole of it: perf report -i {record.relative_to(ROOT)}\n")
    statements = bench.database.execute(
        "select calls, total_exec_time, rows, regexp_replace(query, '\\s+', ' ', 'g') from pg_stat_statements "
        "where dbid = (select oid from pg_database where datname = current_database()) "
        "order by total_exec_time desc limit 12")
    print(f"  {'calls':>8} {'ms':>10} {'rows':>9}  statement")
    for calls, took, rows, text in statements:
        print(f"  {calls:>8} {took:>10.0f} {rows:>9}  {text[:120]}")


def print_perf(record, *options, only=""):
    """Where the samples fell; lines of `only` when that is given."""
    done = subprocess.run(["perf", "report", "--stdio", "-g", "none", "--percent-limit", "1.5", *options, "-i", record],
                          capture_output=True, text=True, check=False)
    print("\n".join(line.rstrip(" -") for line in done.stdout.splitlines()
                    if line and line[0] != "#" and only in line), "\n")


# --- figures: each yields (name, value, unit, ceiling or None, what else is worth knowing) -----------------


def libcurl_alone(bench, count):
    """The calls that the worker makes, by libcurl and nothing else, three times."""
    return [tool("ceiling", "--url", bench.sink.url("/ceiling"), "--file", bench.files / "calls", "--count", count,
                 "--concurrency", ENDPOINT_CALLS) for _ in range(3)]


def record_calls(bench, count):
    """A first, small wave, so that libcurl alone can send what the worker sends."""
    bench.start_sink("--record", bench.files / "calls", "--record-count", count)
    bench.set_webhooks("/warm")
    bench.create_waiting(count)
    bench.worker.start()
    bench.sink.wait_count("/warm", count)
    bench.wait_settled()
    bench.worker.stop()


def dispatch(bench):
    """A backlog of requests, each of which owes one call, and one worker."""
    count = bench.scaled(50000)
    record_calls(bench, bench.scaled(2000))
    bench.api.make_connection("warm", bench.sink.url("/fast"))  # another webhook would be owed the first wave too
    bench.create_waiting(count)
    alone = libcurl_alone(bench, count)
    began, used = time.time(), cpu_by_part(bench)
    bench.worker.start(wait=False)
    with profiled(bench, bench.worker):
        bench.sink.wait_count("/fast", count)
        bench.wait_settled()
    parts = {name: (seconds - used.get(name, 0)) * 1000 / count for name, seconds in cpu_by_part(bench).items()}
    total = sum(parts.values())
    settled = time.time()
    calls = bench.sink.stats("/fast")
    bench.worker.stop()
    alone += libcurl_alone(bench, count)
    first, last = calls["first_us"] / 1e6, calls["last_us"] / 1e6
    rates = [run["rate"] for run in alone]
    parts["libcurl_alone"] = statistics.median(run["cpu_seconds"] for run in alone) * 1000 / count
    yield ("dispatch", calls["count"] / (last - first), "webhooks/s", statistics.median(rates),
           {"webhooks": count, "from_worker_start": count / (last - began), "until_settled": count / (settled - began),
            "twice": calls["count"] - count, "ceilings": rates})
    yield "cpu", total, "CPU s per 1,000 webhooks", None, parts


def create(bench):
    """Single creates, then bulks; each beside the same load on GET /health. No worker runs."""
    port, seconds = bench.stack.api.port, bench.scaled(15)
    bench.start_sink()
    bench.set_webhooks("/fast")
    write_shots(bench.files / "health", [shot("GET", port, "/health")])
    write_shots(bench.files / "single", create_shots(port, 5000, 1))
    write_shots(bench.files / "bulk", create_shots(port, 500, BULK))
    created = 0
    for name, requests_a_call, connections in (("single", 1, 32), ("bulk", BULK, 8)):
        health = load(port, bench.files / "health", connections=connections, seconds=seconds / 3)
        with profiled(bench, bench.stack.api):
            answers = load(port, bench.files / name, connections=connections, seconds=seconds)
        if answers["failed"]:
            raise StackError(f"{name} creates failed: {answers}")
        created += answers["calls"] * requests_a_call
        yield (f"create_{name}", answers["rate"] * requests_a_call, "requests/s", health["rate"],
               {key: answers[key] for key in ("p50_ms", "p99_ms", "max_ms")} | {
                   "health_p99_ms": health["p99_ms"], "connections": connections})
    check_created(bench, created)


def check_created(bench, created):
    """What was answered is on the topic, every event of it, and nothing else is in the tables."""
    wait_until(lambda: not bench.one("select exists (select from request_outbox)"), 60, "an empty outbox")
    missing = {id for (id,) in bench.database.execute("select id from request_event where aggregatetype = 'lifecycle'")}
    stored, requests = len(missing), bench.one("select count(*) from privacy_request")
    missing.difference_update(id for _, _, id, _ in bench.events())
    if missing or requests != created:
        raise StackError(f"{created} creates were answered, {requests} requests are stored, and "
                         f"{len(missing)} of their {stored} events are not on the topic")


def reply_shots(bench):
    """The eligible reply to every recorded call; beside each the id of its request."""
    for headers, body in read_shots(bench.files / "calls"):
        yield body["privacy_request_id"], shot(
            "POST", bench.stack.callback.port, f"/api/v1{headers['reply-to-eligible']}", b"{}",
            f"Authorization: Bearer {headers['reply-to-token']}")


def callbacks(bench):
    """Replies to calls that were made: some at a moderate rate, for their latency, then as many as go."""
    port, steady, rate = bench.stack.callback.port, bench.scaled(5000), 500
    count = steady + bench.scaled(15000)
    bench.start_sink("--record", bench.files / "calls", "--record-count", count)
    bench.set_webhooks("/fast")
    bench.create_waiting(count)
    bench.stack.start(workers=1)
    bench.sink.wait_count("/fast", count)
    bench.wait_settled()
    ids, shots = zip(*reply_shots(bench))
    write_shots(bench.files / "steady", shots[:steady])
    write_shots(bench.files / "burst", shots[steady:])
    write_shots(bench.files / "health", [shot("GET", port, "/health")])
    times = bench.files / "times"
    answers = load(port, bench.files / "steady", connections=32, count=steady, rate=rate, times=times)
    wait_approved(bench, steady)
    health = load(port, bench.files / "health", connections=32, seconds=5)
    with profiled(bench, bench.stack.callback):
        burst = load(port, bench.files / "burst", connections=32, count=count - steady)
    wait_approved(bench, count)
    if answers["failed"] or burst["failed"]:
        raise StackError(f"replies failed: {answers}, {burst}")
    approved = {request: at for request, type, _, at in bench.events() if type == "docket.request.approved.v1"}
    took = [approved[ids[number]] - begun / 1000 for number, begun, _, _ in read_times(times)]
    yield ("callbacks", burst["rate"], "replies/s", health["rate"],
           {"replies": count - steady, "p50_ms": burst["p50_ms"], "p99_ms": burst["p99_ms"]})
    yield ("reply_to_approved_p99", percentile(took, 0.99), "ms", None,
           {"p50_ms": percentile(took, 0.5), "answer_p99_ms": answers["p99_ms"], "rate": rate})


def wait_approved(bench, count):
    sql = ("select count(*) from request_event where type = 'docket.request.approved.v1' and not exists "
           "(select from request_outbox)")
    wait_until(lambda: bench.one(sql) >= count, 120, lambda: f"{count} approved requests, there are {bench.one(sql)}",
               every=0.5)


def neighbour(bench):
    """A fast endpoint at a moderate rate: alone, beside one that takes 5 s, and alone again."""
    rate, count = 200, bench.scaled(4000)
    arrivals = bench.files / "arrivals"
    bench.start_sink("--delay-ms", 5000, "--arrivals", arrivals)
    write_shots(bench.files / "single", create_shots(bench.stack.api.port, count, 1))
    bench.worker.start()

    def waits(calls, *paths):
        bench.set_webhooks(*paths)
        answers = load(bench.stack.api.port, bench.files / "single", connections=16, count=calls, rate=rate)
        if answers["failed"]:
            raise StackError(f"creates failed: {answers}")
        bench.sink.wait_count(paths[0], calls)
        bench.deny_waiting()  # the next webhooks are none of theirs
        return arrival_waits(bench, arrivals, paths[0])

    waits(count // 10, "/warm")
    alone, beside = waits(count // 2, "/alone"), waits(count, "/beside", "/slow")
    alone += waits(count // 2, "/again")
    yield ("neighbour_p99", percentile(beside, 0.99), "ms", percentile(alone, 0.99),
           {"alone_p50_ms": percentile(alone, 0.5), "beside_p50_ms": percentile(beside, 0.5), "rate": rate,
            "slow_calls_begun": bench.sink.stats("/slow")["count"]})


def arrival_waits(bench, arrivals, path):
    """From a request's creation to its call's arrival, in ms, of all calls to a path."""
    created = dict(bench.database.execute("select id, extract(epoch from created_at) * 1000 from privacy_request"))
    lines = (line.split(",") for line in arrivals.read_text().splitlines())
    return [int(at) / 1000 - float(created[request]) for at, called, request in lines if called == path]


def memory(bench):
    """At rest, then with many calls that wait for an endpoint which takes 5 s."""
    count = bench.scaled(100000)
    bench.start_sink("--delay-ms", 5000)
    bench.stack.start(workers=1)
    time.sleep(2)
    rest = resident_by_program(bench)
    bench.set_webhooks("/slow")
    bench.worker.stop()
    bench.create_waiting(count)
    bench.worker.start()
    peak = {}
    for _ in range(40):
        time.sleep(0.5)
        peak = {name: max(peak.get(name, 0), used) for name, used in resident_by_program(bench).items()}
    for name, used in peak.items():
        yield f"memory_{name.removeprefix('docket-')}", used, "MiB", None, {"at_rest": rest[name], "waiting": count}


def resident_by_program(bench):
    return {program.binary_name: resident_mib(program.pid) for program in bench.stack.programs}


STEPS = {  # from one event of a whole request to the next
    "created_to_called": ("created", "webhook_sent"),
    "called_to_eligible": ("webhook_sent", "pre_approval_eligible"),
    "eligible_to_started": ("pre_approval_eligible", "started"),
    "started_to_complete": ("started", "completed"),
    "whole": ("created", "completed"),
}


def lifecycle(bench):
    """Whole requests with 1, 2 and 4 workers: as fast as they go, then at a moderate rate for their latency."""
    bench.stack.callback.start()
    bench.start_sink("--reply-port", bench.stack.callback.port)
    bench.set_webhooks("/approval")
    for when in ("pre", "post"):
        bench.api.make_connection(when, bench.sink.url(f"/{when}"))
        bench.api.set_policy_webhooks("default_erasure_policy", f"{when}_execution", (when, when, "two_way"))
    write_shots(bench.files / "single", create_shots(bench.stack.api.port, 5000, 1))
    bench.worker.start()
    whole_requests(bench, bench.scaled(500))
    workers = [bench.worker]
    for count in (1, 2, 4):
        while len(workers) < count:
            workers.append(bench.stack.add_worker().start())
        with profiled(bench, bench.worker):
            yield from lifecycle_figures(bench, workers, bench.scaled(10000))


def lifecycle_figures(bench, workers, count):
    label = f"lifecycle_{len(workers)}_worker{'s' if len(workers) > 1 else ''}"
    parts = {"api": [bench.stack.api], "callback": [bench.stack.callback], "worker": workers,
             "kafka": [bench.stack.kafka], "postgresql": [bench.stack.postgres], "redis": [bench.stack.redis],
             "sink": [bench.sink]}

    def used():
        return {name: sum(cpu_seconds(service.pid) for service in services) for name, services in parts.items()}

    before = used()
    took, _ = whole_requests(bench, count)
    cpu = {f"{name}_cpu_ms": (seconds - before[name]) * 1000 / count for name, seconds in used().items()}
    steady = max(BULK, count // 10)
    _, times = whole_requests(bench, steady, rate=100)
    yield label, count / took, "whole requests/s", None, {
        "requests": count, "cpu_s_per_request": sum(cpu.values()) / 1000 - cpu["sink_cpu_ms"] / 1000} | cpu | {
        f"{name}_p50_ms": percentile(steps, 0.5) for name, steps in times.items()} | {
        "whole_p99_ms": percentile(times["whole"], 0.99), "at_rate": 100}


def whole_requests(bench, count, rate=0):
    """Seconds from the first create to the last completion, and the steps' times in ms."""
    before = bench.one("select count(*) from privacy_request where status = 'complete'")
    began = time.time()
    paced = {"rate": rate} if rate else {}
    answers = load(bench.stack.api.port, bench.files / "single", connections=16, count=count, **paced)
    if answers["failed"]:
        raise StackError(f"creates failed: {answers}")
    sql = "select count(*) from privacy_request where status = 'complete'"
    wait_until(lambda: bench.one(sql) - before >= count, 300,
               lambda: f"{count} complete requests, there are {bench.one(sql) - before}", every=0.2)
    bench.wait_settled()
    ended = bench.one("select extract(epoch from max(finished_processing_at))::float8 from privacy_request")
    since = datetime.fromtimestamp(began, timezone.utc)
    times = {name: [1000 * value for (value,) in bench.database.execute(
        "select extract(epoch from b.time - a.time)::float8 from request_event a join request_event b using (request_id) "
        "join privacy_request p on p.id = a.request_id where a.type = %s and b.type = %s and p.created_at > %s",
        (f"docket.request.{a}.v1", f"docket.request.{b}.v1", since))] for name, (a, b) in STEPS.items()}
    return float(ended) - began, times


VISITS = """
create table visit (id bigint primary key, email text not null, page text not null, seconds integer not null,
                    seen_at timestamptz not null);
insert into visit select n, 'visitor@example.com', 'https://example.com/page/' || md5(n::text), n % 600,
                         '2026-01-01'::timestamptz + n * interval '1 second' from generate_series(1, {count}) n;
create index on visit (email);
analyze visit;
"""


def package(bench):
    """A person with a million rows: read, kept, packed and stored, beside COPY of the same rows."""
    count = bench.scaled(1000000)
    url = make_visits(bench, count)
    configure_visits(bench)
    bench.worker.start()
    create_package(bench, "nobody@example.com")
    wait_until(lambda: package_times(bench), 60, "a first package, without a row")
    rest = resident_mib(bench.worker.pid)
    ceilings, rates, peak = [], [], rest
    for _ in range(3):
        ceilings.append(copy_rate(url, count))
        before = len(package_times(bench))
        create_package(bench, "visitor@example.com")
        while len(package_times(bench)) == before:
            peak = max(peak, resident_mib(bench.worker.pid))
            time.sleep(0.05)
        rates.append(count / package_times(bench)[-1])
    size = bench.one("select max(bytes) from request_package")
    yield "package", statistics.median(rates), "rows/s", statistics.median(ceilings), {
        "rows": count, "package_mib": size / 2**20, "worker_rest_mib": rest, "worker_peak_mib": peak,
        "rates": rates, "ceilings": ceilings}


def make_visits(bench, count):
    name = f"{bench.stack.name}_visits"
    bench.stack.postgres.create_database(name)
    url = bench.stack.postgres.url(name)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(VISITS.format(count=count))
    return url


def copy_rate(url, count):
    """What the server and one connection can do: the rows as COPY writes them, thrown away by psql."""
    query = "copy (select id, email, page, seconds, seen_at from visit where email = 'visitor@example.com') to stdout"
    began = time.monotonic()
    subprocess.run(["psql", "-XqAt", url, "-c", query], stdout=subprocess.DEVNULL, check=True)
    return count / (time.monotonic() - began)


def configure_visits(bench):
    postgres, name = bench.stack.postgres, f"{bench.stack.name}_visits"
    fields = [{"name": "id", "data_categories": ["user.unique_id"], "fides_meta": {"primary_key": True}},
              {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}},
              *({"name": name, "data_categories": ["user.behavior"]} for name in ("page", "seconds", "seen_at"))]
    for path, body in (
            ("/config", {"execution": {"require_manual_request_approval": False}}),
            ("/connection", [{"key": "visits", "name": "visits", "connection_type": "postgres", "access": "read"}]),
            ("/connection/visits/dataset", [{"fides_key": "visits", "collections": [{"name": "visit", "fields": fields}]}]),
            ("/storage/config", [{"key": "files", "name": "files", "type": "local", "format": "json",
                                  "details": {"naming": "request_id"}}]),
            ("/dsr/policy", [{"key": "visits", "name": "visits"}]),
            ("/dsr/policy/visits/rule", [{"key": "visits_rule", "name": "visits", "action_type": "access",
                                          "storage_destination_key": "files"}]),
            ("/dsr/policy/visits/rule/visits_rule/target", [{"data_category": "user"}])):
        if path == "/connection/visits/dataset":
            must(bench.api.put("/connection/visits/secret", {
                "host": LOOPBACK, "port": postgres.port, "dbname": name, "username": postgres.ROLE,
                "password": postgres.password}))
        must(bench.api.patch(path, body))


def create_package(bench, email):
    return bench.api.create_request(email, "visits")["id"]


def package_times(bench):
    """Seconds from a request's start to its end, of all that have ended, in their order."""
    times = [(status, float(took)) for status, took in bench.database.execute(
        "select status, extract(epoch from finished_processing_at - started_processing_at) from privacy_request "
        "where finished_processing_at is not null order by finished_processing_at")]
    if any(status != "complete" for status, _ in times):
        raise StackError("a request with a package failed")
    return [took for _, took in times]


AUDIT_PARTITIONS = 12


def audit(bench):
    """A log of a million events with its checkpoints: kcat reads it, docketctl audit verify proves it."""
    requests, prefix = bench.scaled(100000), f"{bench.stack.name}_log"
    settings = {"DOCKET_TOPIC_PREFIX": prefix, "DOCKET_TOPIC_PARTITIONS": str(AUDIT_PARTITIONS)}
    bench.stack.docketctl_with(settings, "topics")
    made = tool("history", "--brokers", bench.stack.kafka.brokers, "--prefix", prefix, "--partitions",
                AUDIT_PARTITIONS, "--requests", requests, "--keys", bench.stack.environment()["DOCKET_CHECKPOINT_KEYS"])
    verify = [bench.stack.binary("docketctl"), "audit", "verify", "--topics-only"]
    environment = os.environ | bench.stack.environment() | settings
    kcat, proved = [], []
    for _ in range(3):
        kcat.append(timed(kcat_all(bench, f"{prefix}.lifecycle"), environment))
        proved.append(timed(verify, environment))
    if bench.options.profile:
        profile_audit(bench, verify, environment)
    rates, ceilings = ([made["events"] / run["seconds"] for run in runs] for runs in (proved, kcat))
    yield "audit", statistics.median(rates), "events/s", statistics.median(ceilings), made | {
        "peak_mib": max(run["peak_mib"] for run in proved), "rates": rates, "ceilings": ceilings,
        "cpu_s": min(run["cpu_s"] for run in proved), "kcat_cpu_s": min(run["cpu_s"] for run in kcat)}


def kcat_all(bench, topic):
    return ["kcat", "-C", "-q", "-e", "-o", "beginning", "-b", bench.stack.kafka.brokers, "-t", topic]


def timed(command, environment):
    """How long it takes, on the clock and on processors, and what it has resident at the most."""
    began = time.monotonic()
    process = subprocess.Popen(list(map(str, command)), env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise StackError(f"{command[0]} ended with {process.returncode}: {process.stderr.read().decode()[-500:]}")
    return {"seconds": time.monotonic() - began, "cpu_s": used.ru_utime + used.ru_stime,
            "peak_mib": used.ru_maxrss / 1024}


def profile_audit(bench, command, environment):
    record = RESULTS / f"{bench.name}.perf"
    subprocess.run(["perf", "record", "-q", "--call-graph", "dwarf,8192", "-F", "199", "-o", record,
                    *map(str, command)], env=environment, stdout=subprocess.DEVNULL, check=True)
    print_perf(record, "--no-children", "--sort", "comm,dso")
    print_perf(record, "--no-children", "--sort", "dso,symbol")
    print_perf(record, "--children", "--sort", "dso,symbol", only="docketctl")


FIGURES = {
    "dispatch": dispatch,
    "create": create,
    "callbacks": callbacks,
    "neighbour": neighbour,
    "memory": memory,
    "lifecycle": lifecycle,
    "package": package,
    "audit": audit,
}
ALSO_CALLED = {"cpu": "dispatch"}


# --- results -----------------------------------------------------------------------------------------------


def origin():
    """What a result is a result of."""
    def git(*arguments):
        return subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True, check=False).stdout

    changed = "+" if git("status", "--porcelain", "--untracked-files=no") else ""
    return {"revision": git("rev-parse", "--short", "HEAD").strip() + changed,
            "date": datetime.now(timezone.utc).isoformat(timespec="seconds"), "cores": os.cpu_count(),
            "load": round(os.getloadavg()[0], 1), "preset": PRESET}


def rounded(value):
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.4g}") if isinstance(value, float) and abs(value) < 1000 else \
        round(value) if isinstance(value, float) else value


def keep(figure, labels):
    """Prints the figure and appends its line to the results."""
    name, value, unit, ceiling, more = figure
    ratio = value / ceiling if ceiling else None
    line = {"name": name, "value": rounded(value), "unit": unit, "ceiling": rounded(ceiling),
            "ratio": rounded(ratio)} | {key: rounded(item) for key, item in more.items()} | labels
    with open(RESULTS / "results.jsonl", "a") as file:
        file.write(json.dumps(line) + "\n")
    shown = f"{line['ceiling']:>10} {ratio:>6.2f}" if ceiling else f"{'':>10} {'':>6}"
    details = ", ".join(f"{key} {line[key]}" for key in more)
    print(f"  {name:<22} {line['value']:>10} {shown}  {unit}\n  {'':<22} {details}", flush=True)


def run(names, options):
    labels = origin()
    directory = temporary_run("bench")
    servers = Servers(directory)
    RESULTS.mkdir(parents=True, exist_ok=True)
    try:
        servers.start()
        print(f"  {'figure':<22} {'value':>10} {'ceiling':>10} {'ratio':>6}  unit", flush=True)
        for name in names:
            with Bench(servers, name, options) as bench:
                for figure in FIGURES[name](bench):
                    keep(figure, labels)
    finally:
        servers.stop()
        servers.remove_data()
    remove_run(directory.path)


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*FIGURES, *ALSO_CALLED]))
    parser.add_argument("--profile", action="store_true", help="where the time goes: perf of the program, PostgreSQL's statements")
    parser.add_argument("--scale", type=float, default=1, help="as many requests and seconds, times this")
    options = parser.parse_args()
    names = [ALSO_CALLED.get(name, name) for name in options.names] or list(FIGURES)
    if unknown := [name for name in names if name not in FIGURES]:
        parser.error(f"no figure {unknown[0]}; there are {', '.join(FIGURES)}")
    run(dict.fromkeys(names), options)


if __name__ == "__main__":
    try:
        main()
    except StackError as error:
        sys.exit(f"./dev bench: {error}")
