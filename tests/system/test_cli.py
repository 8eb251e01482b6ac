"""What each program says for itself, and what the operator's tool does when called twice."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from stack import own_environment
from utils import ROOT

PROGRAMS = ["docket-api", "docket-callback", "docket-worker", "docketctl"]
VERB = {"docketctl": ["migrate"]}  # a verb that needs the settings
TABLE = ROOT / "common/config.tbl.h"


def run(stack, program, *arguments, settings=True, **variables):
    """The program with the stack's settings and these over them; None takes one away."""
    environment = own_environment() | (stack.environment() if settings else {}) | stack.sanitizer_options()
    for name, value in variables.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return subprocess.run([stack.binary(program), *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=60, check=False)


def settings_of(letter):
    pattern = re.compile(r'CONFIG\(\w+,\s*"(\w+)",.*?"(\w+)", "')
    return [name for name, programs in pattern.findall(TABLE.read_text()) if letter in programs]


@pytest.mark.parametrize("program, letter", list(zip(PROGRAMS, "acwk")))
def test_help_names_every_setting_and_needs_none(stack, program, letter):
    done = run(stack, program, "--help", settings=False)
    assert done.returncode == 0, done.stderr
    assert program in done.stdout
    missing = [name for name in settings_of(letter) if name not in done.stdout]
    assert len(settings_of(letter)) > 5 and not missing


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_is_one_line_and_needs_no_settings(stack, program):
    done = run(stack, program, "--version", settings=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(rf"{program} \d+\.\d+\S*\n", done.stdout)


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_option_is_refused(stack, program):
    done = run(stack, program, "--no-such-option")
    assert done.returncode not in (0, None) and "--no-such-option" in done.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_an_unknown_setting_in_the_file_is_named(stack, tmp_path, program):
    file = tmp_path / "docket.conf"
    file.write_text("# ours\nDOCKET_TOPIC_PREFX=typo\n")
    done = run(stack, program, "--config", str(file), *VERB.get(program, []))
    assert done.returncode != 0
    assert f"{file}, line 2: there is no setting DOCKET_TOPIC_PREFX" in done.stderr


@pytest.mark.parametrize("program, name, value, allowed", [
    ("docket-api", "DOCKET_HTTP_THREADS", "0", "1"),
    ("docket-api", "DOCKET_APP_ENCRYPTION_KEY", "short", "32"),
    ("docket-callback", "DOCKET_HTTP_TIMEOUT", "11m", "10m"),
    ("docket-worker", "DOCKET_WEBHOOK_TIMEOUT", "never", "10m"),
    ("docket-worker", "DOCKET_WEBHOOK_RETRY_SCHEDULE", "5s,,5m", "none"),
    ("docketctl", "DOCKET_TOPIC_PARTITIONS", "10001", "10000"),
])
def test_a_value_out_of_bounds_is_named_with_what_is_allowed(stack, program, name, value, allowed):
    done = run(stack, program, *VERB.get(program, []), **{name: value})
    assert done.returncode != 0
    assert name in done.stderr and allowed in done.stderr
    if name == "DOCKET_APP_ENCRYPTION_KEY":
        assert "short" not in done.stderr, "a secret is not shown"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_missing_setting_is_named(stack, program):
    done = run(stack, program, *VERB.get(program, []), DOCKET_POSTGRES_URL=None)
    assert done.returncode != 0 and "DOCKET_POSTGRES_URL is required" in done.stderr


def test_a_setting_may_stand_in_a_file_of_its_own(stack, tmp_path):
    secret = tmp_path / "url"
    secret.write_text(stack.environment()["DOCKET_POSTGRES_URL"] + "\n")
    done = run(stack, "docketctl", "migrate", DOCKET_POSTGRES_URL=None, DOCKET_POSTGRES_URL_FILE=str(secret))
    assert done.returncode == 0, done.stderr


def test_an_unknown_verb_is_refused(stack):
    for arguments in (["no-such-verb"], []):
        done = run(stack, "docketctl", *arguments)
        assert done.returncode == 2 and "docketctl --help" in done.stderr


# --- docketctl ---------------------------------------------------------------------------------------------


@pytest.fixture
def empty_database(stack):
    name = f"{stack.name}_cli"
    stack.postgres.query(f'drop database if exists "{name}"')
    stack.postgres.query(f'create database "{name}"')
    yield {"DOCKET_POSTGRES_URL": stack.postgres.url(name)}
    stack.postgres.query(f'drop database "{name}" with (force)')


def test_migrating_twice_does_nothing_the_second_time(stack, empty_database):
    first = run(stack, "docketctl", "migrate", **empty_database)
    second = run(stack, "docketctl", "migrate", **empty_database)
    said = [re.fullmatch(r"schema version (\d+), (\d+) applied now\n", done.stdout) for done in (first, second)]
    assert all(said), (first, second)
    (version, applied), (same_version, none) = (match.groups() for match in said)
    assert version == applied == same_version and none == "0"
    assert int(version) == len(list((ROOT / "schemas/sql").glob("[0-9]*.sql")))


def test_migrating_from_several_places_at_once_is_done_once(stack, empty_database):
    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(lambda _: run(stack, "docketctl", "migrate", **empty_database), range(4)))
    assert [process.returncode for process in done] == [0] * 4, [process.stderr for process in done]
    said = [re.fullmatch(r"schema version (\d+), (\d+) applied now\n", process.stdout).groups() for process in done]
    versions = {int(version) for version, _ in said}
    assert versions == {sum(int(applied) for _, applied in said)}, "each migration is applied by one of them"


def test_migrating_without_a_database_says_so(stack):
    done = run(stack, "docketctl", "migrate", DOCKET_POSTGRES_URL="postgresql://nobody@127.0.0.1:1/none")
    assert done.returncode == 1 and done.stderr.startswith("docketctl: ")


def test_topics_are_made_once(stack):
    prefix = {"DOCKET_TOPIC_PREFIX": f"{stack.name}_cli", "DOCKET_TOPIC_PARTITIONS": "2"}
    first = run(stack, "docketctl", "topics", **prefix)
    second = run(stack, "docketctl", "topics", **prefix)
    assert (first.returncode, second.returncode) == (0, 0), (first.stderr, second.stderr)
    expected = {"lifecycle": 2, "callbacks": 2, "dead": 1, "checkpoints": 1, "configuration": 1}
    for done, word in ((first, "created"), (second, "exists")):
        for topic, partitions in expected.items():
            assert re.search(rf"^{prefix['DOCKET_TOPIC_PREFIX']}\.{topic} +{partitions} partitions? +{word}$",
                             done.stdout, re.MULTILINE), done.stdout


def test_topics_that_are_there_stay_as_they_are(stack):
    prefix = {"DOCKET_TOPIC_PREFIX": f"{stack.name}_cli2"}
    run(stack, "docketctl", "topics", **prefix, DOCKET_TOPIC_PARTITIONS="3")
    done = run(stack, "docketctl", "topics", **prefix, DOCKET_TOPIC_PARTITIONS="5")
    assert re.search(r"lifecycle +3 partitions +exists", done.stdout)


def test_fresh_keys_are_settings_that_work(stack, tmp_path):
    done = run(stack, "docketctl", "keys", "new", settings=False)
    assert done.returncode == 0, done.stderr
    keys = dict(line.split("=", 1) for line in done.stdout.splitlines() if line and not line.startswith("#"))
    assert {"DOCKET_APP_ENCRYPTION_KEY", "DOCKET_SEALING_KEYS", "DOCKET_IDENTITY_HASH_KEY"} <= set(keys)
    assert run(stack, "docketctl", "migrate", **keys).returncode == 0
    assert dict(line.split("=", 1) for line in run(stack, "docketctl", "keys", "new", settings=False)
                .stdout.splitlines() if "=" in line and not line.startswith("#")) != keys


def test_the_page_of_settings_is_the_one_in_docs(stack):
    done = run(stack, "docketctl", "config", "--markdown", settings=False)
    assert done.stdout == (ROOT / "docs/configuration.md").read_text()
