"""What others hold the schemas against: check-jsonschema for the events, @asyncapi/parser for the page of the bus."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from check_jsonschema.cli import main as check_jsonschema
from click.testing import CliRunner

from compatible import SCHEMAS, Contract

HERE = Path(__file__).resolve().parent
NODE_MODULES = HERE.parents[1] / ".run/node/tests/schemas/node_modules"
CONTRACT = Contract.read(SCHEMAS)


def checked(*arguments):
    """The output of check-jsonschema; None when it is content."""
    done = CliRunner().invoke(check_jsonschema, [str(argument) for argument in arguments])
    assert done.exit_code in (0, 1), done.output
    return done.output if done.exit_code else None


def asyncapi(page):
    done = subprocess.run(["node", HERE / "asyncapi.js", page], env=os.environ | {"NODE_PATH": str(NODE_MODULES)},
                          capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def weighty(diagnostics):
    """That there is a newer AsyncAPI is no fault of a page of this one."""
    return [found for found in diagnostics if found["code"] != "asyncapi-latest-version"]


# --- events --------------------------------------------------------------------------------------------------


def test_every_schema_is_one():
    assert checked("--check-metaschema", *sorted((SCHEMAS / "events").glob("*.json"))) is None


def test_a_schema_that_is_none_would_be_told(tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text(json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "thing"}))
    assert "thing" in checked("--check-metaschema", broken)


@pytest.mark.parametrize("name", CONTRACT.events)
def test_every_example_fits_its_schema(name, tmp_path):
    examples = CONTRACT.events[name]["examples"]
    for number, example in enumerate(examples):
        (tmp_path / f"{number}.json").write_text(json.dumps(example))
    assert examples and checked("--schemafile", SCHEMAS / f"events/{name}.json", *sorted(tmp_path.iterdir())) is None


def test_an_event_that_does_not_fit_would_be_told(tmp_path):
    name = "docket.request.webhook_failed.v1"
    for number, change in enumerate(({"attempt": 0}, {"next_attempt_at": "tomorrow"}, {"email": "x"}, {"outcome": None})):
        event = tmp_path / f"{number}.json"
        event.write_text(json.dumps(CONTRACT.events[name]["examples"][0] | change))
        assert next(iter(change)) in checked("--schemafile", SCHEMAS / f"events/{name}.json", event)


# --- the page ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    return asyncapi(SCHEMAS / "asyncapi.yaml")


def test_the_asyncapi_parser_has_nothing_to_say(page):
    assert not weighty(page["diagnostics"])


def test_it_finds_every_type(page):
    assert sorted(page["messages"]) == sorted(CONTRACT.events)


@pytest.mark.parametrize("old, new, code", [
    ("./events/docket.request.denied.v1.json", "./events/nowhere.json", "invalid-ref"),
    ("    address: ", "    adress: ", "asyncapi-document-resolved"),
    ("      request_denied:\n        $ref", "      request_denied:\n        $reff", "asyncapi"),
])
def test_a_page_that_is_none_would_be_told(tmp_path, old, new, code):
    shutil.copytree(SCHEMAS / "events", tmp_path / "events")
    text = (SCHEMAS / "asyncapi.yaml").read_text()
    assert old in text
    (tmp_path / "asyncapi.yaml").write_text(text.replace(old, new))
    found = asyncapi(tmp_path / "asyncapi.yaml")
    assert [told for told in found["diagnostics"] if told["severity"] == "error" and told["code"].startswith(code)]
