"""An update that breaks who reads the bus is refused, by name; one that adds is not. Then ours, against the last release."""

import copy
import json
import shutil

import pytest

import compatible
from compatible import RELEASED, SCHEMAS, Contract, contract_breaks, last_release, schema_breaks

EVENT = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "$id": "docket:events/docket.request.tried.v1.json",
    "title": "Something was tried",
    "type": "object",
    "properties": {
        "request_id": {"description": "Which.", "type": "string", "minLength": 1, "maxLength": 63},
        "status": {"const": "complete"},
        "kind": {"description": "When: before or after.", "enum": ["pre", "post", None]},
        "outcome": {"description": "What came of it; others may follow.", "enum": ["done", "failed"]},
        "attempt": {"type": "integer", "minimum": 1},
        "due": {"anyOf": [{"type": "string", "pattern": "^[0-9]+Z$"}, {"type": "null"}]},
        "name": {"type": "string", "pattern": "^[a-z]+$"},
        "name_id": {"type": "string"},
        "fields": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"path": {"type": "string"}, "categories": {"type": "array", "items": {"type": "string"}}},
                "required": ["path"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["request_id", "status", "kind"],
    "dependentRequired": {"name": ["name_id"]},
    "additionalProperties": False,
}

FIELD = ("properties", "fields", "items")
MEMBER = "properties"
ABSENT = object()

# A change of one place, by what it is now: the breaks of it, as (member, kind).
BROKEN = {
    "a member is removed": ((MEMBER, "attempt"), ABSENT, [("attempt", "member_removed")]),
    "a nested member is removed": ((*FIELD, MEMBER, "categories"), ABSENT, [("fields.*.categories", "member_removed")]),
    "a member need not be there": (("required",), ["request_id", "status"], [("kind", "member_optional")]),
    "no member need be there": (("required",), ABSENT,
                                [(name, "member_optional") for name in ("kind", "request_id", "status")]),
    "a nested member need not be there": ((*FIELD, "required"), [], [("fields.*.path", "member_optional")]),
    "what came together comes apart": (("dependentRequired",), ABSENT, [("name_id", "member_optional")]),
    "another type": ((MEMBER, "attempt", "type"), "string", [("attempt", "changed")]),
    "one more type": ((MEMBER, "attempt", "type"), ["integer", "null"], [("attempt", "changed")]),
    "any type": ((MEMBER, "attempt", "type"), ABSENT, [("attempt", "changed")]),
    "other items": ((*FIELD, MEMBER, "categories", "items", "type"), "integer", [("fields.*.categories.*", "changed")]),
    "items of any kind": ((*FIELD[:-1], "items"), ABSENT, [("fields", "changed")]),
    "another const": ((MEMBER, "status", "const"), "done", [("status", "words_removed"), ("status", "words_added")]),
    "a const becomes a list": ((MEMBER, "status"), {"enum": ["complete", "done"]}, [("status", "words_added")]),
    "a const becomes anything": ((MEMBER, "status"), {}, [("status", "changed")]),
    "a word is removed": ((MEMBER, "kind", "enum"), ["pre", None], [("kind", "words_removed")]),
    "null is removed": ((MEMBER, "kind", "enum"), ["pre", "post"], [("kind", "words_removed")]),
    "a word is removed of an open list": ((MEMBER, "outcome", "enum"), ["done"], [("outcome", "words_removed")]),
    "a word is added to a closed list": ((MEMBER, "kind", "enum"), ["pre", "post", "amid", None], [("kind", "words_added")]),
    "a list is opened as it grows": ((MEMBER, "kind"), {"description": "others may follow", "enum": ["pre", "post", "x", None]},
                                     [("kind", "words_added")]),
    "a list becomes any text": ((MEMBER, "kind"), {"type": "string"}, [("kind", "changed"), ("kind", "changed")]),
    "a pattern is widened": ((MEMBER, "name", "pattern"), "^[a-z0-9]+$", [("name", "changed")]),
    "a pattern is narrowed": ((MEMBER, "name", "pattern"), "^[a-f]+$", [("name", "changed")]),
    "a pattern is dropped": ((MEMBER, "name", "pattern"), ABSENT, [("name", "changed")]),
    "a bound is widened": ((MEMBER, "request_id", "maxLength"), 64, [("request_id", "changed")]),
    "a bound is narrowed": ((MEMBER, "attempt", "minimum"), 2, [("attempt", "changed")]),
    "one alternative more": ((MEMBER, "due", "anyOf"), [*EVENT[MEMBER]["due"]["anyOf"], {"type": "integer"}],
                             [("due", "changed")]),
    "one alternative less": ((MEMBER, "due", "anyOf"), EVENT[MEMBER]["due"]["anyOf"][:1], [("due", "changed")]),
    "another alternative": ((MEMBER, "due", "anyOf", 0, "pattern"), ".*", [("due", "changed")]),
    "members without a name": (("additionalProperties",), ABSENT, [("", "changed")]),
    "nested members without a name": ((*FIELD, "additionalProperties"), {"type": "string"}, [("fields.*", "changed")]),
    "another id": (("$id",), "docket:events/other.json", [("", "changed")]),
    "a keyword that nobody knows here": ((MEMBER, "attempt", "not"), {"const": 7}, [("attempt", "changed")]),
    "a schema that allows anything": ((MEMBER, "attempt"), True, [("attempt", "changed")]),
}

