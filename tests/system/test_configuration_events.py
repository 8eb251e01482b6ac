"""Who changed which part of the configuration: one event for each row that was made, changed or deleted, whoever did
it, in one chain on a topic of its own. Names of fields, never values."""

import json
import os
import re
import subprocess
import threading

import psycopg
import pytest

from asking import definition, manual_connection
from certificates import Authority
from configuring import assert_scope, errors, same_session
from events import sequence_problems
from utils import ROOT, Answer, Api, must, must_all, wait_until

TYPE = "docket.configuration.changed.v1"
PLACES = ("connection_key", "policy_key", "rule_key", "kind")
SECRET = "nobody-may-see-this"


@pytest.fixture
def told(bus, db):
    """told() is what the topic got since it was asked last, once it has all that is on record."""
    def head():
        return db.execute("select seq from configuration_head").fetchone()[0]

    def fresh():
        until = head()

        def arrived():
            events = {event.sequence: event for event in bus.records("configuration")}
            return until == 0 or until in events

        wait_until(arrived, 15, f"event {until} of the configuration")
        events = {event.sequence: event for event in bus.records("configuration")}
        found = [events[number] for number in range(fresh.seen + 1, until + 1)]
        fresh.seen = until
        return found

    fresh.seen = head()
    return fresh


def shown(event):
    """As (resource, key, change, fields, where it belongs)."""
    data = event.data
    return (data["resource"], data.get("key"), data["change"], data["fields"],
            {name: data[name] for name in PLACES if name in data})


def one(events):
    """The one event that there is, by a client."""
    assert len(events) == 1, [event.value for event in events]
    assert events[0].data["by"] == "client" and events[0].data["client_id"] and "user_id" not in events[0].data
    return shown(events[0])


def dataset(key, **more):
    field = {"name": "email", "data_categories": ["user.contact.email"], "fides_meta": {"identity": "email"}}
    return {"fides_key": key, "collections": [{"name": "customer", "fields": [field]}]} | more


# --- each path of the API ------------------------------------------------------------------------------------------------


def test_connections(api, told):
    must_all(api.patch("/connection", [{"key": "crm", "name": "CRM", "connection_type": "https", "access": "read"}]))
    assert one(told()) == ("connection", "crm", "created", ["access", "connection_type", "disabled", "key", "name"], {})
    must_all(api.patch("/connection", [{"key": "crm", "name": "CRM 2", "connection_type": "https", "access": "write",
                                        "disabled": True, "enabled_actions": ["access"]}]))
    assert one(told()) == ("connection", "crm", "updated", ["access", "disabled", "enabled_actions", "name"], {})
    must(api.put("/connection/crm/secret?verify=false", {"url": "https://crm.example/x", "authorization": SECRET}))
    assert one(told()) == ("connection", "crm", "updated", ["secrets"], {})
    must(api.patch("/connection/crm/secret?verify=false", {"headers": {"X-Key": SECRET}}))
    assert one(told()) == ("connection", "crm", "updated", ["secrets"], {})
    oauth = {"grant_type": "client_credentials", "token_url": "https://crm.example/token", "client_id": "me",
             "client_secret": SECRET}
    must(api.put("/connection/crm/oauth", oauth))
    assert one(told()) == ("connection", "crm", "updated", ["oauth"], {})
    must(api.patch("/connection/crm/oauth", {"client_id": "you"}))
    assert one(told()) == ("connection", "crm", "updated", ["oauth"], {})
    must(api.delete("/connection/crm/oauth"), 204)
    assert one(told()) == ("connection", "crm", "updated", ["oauth"], {})
    must(api.delete("/connection/crm"), 204)
    assert one(told()) == ("connection", "crm", "deleted", [], {})


def test_a_connection_that_comes_with_its_secrets_is_told_made_and_then_given_them(api, told):
    must_all(api.post("/connection", [{"key": "crm", "connection_type": "https", "access": "read",
                                       "secrets": {"url": "https://crm.example", "authorization": SECRET}}]))
    assert [shown(event)[2:4] for event in told()] == [
        ("created", ["access", "connection_type", "disabled", "key"]), ("updated", ["secrets"])]


