"""docketctl topics: what is missing is made, what differs from what is wanted is told, and changed where that is safe."""

import re
import subprocess

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic

from stack import own_environment, wait_until

SINGLE = ("configuration", "dead", "checkpoints")
ALL = ("lifecycle", "callbacks", *SINGLE)
WANTED = {"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1048588",
          "min.insync.replicas": "1"}
ROW = re.compile(r"^(\S+) +(\S+) +(\S+) +(\S+)  (.+)$", re.MULTILINE)


@pytest.fixture(scope="module")
def admin(stack):
    return AdminClient({"bootstrap.servers": stack.kafka.brokers})


class Topics:
    """docketctl topics under a prefix of the test's own, with two partitions unless told otherwise."""

    def __init__(self, stack, admin, prefix):
        self.stack, self.admin, self.prefix = stack, admin, prefix

    def run(self, *options, **settings):
        environment = own_environment() | self.stack.environment() | {
            "DOCKET_TOPIC_PREFIX": self.prefix, "DOCKET_TOPIC_PARTITIONS": "2"} | settings
        done = subprocess.run([self.stack.binary("docketctl"), "topics", *options], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)
        done.rows = [(topic.removeprefix(f"{self.prefix}."), *rest) for topic, *rest in ROW.findall(done.stdout)]
        return done

    def make(self, **settings):
        """As a new installation has them; returns when the broker says so too."""
        done = self.run(**settings)
        assert done.returncode == 0, done.stderr
        wait_until(lambda: self.names() == set(ALL), 10, "all topics to be listed")

    def names(self):
        return {name.removeprefix(f"{self.prefix}.") for name in self.admin.list_topics(timeout=10).topics
                if name.startswith(f"{self.prefix}.")}

    def partitions(self, name):
        return len(self.admin.list_topics(timeout=10).topics[f"{self.prefix}.{name}"].partitions)

    def settings(self, name):
        resource = ConfigResource(ConfigResource.Type.TOPIC, f"{self.prefix}.{name}")
        found = self.admin.describe_configs([resource])[resource].result(timeout=10)
        return {entry.name: entry.value for entry in found.values()}

    def change(self, name, **settings):
        """As a foreign administrator; returns when the broker says so too."""
        settings = {word.replace("_", "."): value for word, value in settings.items()}
        resource = ConfigResource(ConfigResource.Type.TOPIC, f"{self.prefix}.{name}", incremental_configs=[
            ConfigEntry(word, value, incremental_operation=AlterConfigOpType.SET) for word, value in settings.items()])
        self.admin.incremental_alter_configs([resource])[resource].result(timeout=10)
        self.wait_settings(name, settings)

    def wait_settings(self, name, settings):
        wait_until(lambda: settings.items() <= self.settings(name).items(), 10, f"{name} to have {settings}")


@pytest.fixture
def topics(stack, admin, request):
    return Topics(stack, admin, f"{stack.name}_{request.node.name[:40]}")


def test_the_topics_that_are_made_are_as_wanted(topics):
    topics.make()
    assert {name: topics.partitions(name) for name in ALL} == {name: 1 if name in SINGLE else 2 for name in ALL}
    other = {"callbacks": {"retention.ms": "604800000"}, "dead": {"max.message.bytes": "2097152"}}
    for name in ALL:
        wanted = WANTED | other.get(name, {})
        assert wanted.items() <= topics.settings(name).items(), name
    done = topics.run("--check")
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "5 topics are as they are wanted\n")


def test_a_check_of_nothing_names_every_topic_and_makes_none(topics):
    done = topics.run("--check")
    assert done.returncode == 1 and "5 of the topics' settings are not as wanted" in done.stderr
    assert done.rows == [(name, "topic", "missing", "there", "--apply creates it") for name in ALL]
    assert topics.names() == set()


def test_what_is_missing_is_made_by_apply(topics):
    topics.make()
    topics.admin.delete_topics([f"{topics.prefix}.dead"])[f"{topics.prefix}.dead"].result(timeout=20)
    wait_until(lambda: "dead" not in topics.names(), 10, "the topic to be gone")
    done = topics.run("--apply")
    assert (done.returncode, done.rows) == (0, [("dead", "topic", "missing", "there", "created")])
    wait_until(lambda: topics.names() == set(ALL), 10, "it to be listed")
    assert topics.run("--check").returncode == 0


