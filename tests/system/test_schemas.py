"""The bus contract against itself: schemas, their examples, the list of types, the pages that name them."""

import json
import re

import pytest
from jsonschema import Draft202012Validator

from utils import ROOT

EVENTS = ROOT / "schemas/events"
SCHEMAS = {path.stem: json.loads(path.read_text()) for path in sorted(EVENTS.glob("*.json"))}


def types_in(path, pattern):
    return re.findall(pattern, (ROOT / path).read_text())


def all_types():
    return (types_in("common/event.tbl.h", r'(?m)^EVENT\(\w+,\s*"([^"]+)"\)')
            + types_in("common/event.c", r'\[EVENT_(?!UNKNOWN)\w+\] = "([^"]+)"'))


def test_each_type_has_a_schema_and_each_schema_a_type():
    assert sorted(all_types()) == sorted(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_one(name):
    schema = SCHEMAS[name]
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"docket:events/{name}.json"
    assert re.fullmatch(r"docket(\.[a-z_]+)+\.v[0-9]+", name)
    assert schema["additionalProperties"] is False
    if name.startswith(("docket.request.", "docket.reply.")):
        assert "request_id" in schema["required"]
    assert set(schema["required"]) <= set(schema["properties"])


@pytest.mark.parametrize("name", SCHEMAS)
def test_its_examples_fit_and_nothing_more_or_less_does(name):
    validator = Draft202012Validator(SCHEMAS[name], format_checker=Draft202012Validator.FORMAT_CHECKER)
    examples = SCHEMAS[name]["examples"]
    assert examples
    for example in examples:
        validator.validate(example)
        assert not validator.is_valid(example | {"email": "x"})
        for member in SCHEMAS[name]["required"]:
            assert not validator.is_valid({key: value for key, value in example.items() if key != member})


def test_a_status_is_said_by_the_events_that_set_one():
    """README.md's table and the schemas agree on it."""
    rows = re.findall(r"(?m)^\| `(docket\.request\.\w+\.v1)` \| .* \| (?:`(\w+)`)? ?\|$",
                      (ROOT / "schemas/README.md").read_text())
    told = {name: status or None for name, status in rows}
    meant = {name: schema["properties"].get("status", {}).get("const")
             for name, schema in SCHEMAS.items() if name.startswith("docket.request.")}
    assert told == meant


def test_the_asyncapi_page_names_every_schema():
    assert sorted(types_in("schemas/asyncapi.yaml", r'"\./events/([\w.]+)\.json"')) == sorted(SCHEMAS)
    assert sorted(types_in("schemas/asyncapi.yaml", r"(?m)^      name: (docket[\w.]+)$")) == sorted(SCHEMAS)


def test_the_reasons_for_a_dead_letter_are_those_that_are_told():
    reasons = types_in("common/dead.tbl.h", r'(?m)^DEAD\(\w+,\s*"(\w+)"')
    page = (ROOT / "schemas/README.md").read_text().partition("| reason | |")[2].partition("\n\n")[0]
    assert re.findall(r"(?m)^\| `(\w+)` \|", page) == reasons
    told = (ROOT / "docs/operation.md").read_text().partition("## Dead letters")[2].partition("\n## ")[0]
    assert all(reason in told or reason.startswith("bad_") for reason in reasons)


def test_what_stands_on_the_dead_topic_is_told_to_machines_too():
    page = (ROOT / "schemas/asyncapi.yaml").read_text()
    headers = types_in("common/dead.c", r'#define HEADER_\w+ "(docket_dead_\w+)"')
    assert sorted(headers) == sorted(set(re.findall(r"(?m)^        (docket_dead_\w+):", page)))


def test_structured_mode_has_a_schema_whose_example_fits():
    schema = json.loads((ROOT / "schemas/structured.json").read_text())
    Draft202012Validator.check_schema(schema)
    for example in schema["examples"]:
        Draft202012Validator(schema).validate(example)
        Draft202012Validator(SCHEMAS[example["type"]]).validate(example["data"])