def test_endpoints(api, told):
    api.make_connection("crm", "https://crm.example/hook")
    told()
    must(api.patch("/docket/endpoint/crm", {"rate_limit": 5, "retry_schedule": "1s,2s"}))
    assert one(told())[2:4] == ("updated", ["rate_limit", "retry_schedule"])
    must(api.patch("/docket/endpoint/crm", {"disclose": {"identity": ["email"], "parts": []}}))
    assert one(told())[2:4] == ("updated", ["disclose"])
    for path in ("pause", "resume"):
        must(api.post(f"/docket/endpoint/crm/{path}"))
        assert one(told())[2:4] == ("updated", ["paused"])
    must(api.post("/docket/endpoint/crm/signing-secret"))
    assert one(told())[2:4] == ("updated", ["secrets"])
    must(api.delete("/docket/endpoint/crm/signing-secret"), 204)
    assert one(told())[2:4] == ("updated", ["secrets"])
    must_all(api.patch("/connection", [{"key": "db", "connection_type": "postgres", "access": "write"}]))
    told()
    must(api.patch("/docket/endpoint/db", {"statement_timeout": "5s", "row_limit": 9}))
    assert one(told()) == ("connection", "db", "updated", ["row_limit", "statement_timeout"], {})


def test_policies_rules_and_targets(api, told):
    must_all(api.patch("/storage/config", [{"name": "store", "key": "told_store", "type": "local", "format": "json",
                                            "details": {"naming": "request_id"}}]))
    assert one(told()) == ("storage", "told_store", "created", ["details", "format", "is_default", "key", "name", "type"],
                           {})
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
    assert one(told()) == ("policy", "told", "created", ["key", "name"], {})
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told", "execution_timeframe": 9}]))
    assert one(told()) == ("policy", "told", "updated", ["execution_timeframe"], {})
    rule = {"name": "Take", "key": "told_take", "action_type": "access"}
    must_all(api.patch("/dsr/policy/told/rule", [rule]))
    event, = told()
    assert shown(event) == ("rule", "told_take", "created", ["action_type", "key", "name", "policy"],
                            {"policy_key": "told"})
    must_all(api.patch("/dsr/policy/told/rule", [rule | {"storage_destination_key": "told_store"}]))
    assert one(told()) == ("rule", "told_take", "updated", ["storage_destination"], {"policy_key": "told"})
    place = {"policy_key": "told", "rule_key": "told_take"}
    targets = "/dsr/policy/told/rule/told_take/target"
    target = {"name": "Names", "key": "told_names", "data_category": "user.name"}
    must_all(api.patch(targets, [target]))
    assert one(told()) == ("rule_target", "told_names", "created", ["data_category", "key", "name", "rule"], place)
    must_all(api.patch(targets, [target | {"data_category": "user.contact"}]))
    assert one(told()) == ("rule_target", "told_names", "updated", ["data_category"], place)
    must(api.delete(f"{targets}/told_names"), 204)
    assert one(told()) == ("rule_target", "told_names", "deleted", [], place)
    must(api.delete("/dsr/policy/told/rule/told_take"), 204)
    assert one(told()) == ("rule", "told_take", "deleted", [], {"policy_key": "told"})
    must(api.delete("/dsr/policy/told"), 204)
    assert one(told()) == ("policy", "told", "deleted", [], {})
    must(api.delete("/storage/config/told_store"), 204)
    assert one(told()) == ("storage", "told_store", "deleted", [], {})


def test_pre_approval_webhooks(api, told):
    for key in ("crm", "erp"):
        api.make_connection(key, f"https://{key}.example")
    told()
    api.set_pre_approval(("ask", "crm"))
    assert one(told()) == ("pre_approval_webhook", "ask", "created", ["connection", "key", "name"],
                           {"connection_key": "crm"})
    must(api.patch("/dsr/webhook/pre_approval/ask", {"connection_config_key": "erp"}))
    assert one(told()) == ("pre_approval_webhook", "ask", "updated", ["connection"], {"connection_key": "erp"})
    must(api.delete("/dsr/webhook/pre_approval/ask"))
    assert one(told()) == ("pre_approval_webhook", "ask", "deleted", [], {"connection_key": "erp"})


