"""docker-compose.yml says what the programs read, and nothing that they do not know."""

import os
import re
import shutil
import subprocess
from functools import cache

import pytest

from utils import ROOT

COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETTING = re.compile(r'^CONFIG\(\w+,\s*"(?P<name>\w+)",\s*\w+,\s*(?P<default>NULL|".*?"),.*?"(?P<programs>[acwkK]+)",'
                     r'\s*"[^"]*"\)$', re.MULTILINE)
IMAGE = re.compile(r"^    image: (\S+)$", re.MULTILINE)


def settings():
    """Name -> (is it required, the letters of the programs that read it), from common/config.tbl.h."""
    found = {match["name"]: (match["default"] == "NULL", match["programs"])
             for match in SETTING.finditer((ROOT / "common/config.tbl.h").read_text())}
    assert len(found) > 20
    return found


def given():
    """The names of docket's variables that the file or the image sets."""
    return set(re.findall(r"^ +(DOCKET_\w+):", COMPOSE, re.MULTILINE)) | set(re.findall(r"(DOCKET_\w+)=", DOCKERFILE))


def interpolated():
    return set(re.findall(r"\$\{(\w+)", COMPOSE))


def test_every_variable_is_one_that_docket_reads():
    assert given() <= settings().keys()


def test_what_is_required_is_set():
    required = {name for name, (is_required, _) in settings().items() if is_required}
    assert required <= given()


def test_what_is_asked_for_is_in_the_example():
    example = (ROOT / ".env.example").read_text()
    assert interpolated() == set(re.findall(r"^(\w+)=", example, re.MULTILINE))


def test_no_secret_is_in_the_file():
    """Each is taken from the environment, which refuses to be without it."""
    for name in ("POSTGRES_PASSWORD", "DOCKET_SEALING_KEYS", "DOCKET_IDENTITY_HASH_KEY", "DOCKET_APP_ENCRYPTION_KEY",
                 "DOCKET_ROOT_CLIENT_SECRET"):
        values = re.findall(rf"^ +{name}: (.+)$", COMPOSE, re.MULTILINE)
        assert values and all(value.startswith(f"${{{name}:?") for value in values)


def test_images_have_a_version():
    images = IMAGE.findall(COMPOSE)
    assert len(images) == 3
    for image in images:
        assert re.fullmatch(r"[\w/]+:\d[\w.-]*", image), image


def test_kafka_is_the_version_that_is_tested():
    jars = (ROOT / "tests/stack/kafka/SHA256SUMS").read_text()
    tested = re.search(r"kafka_2\.13-([\d.]+)\.jar", jars)[1]
    assert f"apache/kafka:{tested}" in IMAGE.findall(COMPOSE)


def test_the_image_builds_on_what_dev_installs():
    """A library that somebody adds is added to the image too."""
    packages = re.search(r"^PACKAGES=\((.*?)^\)", (ROOT / "dev").read_text(), re.MULTILINE | re.DOTALL)[1].split()
    libraries = {name for name in packages if name.endswith("-dev")} - {"libcmocka-dev"}
    assert libraries <= set(DOCKERFILE.split())


# --- with a client of Docker: the file as Docker understands it -------------------------------------------


@cache
def client():
    """The command of Compose, the plugin or the older program; None where there is neither."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and subprocess.run([*command, "version"], capture_output=True,
                                                       check=False).returncode == 0:
            return command
    return None


@pytest.fixture
def config(tmp_path):
    """What `config` prints for filled-in variables."""
    if client() is None:
        pytest.skip("neither `docker compose` nor `docker-compose` is installed")
    env = tmp_path / "env"
    env.write_text("".join(f"{name}=filled_in\n" for name in interpolated()))

    def run(*options, env_file=env):
        return subprocess.run([*client(), "-f", ROOT / "docker-compose.yml", "--env-file", env_file, *options,
                               "config"], capture_output=True, text=True, check=False,
                              env={name: value for name, value in os.environ.items()
                                   if not name.startswith("DOCKET_")})
    return run


def test_compose_understands_the_file(config):
    done = config()
    assert done.returncode == 0, done.stderr
    services = re.findall(r"^  (\w+):$", done.stdout.partition("services:")[2], re.MULTILINE)
    assert {"api", "callback", "worker", "migrate", "topics", "postgres", "kafka", "redis"} <= set(services)


def test_workers_can_be_many(config):
    """No fixed name and no port of the host."""
    worker = re.search(r"^  worker:\n((?:    .*\n|  - .*\n)+)", config().stdout, re.MULTILINE)[1]
    assert "container_name" not in worker and "ports:" not in worker


def test_compose_refuses_to_go_without_secrets(config, tmp_path):
    (tmp_path / "empty").write_text("")
    done = config(env_file=tmp_path / "empty")
    assert done.returncode != 0 and "POSTGRES_PASSWORD" in done.stderr