def test_each_setting_that_differs_is_named_and_a_check_changes_none(topics):
    topics.make()
    strange = {"retention_ms": "1000", "cleanup_policy": "compact", "retention_bytes": "5000000",
               "max_message_bytes": "1000", "min_insync_replicas": "2"}
    topics.change("lifecycle", **strange)
    before = topics.settings("lifecycle")
    done = topics.run("--check")
    expected = [("lifecycle", word.replace("_", "."), value, WANTED[word.replace("_", ".")], "--apply changes it")
                for word, value in strange.items()]
    assert sorted(done.rows) == sorted(expected)
    assert done.returncode == 1 and "5 of the topics' settings are not as wanted" in done.stderr
    assert topics.settings("lifecycle") == before


def test_apply_changes_what_differs_and_nothing_else(topics):
    topics.make()
    topics.change("lifecycle", retention_ms="1000", cleanup_policy="compact", segment_ms="77777777")
    topics.change("callbacks", retention_ms="-1")
    others = topics.settings("dead")
    done = topics.run("--apply")
    assert done.returncode == 0, done.stderr
    assert sorted((topic, setting, outcome) for topic, setting, _, _, outcome in done.rows) == [
        ("callbacks", "retention.ms", "changed"), ("lifecycle", "cleanup.policy", "changed"),
        ("lifecycle", "retention.ms", "changed")]
    topics.wait_settings("lifecycle", WANTED | {"segment.ms": "77777777"})
    topics.wait_settings("callbacks", {"retention.ms": "604800000"})
    assert topics.settings("dead") == others
    assert topics.run("--check").returncode == 0


def test_a_topic_may_take_larger_records_than_it_must(topics):
    topics.make()
    topics.change("lifecycle", max_message_bytes="2000000")
    assert topics.run("--check").returncode == 0


def test_partitions_are_never_added_unless_that_is_said_and_then_with_a_warning(topics):
    topics.make()
    told = [(name, "partitions", "2", "3", "--apply --partitions adds them") for name in ("lifecycle", "callbacks")]
    for option in ("--check", "--apply"):
        done = topics.run(option, DOCKET_TOPIC_PARTITIONS="3")
        assert (done.returncode, done.rows) == (1, told)
        assert topics.partitions("lifecycle") == 2
    done = topics.run("--apply", "--partitions", DOCKET_TOPIC_PARTITIONS="3")
    assert done.returncode == 0 and [row[-1] for row in done.rows] == ["changed", "changed"]
    assert len(re.findall(r"gets more partitions: .* out of order", done.stderr)) == 2
    wait_until(lambda: topics.partitions("lifecycle") == topics.partitions("callbacks") == 3, 10, "three partitions")


def test_partitions_that_are_too_many_stay(topics):
    topics.make(DOCKET_TOPIC_PARTITIONS="3")
    done = topics.run("--apply", "--partitions")
    assert done.returncode == 1 and "partitions: " not in done.stderr
    assert done.rows == [(name, "partitions", "3", "2", "not changed by docketctl") for name in ("lifecycle", "callbacks")]
    assert topics.partitions("lifecycle") == 3


def test_a_single_topic_with_more_partitions_is_told(topics):
    made = topics.admin.create_topics([NewTopic(f"{topics.prefix}.dead", 2, 1)])
    made[f"{topics.prefix}.dead"].result(timeout=20)
    topics.make()
    done = topics.run("--apply", "--partitions")
    assert ("dead", "partitions", "2", "1", "not changed by docketctl") in done.rows and done.returncode == 1


def test_the_replication_is_told_and_never_waits_for_replicas_that_are_not_there(topics):
    topics.make()
    done = topics.run("--apply", DOCKET_TOPIC_REPLICATION="3")
    assert done.rows == [(name, "replication", "1", "3", "not changed by docketctl") for name in ALL]
    assert done.returncode == 1 and topics.settings("lifecycle")["min.insync.replicas"] == "1"


@pytest.mark.parametrize("options", [["--chek"], ["--check", "--apply"], ["--partitions"], ["--check", "--partitions"],
                                     ["now"]])
def test_other_options_are_refused(topics, options):
    done = topics.run(*options)
    assert done.returncode == 2 and "docketctl: " in done.stderr and topics.names() == set()


def test_without_kafka_it_says_so(topics):
    done = topics.run("--check", DOCKET_KAFKA_BROKERS="127.0.0.1:1",
                      DOCKET_KAFKA_PROPERTIES="socket.connection.setup.timeout.ms=1000")
    assert done.returncode == 3 and re.search(r"^docketctl: kafka: _TRANSPORT$", done.stderr, re.MULTILINE)


def test_its_help_names_each_option(topics):
    done = topics.run("--help")
    assert done.returncode == 0 and all(option in done.stdout for option in ("--check", "--apply", "--partitions"))