def test_policy_webhooks(api, told):
    api.make_connection("crm", "https://crm.example")
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
    told()
    place = {"connection_key": "crm", "policy_key": "told", "kind": "pre"}
    api.set_policy_webhooks("told", "pre_execution", ("one", "crm", "one_way"), ("two", "crm", "two_way"))
    assert [shown(event) for event in told()] == [
        ("policy_webhook", key, "created", ["connection", "direction", "key", "kind", "name", "order", "policy"], place)
        for key in ("one", "two")]
    must(api.patch("/dsr/policy/told/webhook/pre_execution/two", {"direction": "one_way"}))
    assert one(told()) == ("policy_webhook", "two", "updated", ["direction"], place)
    must(api.delete("/dsr/policy/told/webhook/pre_execution/one"))
    assert [shown(event) for event in told()] == [("policy_webhook", "one", "deleted", [], place),
                                                  ("policy_webhook", "two", "updated", ["order"], place)]
    api.set_policy_webhooks("told", "pre_execution")
    assert one(told()) == ("policy_webhook", "two", "deleted", [], place)


def test_datasets_and_their_links(api, told):
    must_all(api.patch("/connection", [{"key": "shop_db", "connection_type": "postgres", "access": "write"}]))
    told()
    must(api.post("/dataset", dataset("told_shop")), 201)
    assert one(told()) == ("dataset", "told_shop", "created", ["document", "fides_key"], {})
    must(api.put("/dataset", dataset("told_shop", name="Shop")))
    assert one(told()) == ("dataset", "told_shop", "updated", ["document"], {})
    place = {"connection_key": "shop_db"}
    must_all(api.patch("/connection/shop_db/datasetconfig",
                       [{"fides_key": "told_shop", "ctl_dataset_fides_key": "told_shop"}]))
    assert one(told()) == ("dataset_link", "told_shop", "created", ["connection", "dataset", "fides_key"], place)
    must_all(api.put("/connection/shop_db/datasetconfig", []))
    assert one(told()) == ("dataset_link", "told_shop", "deleted", [], place)
    must_all(api.patch("/connection/shop_db/dataset", [dataset("told_more")]))
    assert [shown(event)[:3] for event in told()] == [("dataset", "told_more", "created"),
                                                     ("dataset_link", "told_more", "created")]
    must(api.delete("/connection/shop_db/dataset/told_more"), 204)
    assert one(told()) == ("dataset_link", "told_more", "deleted", [], place)
    must(api.post("/dataset/upsert", [dataset("told_shop"), dataset("told_more", name="More")]))
    assert sorted(shown(event)[1:4] for event in told()) == [("told_more", "updated", ["document"]),
                                                            ("told_shop", "updated", ["document"])]
    must(api.delete("/dataset/told_shop"))
    assert one(told()) == ("dataset", "told_shop", "deleted", [], {})


def test_manual_webhooks(api, told):
    must_all(api.patch("/connection", [manual_connection("archive")]))
    told()
    path, place = "/connection/archive/access_manual_webhook", {"connection_key": "archive"}
    must(api.post(path, definition("height")), 201)
    assert one(told()) == ("manual_webhook", "archive", "created", ["connection", "fields"], place)
    must(api.put(path, definition("weight")))
    assert one(told()) == ("manual_webhook", "archive", "updated", ["fields"], place)
    must(api.patch(path, definition("height")))
    assert one(told()) == ("manual_webhook", "archive", "updated", ["fields"], place)
    must(api.delete(path), 204)
    assert one(told()) == ("manual_webhook", "archive", "deleted", [], place)


