"""docketctl audit verify names what was done to a log whatever the log is like: wherever its checkpoints fall, whoever's
events lie beside, and whatever was honestly published twice.

DOCKET_TEST_SHAPES is of how many logs; each is tampered with in one way.
"""

import itertools
import os
import random

import pytest

from auditing import audit, findings_of, python_verify
from shaping import shaped
from tampering import write_log

SHAPES = int(os.environ.get("DOCKET_TEST_SHAPES", 24))


# --- which of a log's -------------------------------------------------------------------------------------


def once(log):
    """Requests each of whose events stands there once: of another a copy tells as much."""
    return [one for one in log.ids() if not log.repeats(one)]


def not_last(log):
    """Those of them behind which others lie in their partition."""
    tails = {records[-1].id for records in log.topics["lifecycle"].values() if records}
    return [one for one in once(log) if one not in tails]


def has_some(log):
    return len(once(log)) >= 2 and not_last(log)


# --- what is done to it: each returns the one finding that there is to be ---------------------------------------


def nothing(log, rng):
    return None


def changed(log, rng):
    record = rng.choice(log.events(rng.choice(once(log))))
    record.change()
    return {"finding": "changed", "request": record.id, "sequence": record.seq}


def changed_to_the_end(log, rng):
    events = log.events(rng.choice(once(log)))
    first = rng.randrange(len(events))
    events[first].change()
    for record in events[first:]:
        record.chain_after(log.chain_before(record))
    return {"finding": "changed", "request": events[0].id}


def removed(log, rng):
    record = rng.choice(log.events(rng.choice(once(log))))
    log.remove(record)
    return {"finding": "removed", "request": record.id, "sequence": record.seq}


def request_removed(log, rng):
    id = rng.choice(once(log))
    for record in log.events(id):
        log.remove(record)
    return {"finding": "request_removed", "request": id}


def doubled(log, rng):
    events = log.events(rng.choice(once(log)))
    record = rng.choice(events[:-2])
    log.insert_after(events[-2], record.copy())
    return {"finding": "doubled", "request": record.id, "sequence": record.seq}


def reordered(log, rng):
    places = log.places(rng.choice(once(log)))
    at = rng.randrange(len(places) - 1)
    (records, one), (_, other) = places[at], places[at + 1]
    records[one], records[other] = records[other], records[one]
    return {"finding": "reordered", "request": records[one].id}


def moved_to_the_end(log, rng):
    record = log.events(rng.choice(not_last(log)))[-1]
    records = next(one for one in log.topics["lifecycle"].values() if any(each is record for each in one))
    log.remove(record)
    records.append(record)
    return {"finding": "reordered"}  # where it is the same window's end, no request's order has changed


def inserted_at_the_end(log, rng):
    more = log.forge_next(rng.choice(not_last(log)))
    return {"finding": "inserted", "request": more.id, "sequence": more.seq}


def inserted_beside(log, rng):
    """A second event with a number that is taken, before or behind the one that was recorded."""
    events = log.events(rng.choice(once(log)))
    at = rng.randrange(1, len(events) - 1)
    other = events[at].copy()
    other.change()
    other.chain_after(log.chain_before(events[at]))
    log.insert_after(events[at - rng.randrange(2)], other)
    return {"finding": "inserted", "request": other.id, "sequence": other.seq}


def request_inserted(log, rng):
    return {"finding": "inserted", "request": log.forge_request(rng.choice(once(log))), "sequence": 1, "until": 2}


def header_changed(log, rng):
    record = rng.choice(log.events(rng.choice(once(log))))
    seq, header = record.seq, rng.choice(["ce_subject", "ce_sequence", "ce_dataschema", "ce_specversion", "ce_chain"])
    record.set(header, {"ce_subject": "pri_somebody", "ce_sequence": f"{7777:020}",
                        "ce_chain": "00" * 32}.get(header, "docket:none"))
    return {"finding": "header", "request": record.id, "sequence": seq, "field": header}


EDITS = [nothing, changed, changed_to_the_end, removed, request_removed, doubled, reordered, moved_to_the_end,
         inserted_at_the_end, inserted_beside, request_inserted, header_changed]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_it_is_named_in_every_shape(stack, edit):
    for seed in range(max(SHAPES // len(EDITS), 1)):
        rng = random.Random(f"{edit.__name__} {seed}")
        log, key = next(filter(lambda made: has_some(made[0]), map(shaped, itertools.repeat(rng))))
        wanted = edit(log, rng)
        prefix = write_log(stack, log)
        done = audit(stack, "verify", "--topics-only", "--json", "--public-key", key, prefix=prefix)
        findings = findings_of(done)
        told = f"seed {seed}, {prefix}: wanted {wanted}, found {findings} {done.stderr}"
        assert done.returncode == (1 if wanted else 0), told
        assert len(findings) <= (2 if edit is reordered else 1), told  # each of two that stand apart may be told
        assert all(one.items() >= wanted.items() for one in findings), told
        script = python_verify(stack, prefix=prefix, keys=[key])
        assert script.returncode == done.returncode, f"{told}\n{script.stdout}"
