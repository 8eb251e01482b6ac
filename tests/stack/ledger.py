"""What must hold whenever a test has ended: every call that is owed is accounted for, and no request waits on nobody."""

import psycopg

from stack import wait_until

# Of what has happened since the last look. An event's time is that of the program that made it.
FINDINGS = """
    select p.request_id, p.delivery_id, p.problem, r.status from ledger_findings(array(
        select id from privacy_request where updated_at >= %s and id <> all(%s)), '{}') p
    left join privacy_request r on r.id = p.request_id"""
DIFFERENT = """
    select distinct request_id from audit_problems(array(select i from audit_page('', 1000000) i))
    union select distinct request_id from ledger_findings(array(select i from audit_page('', 1000000) i), '{}')"""


class Ledger:
    def __init__(self, stack):
        self.stack = stack
        self.since = "-infinity"
        self.by_hand = set()  # requests that tests have changed otherwise than by events

    def connect(self):
        return psycopg.connect(self.stack.postgres.url(self.stack.name), autocommit=True)

    def move_on(self, connection):
        self.since = connection.execute("select now() - interval '5 seconds'").fetchone()[0]

    def leave_out(self):
        """What differs by now was changed by hand."""
        with self.connect() as connection:
            self.by_hand |= {request_id for request_id, in connection.execute(DIFFERENT)}
            self.move_on(connection)

    def check(self):
        """What somebody may be at is over in a moment, once all programs run."""
        with self.connect() as connection:
            def findings():
                return connection.execute(FINDINGS, (self.since, list(self.by_hand))).fetchall()

            if findings():
                self.stack.start(len(self.stack.workers))
                wait_until(lambda: not findings(), 20, lambda: f"the ledger to balance: {findings()}", every=0.1)
            self.move_on(connection)