ALLOWED = {
    "nothing": ((), None),
    "a member is added": ((MEMBER, "since"), {"type": "string"}),
    "a nested member is added": ((*FIELD, MEMBER, "since"), {"type": "string"}),
    "a member is always there": (("required",), ["request_id", "status", "kind", "attempt"]),
    "what is added is always there": (("required",), ["request_id", "status", "kind", "since"]),
    "a word is added to an open list": ((MEMBER, "outcome", "enum"), ["done", "failed", "late"]),
    "words in another order": ((MEMBER, "kind", "enum"), ["post", None, "pre"]),
    "a const becomes a list of it": ((MEMBER, "status"), {"enum": ["complete"]}),
    "members come together": (("dependentRequired",), {"name": ["name_id"], "name_id": ["name"]}),
    "other words for people": (("title",), "Tried"),
    "a list is opened": ((MEMBER, "kind", "description"), "When; others may follow."),
    "examples": (("examples",), [{}]),
}


def changed(schema, path, value):
    schema = copy.deepcopy(schema)
    if not path:
        return schema
    at = schema
    for part in path[:-1]:
        at = at[part]
    if value is ABSENT:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return schema


@pytest.mark.parametrize("what", BROKEN)
def test_a_break_is_named(what):
    path, value, expected = BROKEN[what]
    breaks = schema_breaks("tried", EVENT, changed(EVENT, path, value))
    assert sorted((found.member, found.kind) for found in breaks) == sorted(expected), list(map(str, breaks))
    assert all(str(found).startswith("tried") for found in breaks)


@pytest.mark.parametrize("what", ALLOWED)
def test_an_addition_is_none(what):
    assert not schema_breaks("tried", EVENT, changed(EVENT, *ALLOWED[what]))


def test_what_is_told_of_a_break_says_how_it_was_and_is():
    breaks = schema_breaks("tried", EVENT, changed(EVENT, (MEMBER, "request_id", "maxLength"), 64))
    assert [str(found) for found in breaks] == ["tried: request_id: changed: maxLength was 63 and is 64"]
    breaks = schema_breaks("tried", EVENT, changed(EVENT, (MEMBER, "kind", "enum"), ["pre", "post", "amid", None]))
    assert [str(found) for found in breaks] == [
        'tried: kind: words_added: "amid"; it did not say that others may follow']


# --- whole contracts -----------------------------------------------------------------------------------------


@pytest.fixture
def contract(tmp_path):
    """A copy of ours to change: its folder."""
    folder = tmp_path / "schemas"
    folder.mkdir()
    shutil.copytree(SCHEMAS / "events", folder / "events")
    shutil.copy(SCHEMAS / "asyncapi.yaml", folder)
    return folder


