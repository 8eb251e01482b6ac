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
