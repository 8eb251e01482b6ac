"""What must hold whenever a test has ended: every call that is owed is accounted for, and no request waits on nobody."""

import contextlib
import json
import secrets

import psycopg

from stack import wait_until

# Of what has happened since the last look. An event's time is that of the program that made it.
FINDINGS = """
    select p.request_id, p.delivery_id, p.problem, r.status from ledger_findings(array(
        select id from privacy_request where updated_at >= %s and id <> all(%s)), '{}') p
    left join privacy_request r on r.id = p.request_id"""
DIFFERENT = """
    select distinct request_id from audit_problems(%s)
    union select distinct request_id from ledger_findings(%s, '{}')"""


class Ledger:
    def __init__(self, stack):
        self.stack = stack
        self.since = "-infinity"
        self.by_hand = set()  # requests that tests have changed otherwise than by events
        self.connection = None

    def connect(self):
        """The same connection for all tests, as each has to look; another one after the server was away."""
        with contextlib.suppress(psycopg.OperationalError):
            if self.connection:
                self.connection.execute("select")
                return self.connection
        self.connection = psycopg.connect(self.stack.postgres.url(self.stack.name), autocommit=True)
        return self.connection

    def move_on(self, connection):
        self.since = connection.execute("select now() - interval '5 seconds'").fetchone()[0]

    def is_by_hand(self, request_id):
        """Those with such an id were put into the tables by a test, and are mostly gone again."""
        return request_id in self.by_hand or (request_id or "").startswith("pri_test_")

    def request_ids(self):
        """All that there are rows of, or events."""
        return {request_id for request_id, in self.connect().execute("select i from audit_page('', 1000000) i")}

    def leave_out(self, ids):
        """What differs by now of these requests, of a test's own, was changed by hand."""
        connection = self.connect()
        self.by_hand |= {request_id for request_id, in connection.execute(DIFFERENT, (list(ids), list(ids)))}
        self.move_on(connection)

    def check(self):
        """What somebody may be at is over in a moment, once all programs run."""
        connection = self.connect()

        def findings():
            return connection.execute(FINDINGS, (self.since, list(self.by_hand))).fetchall()

        if findings():
            self.stack.start(len(self.stack.workers))
            wait_until(lambda: not findings(), 20, lambda: f"the ledger to balance: {findings()}", every=0.1)
        self.move_on(connection)

    @contextlib.contextmanager
    def empty_database(self):
        """The URL of one that is gone afterwards."""
        name = f"rebuilt_{secrets.token_hex(6)}"
        self.stack.postgres.query(f'create database "{name}"')
        try:
            yield self.stack.postgres.url(name)
        finally:
            self.stack.postgres.query(f'drop database "{name}" with (force)')

    def rebuild(self, into, *options, **settings):
        """What docketctl finds when it makes the tables anew from the topic, each line as a dict, and its exit code."""
        done = self.stack.docketctl_with(settings, "audit", "rebuild", "--into", into, "--json", *options, check=False,
                                         timeout=600)
        return [json.loads(line) for line in done.stdout.splitlines()], done.returncode

    def rebuild_problems(self):
        """Where the rebuilt tables are not what docket has, as texts; tests' own changes left out."""
        with self.empty_database() as into:
            lines, code = self.rebuild(into, "--compare")
        findings = [line for line in lines if line["kind"] not in ("table", "summary")
                    and not self.is_by_hand(line.get("request_id"))]
        if code not in (0, 1) or not lines or lines[-1]["kind"] != "summary":
            findings.append({"kind": "failed", "code": code})
        return [f"rebuilt from the topic: {line}" for line in findings]