def test_storages(api, told):
    details = {"auth_method": "secret_keys", "bucket": "told-bucket"}
    secrets = {"aws_access_key_id": "id", "aws_secret_access_key": SECRET}
    must_all(api.patch("/storage/config", [{"name": "told_s3", "key": "told_s3", "type": "s3", "format": "json",
                                            "details": details}]))
    told()
    must(api.put("/storage/config/told_s3/secret", secrets))
    assert one(told()) == ("storage", "told_s3", "updated", ["secrets"], {})
    must(api.put("/storage/config/told_s3/secret", secrets))
    assert told() == []
    must(api.delete("/storage/config/told_s3"), 204)
    assert one(told())[2] == "deleted"
    must(api.put("/storage/default", {"type": "s3", "format": "json", "details": details}))
    assert told()[-1].data["resource"] == "storage"
    must(api.put("/storage/default", {"type": "s3", "format": "csv", "details": details}))
    assert one(told())[2:4] == ("updated", ["format"])
    must(api.put("/storage/default/s3/secret", secrets | {"aws_secret_access_key": SECRET + "2"}))
    assert one(told())[2:4] == ("updated", ["secrets"])


def test_clients(api, told):
    client = must(api.post("/oauth/client", {"name": "portal", "scopes": ["policy:read"]}))["client_id"]
    assert one(told()) == ("oauth_client", client, "created", ["name", "roles", "scopes", "secret"], {})
    must(api.put(f"/oauth/client/{client}", {"description": "of the portal"}))
    assert one(told()) == ("oauth_client", client, "updated", ["description"], {})
    must(api.put(f"/oauth/client/{client}/scope", ["policy:read", "rule:read"]))
    assert one(told()) == ("oauth_client", client, "updated", ["scopes"], {})
    must(api.post(f"/oauth/client/{client}/secret"))
    assert one(told()) == ("oauth_client", client, "updated", ["secret"], {})
    must(api.delete(f"/oauth/client/{client}"))
    assert one(told()) == ("oauth_client", client, "deleted", [], {})


def test_settings(api, told):
    name = "execution.require_manual_request_approval"
    must(api.patch("/config", {"execution": {"require_manual_request_approval": False}}))
    assert one(told()) == ("setting", None, "updated", [name], {})
    must(api.put("/config", {"storage": {"active_default_storage_type": "local"}}))
    assert one(told())[3] == [name, "storage.active_default_storage_type"]
    must(api.delete("/config"))
    assert one(told())[3] == ["storage.active_default_storage_type"]


def test_what_changes_nothing_is_not_told(api, told):
    """Nor what is noted of a connection without being its configuration."""
    oauth = {"grant_type": "client_credentials", "token_url": "https://crm.example/token", "client_id": "me",
             "client_secret": SECRET}

    def configure():
        must_all(api.patch("/connection", [{"key": "crm", "name": "crm", "connection_type": "https", "access": "read"},
                                           {"key": "db", "connection_type": "postgres", "access": "write"}]))
        must(api.put("/connection/crm/secret?verify=false", {"url": "https://crm.example", "authorization": "a"}))
        must(api.put("/connection/crm/oauth", oauth))
        must(api.patch("/docket/endpoint/crm", {"rate_limit": 5, "disclose": {"parts": ["policy"]}}))
        must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
        must_all(api.patch("/dsr/policy/told/rule", [{"name": "Take", "key": "told_take", "action_type": "access"}]))
        api.set_pre_approval(("ask", "crm"))
        api.set_policy_webhooks("told", "pre_execution", ("one", "crm", "one_way"))
        assert api.post("/dataset/upsert", [dataset("told_shop")]).ok
        must_all(api.put("/connection/db/datasetconfig",
                         [{"fides_key": "told_shop", "ctl_dataset_fides_key": "told_shop"}]))
        must(api.patch("/config", {"execution": {"require_manual_request_approval": True}}))

    configure()
    assert told()
    configure()
    assert told() == []
    must(api.put("/connection/db/secret", {"host": "127.0.0.1", "port": 1, "dbname": "none", "username": "u",
                                           "password": SECRET}))
    assert one(told())[3] == ["secrets"]
    assert must(api.get("/connection/db/test"))["test_status"] == "failed"
    assert told() == []


# --- who -------------------------------------------------------------------------------------------------------------------