def breaks_of(folder):
    return [(found.subject, found.member, found.kind) for found in contract_breaks(Contract.read(SCHEMAS),
                                                                                   Contract.read(folder))]


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new))


def test_the_same_contract_breaks_nothing(contract):
    assert not breaks_of(contract)


def test_a_type_that_is_gone_is_named(contract):
    (contract / "events/docket.request.denied.v1.json").unlink()
    assert ("docket.request.denied.v1", "", "type_removed") in breaks_of(contract)


def test_a_type_that_no_channel_has_any_more_is_gone(contract):
    edit(contract / "asyncapi.yaml", '      request_denied:\n        $ref: "#/components/messages/request_denied"\n', "")
    assert breaks_of(contract) == [("docket.request.denied.v1", "", "type_removed")]


def test_a_type_that_is_added_breaks_nothing(contract):
    schema = json.loads((contract / "events/docket.request.denied.v1.json").read_text())
    (contract / "events/docket.request.doubted.v1.json").write_text(
        json.dumps(schema | {"$id": "docket:events/docket.request.doubted.v1.json"}))
    assert not breaks_of(contract)


def test_a_channel_at_another_address_is_named_for_each_of_its_types(contract):
    edit(contract / "asyncapi.yaml", '"{prefix}.callbacks"', '"{prefix}.replies"')
    assert breaks_of(contract) == [(f"docket.reply.{word}.v1", "", "moved") for word in ("eligible", "not_eligible")]


@pytest.mark.parametrize("old, new, member, kind", [
    ("required: [ce_sequence, ce_chain]", "required: [ce_sequence]", "ce_chain", "member_optional"),
    ('ce_sequence: {type: string, pattern: "^[0-9]{20}$"}', "ce_sequence: {type: integer}", "ce_sequence", "changed"),
    ("        ce_subject: {type: string}\n", "", "ce_subject", "member_removed"),
    ('const: "1.0"', 'const: "1.1"', "ce_specversion", "words_added"),
])
def test_a_header_is_held_like_a_member(contract, old, new, member, kind):
    edit(contract / "asyncapi.yaml", old, new)
    assert ("headers of docket.request.denied.v1", member, kind) in breaks_of(contract)


def test_the_last_release_is_the_newest_of_the_same_major_version(tmp_path):
    for version in ("0.9.0", "0.10.0", "1.0.0", "1.2.0"):
        (tmp_path / version).mkdir()
    found = {version: last_release(version, tmp_path) for version in ("0.8.0", "0.10.0", "0.11.3", "1.1.9", "2.0.0")}
    assert {version: path and path.name for version, path in found.items()} == {
        "0.8.0": None, "0.10.0": "0.10.0", "0.11.3": "0.10.0", "1.1.9": "1.0.0", "2.0.0": None}


def test_a_release_is_kept_once_and_held_against(contract, tmp_path):
    released = tmp_path / "released"
    released.mkdir()
    kept = compatible.release(contract, released)
    assert Contract.read(kept) == Contract.read(contract)
    with pytest.raises(FileExistsError):
        compatible.release(contract, released)
    assert not compatible.check(contract, released)
    edit(contract / "events/docket.request.failed.v1.json", '"status", "step", "message"', '"status", "step"')
    assert [str(found) for found in compatible.check(contract, released)] == [
        "docket.request.failed.v1: message: member_optional: it was in every event"]


def test_there_is_a_release_to_hold_ours_against():
    assert last_release(Contract.read(SCHEMAS).version)


def test_nothing_that_was_released_is_broken():
    assert not (breaks := compatible.check()), "\n".join(map(str, breaks))


@pytest.mark.parametrize("path", sorted(RELEASED.iterdir()), ids=lambda path: path.name)
def test_a_release_is_a_whole_contract_of_its_version(path):
    contract = Contract.read(path)
    assert contract.version == path.name
    assert sorted(contract.events) == sorted(contract.told())