def test_a_client_is_told_by_its_id(api, stack, told):
    client = must(api.post("/oauth/client", {"scopes": ["policy:create_or_update"]}))
    made, = told()
    assert made.data["client_id"] == stack.environment()["DOCKET_ROOT_CLIENT_ID"]
    other = Api.login(api.url, client["client_id"], client["client_secret"])
    must_all(other.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
    event, = told()
    assert (event.data["by"], event.data["client_id"]) == ("client", client["client_id"])
    assert re.fullmatch("/docket/[^/]+/docket-api", event.headers["ce_source"])


def test_a_change_by_hand_is_told_as_the_database_s(db, told):
    with db.transaction():
        db.execute("insert into policy (id, key, name) values ('pol_hand', 'by_hand', 'By hand')")
        db.execute("update policy set name = 'By another hand', updated_at = now() where id = 'pol_hand'")
        db.execute("update policy set updated_at = now() where id = 'pol_hand'")
        db.execute("delete from policy where id = 'pol_hand'")
    events = told()
    assert [shown(event)[:4] for event in events] == [("policy", "by_hand", "created", ["key", "name"]),
                                                      ("policy", "by_hand", "updated", ["name"]),
                                                      ("policy", "by_hand", "deleted", [])]
    for event in events:
        assert event.data["by"] == "database" and "client_id" not in event.data
        assert event.headers["ce_source"] == "/docket/-/postgresql"


def test_nobody_is_told_of_as_who_came_before_on_the_same_connection(api, stack, told):
    """What the programs say of themselves ends with their transaction."""
    with psycopg.connect(stack.postgres.url(stack.name), autocommit=True) as connection:
        with connection.transaction():
            connection.execute("select set_config('docket.actor', '{\"by\": \"client\", \"client_id\": \"c\"}', true)")
            connection.execute("insert into policy (id, key, name) values ('pol_hand', 'by_hand', 'By hand')")
        connection.execute("delete from policy where id = 'pol_hand'")
    assert [event.data["by"] for event in told()] == ["client", "database"]


def test_rows_can_not_go_untold(db, told):
    for table in ("policy", "connection", "oauth_client", "setting"):
        with pytest.raises(psycopg.errors.RaiseException):
            db.execute(f"truncate {table} cascade")
    assert told() == []


def test_what_goes_with_something_else_is_told_too(api, db, told):
    """Its own event comes after that of what it belonged to, which it names by its id."""
    api.make_connection("crm", "https://crm.example")
    api.set_pre_approval(("ask", "crm"))
    told()
    must(api.delete("/connection/crm"), 204)
    connection, webhook = told()
    assert shown(connection)[:3] == ("connection", "crm", "deleted")
    assert shown(webhook) == ("pre_approval_webhook", "ask", "deleted", [], {})
    assert webhook.data["connection_id"] == connection.data["resource_id"]
    assert webhook.data["by"] == "client"


def test_a_worker_that_pauses_an_endpoint_is_told_as_docket_with_the_reason(api, receiver, identity, told):
    api.make_webhooks(receiver, crm=Answer(410))
    told()
    api.create_request(identity())
    wait_until(lambda: must(api.get("/docket/endpoint/crm"))["paused_at"], 20, "the endpoint to be paused")
    event, = told()
    assert shown(event) == ("connection", "crm", "updated", ["paused"], {})
    assert (event.data["by"], event.data["reason"]) == ("system", "gone")
    assert re.fullmatch("/docket/[^/]+/docket-worker", event.headers["ce_source"])


# --- what the topic holds ------------------------------------------------------------------------------------------------


def test_what_is_rolled_back_is_not_told_and_leaves_no_gap(api, db, told):
    with psycopg.connect(db.info.dsn, password=db.info.password) as other:
        other.execute("insert into policy (id, key, name) values ('pol_hand', 'by_hand', 'By hand')")
        other.rollback()
    body = [{"name": "Told", "key": "told"}, {"name": "Told", "key": "told_again"}]  # the name is taken: it fails alone
    answer = must(api.patch("/dsr/policy", body))
    assert (len(answer["succeeded"]), len(answer["failed"])) == (1, 1)
    assert one(told()) == ("policy", "told", "created", ["key", "name"], {})


def test_many_writers_at_once_leave_no_gap_and_one_chain(api, db, bus, told, stack):
    """By the API and by hand, some of which think better of it."""
    policies = 12

    def by_api(name):
        mine = same_session(api)
        for number in range(policies):
            must_all(mine.patch("/dsr/policy", [{"name": f"{name} {number}", "key": f"{name}_{number}"}]))

    def by_hand(name):
        with psycopg.connect(stack.postgres.url(stack.name)) as connection:
            for number in range(policies):
                connection.execute("insert into policy (id, key, name) values (%(id)s, %(id)s, %(id)s)",
                                   {"id": f"{name}_{number}"})
                connection.commit() if number % 3 else connection.rollback()

    threads = [threading.Thread(target=by_api, args=(f"many_api{number}",)) for number in range(3)]
    threads += [threading.Thread(target=by_hand, args=(f"many_hand{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    events = told()
    assert len(events) == 3 * policies + 3 * (policies - policies // 3)
    assert {event.data["by"] for event in events} == {"client", "database"}
    whole = sorted({event.sequence: event for event in bus.records("configuration")}.values(),
                   key=lambda event: event.sequence)
    assert sequence_problems(whole) == []
    assert db.execute("select seq, chain from configuration_head").fetchone() == (
        whole[-1].sequence, bytes.fromhex(whole[-1].headers["ce_chain"]))
    times = [event.headers["ce_time"] for event in whole]
    assert times == sorted(times)
    db.execute("delete from policy where key like 'many\\_hand%'")


def test_what_is_changed_while_no_worker_runs_is_told_afterwards_in_order(api, stack, told):
    stack.workers[0].stop()
    try:
        for days in (1, 2, 3):
            must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told", "execution_timeframe": days}]))
        assert [item["change"] for item in listed(api, size=3)["items"]] == ["updated", "updated", "created"]
    finally:
        stack.workers[0].start()
    events = told()
    assert [event.data["change"] for event in events] == ["created", "updated", "updated"]
    assert [event.offset for event in events] == sorted(event.offset for event in events)


def test_each_record_has_its_whole_envelope(api, bus, told):
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
    event, = told()
    number = event.sequence
    assert event.key == "configuration" and event.partition == 0
    assert {name: event.headers[name] for name in ("ce_id", "ce_subject", "ce_type", "ce_dataschema", "ce_sequence")} == {
        "ce_id": f"configuration.{number}", "ce_subject": "configuration", "ce_type": TYPE,
        "ce_dataschema": f"docket:events/{TYPE}.json", "ce_sequence": f"{number:020}"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", event.headers["ce_time"])
    assert re.fullmatch("[0-9a-f]{64}", event.headers["ce_chain"])
    assert not {"ce_causationid", "ce_traceparent"} & set(event.headers)


def test_requests_events_are_not_on_it_nor_its_events_among_theirs(api, bus, identity, told):
    request_id = api.create_request(identity())["id"]
    bus.wait_types(request_id, "docket.request.created.v1")
    assert {event.type for event in bus.records("configuration")} == {TYPE}
    assert TYPE not in {event.type for event in bus.records("lifecycle")}


def test_no_value_is_on_the_topic(api, told):
    """Whatever is secret, and whatever says where something is."""
    authority = Authority("told")
    certificate, key = authority.issue("client")
    hidden = {"told-host.example": "a host", SECRET: "a secret", "BEGIN CERTIFICATE": "a certificate",
              "told text": "a description", "whsec_": "a signing secret", "told_table": "a collection"}
    must_all(api.patch("/connection", [{"key": "crm", "connection_type": "https", "access": "read",
                                        "description": "told text"},
                                       {"key": "db", "connection_type": "postgres", "access": "write"}]))
    must(api.put("/connection/crm/secret?verify=false", {
        "url": f"https://told-host.example/{SECRET}?{SECRET}", "authorization": SECRET, "headers": {"X-Key": SECRET},
        "ca_certificate": authority.pem, "client_certificate": certificate, "client_key": key}))
    must(api.put("/connection/db/secret?verify=false", {"host": "told-host.example", "port": 5432, "dbname": "d",
                                                        "username": "u", "password": SECRET}))
    must(api.put("/connection/crm/oauth", {"grant_type": "client_credentials", "client_id": "me",
                                           "token_url": "https://told-host.example/token", "client_secret": SECRET}))
    must(api.post("/docket/endpoint/crm/signing-secret"))
    made = must(api.post("/oauth/client", {"description": "told text", "scopes": ["policy:read"]}))
    told_table = dataset("told_shop")
    told_table["collections"][0]["name"] = "told_table"
    assert api.post("/dataset/upsert", [told_table]).ok
    events = told()
    assert len(events) == 8
    hidden[made["client_secret"]] = "a client's secret"
    for event in events:
        found = [what for text, what in hidden.items() if text.encode() in event.everything()]
        assert not found, (found, event.value)
    must(api.delete(f"/oauth/client/{made['client_id']}"))


# --- without Kafka -------------------------------------------------------------------------------------------------------


def listed(api, **query):
    return must(api.get("/docket/configuration-changes", params=query))


def test_the_api_shows_changes_newest_first_as_the_topic_has_them(api, told):
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told"}]))
    must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told", "execution_timeframe": 9}]))
    events = told()
    items = listed(api, size=2)["items"]
    assert items == [{"seq": event.sequence, "time": items[place]["time"], "source": event.headers["ce_source"]}
                     | event.data for place, event in enumerate(reversed(events))]
    assert list(items[0])[:3] == ["seq", "time", "source"]
    assert [item["time"][:19] for item in items] == [event.headers["ce_time"][:19] for event in reversed(events)]


def test_changes_are_found_by_resource_key_and_time(api, told):
    api.make_connection("told_crm", "https://crm.example")
    api.set_pre_approval(("told_ask", "told_crm"))
    api.make_connection("told_erp", "https://erp.example")
    begun = told()[0].headers["ce_time"]
    assert {item["resource"] for item in listed(api, resource="pre_approval_webhook")["items"]} == {
        "pre_approval_webhook"}
    found = listed(api, key="told_crm", since=begun)["items"]
    assert [(item["resource"], item["key"]) for item in found] == [
        ("pre_approval_webhook", "told_ask"), ("connection", "told_crm"), ("connection", "told_crm")]
    assert len(listed(api, resource="connection", since=begun)["items"]) == 4
    assert listed(api, since="2999-01-01T00:00:00Z") == {"items": [], "next_cursor": None}
    assert listed(api, key="nobody_has_this") == {"items": [], "next_cursor": None}


def test_the_documentation_s_example_works(api, told):
    api.make_connection("crm", "https://crm.example")
    example, = [text for text in re.findall(r"```sh\n(.*?)```", (ROOT / "docs/operation.md").read_text(), re.DOTALL)
                if "configuration-changes" in text]
    environment = os.environ | {"DOCKET_API_URL": api.url,
                                "TOKEN": api.session.headers["Authorization"].removeprefix("Bearer ")}
    said = subprocess.run(["bash", "-euo", "pipefail", "-c", example], env=environment, check=True, capture_output=True,
                          timeout=60).stdout
    assert [item["change"] for item in json.loads(said)["items"]][:2] == ["updated", "created"]


def test_pages_of_changes_follow_each_other_without_one_too_many(api, told):
    for number in range(5):
        must_all(api.patch("/dsr/policy", [{"name": "Told", "key": "told", "execution_timeframe": number + 1}]))
    begun, seen, cursor = told()[0].headers["ce_time"], [], None
    for size in (2, 2, 1):
        page = listed(api, size=size, since=begun, **({"cursor": cursor} if cursor else {}))
        assert len(page["items"]) == size
        seen += [item["seq"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert cursor is None and seen == sorted(seen, reverse=True) and len(set(seen)) == 5


@pytest.mark.parametrize("query, place", [
    ({"resource": "webhook"}, "resource"), ({"key": "no key!"}, "key"), ({"since": "yesterday"}, "since"),
    ({"cursor": "0"}, "cursor"), ({"cursor": "x"}, "cursor"), ({"size": 0}, "size"), ({"size": 101}, "size")])
def test_what_can_not_be_asked_for_is_refused_in_its_place(api, query, place):
    assert [loc for _, loc, _ in errors(api.get("/docket/configuration-changes", params=query))] == [["query", place]]


def test_changes_need_their_scope(api):
    assert_scope(api, "GET", "/docket/configuration-changes", "config:read")
