"""Policies, their rules and the rules' targets. Contract: rest.md 4, dsr.md 8."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from configuring import KEY_RULE, assert_scope, clash, errors, failed, refusal, same_session
from utils import must, must_all

POLICY = "/dsr/policy"
RULES = "/dsr/policy/my_policy/rule"
TARGETS = "/dsr/policy/my_policy/rule/my_rule/target"
DEFAULT_TARGETS = sorted(f"user.{name}" for name in [
    "account", "behavior", "biometric", "childrens", "contact", "content", "criminal_history", "demographic", "device",
    "government_id", "health_and_medical", "job_title", "location", "name", "privacy_preferences", "sensor", "social",
    "telemetry", "unique_id", "user_sensor", "workplace"])
HMAC = {"strategy": "hmac", "configuration": {}}


def policy(**more):
    return {"name": "My Policy", "key": "my_policy"} | more


def rule(**more):
    return {"name": "My Rule", "key": "my_rule", "action_type": "access"} | more


def erasure(**more):
    return rule(action_type="erasure", masking_strategy=HMAC) | more


@pytest.fixture
def mine(api):
    """The policy my_policy with the rule my_rule and no targets; the policy another with the rule others_rule."""
    must_all(api.patch(POLICY, [policy(), {"name": "Another", "key": "another"}]))
    must_all(api.patch(RULES, [rule()]))
    must_all(api.patch("/dsr/policy/another/rule", [rule(name="Other's", key="others_rule")]))
    must_all(api.patch("/dsr/policy/another/rule/others_rule/target", [
        {"data_category": "user.name", "key": "others_target"}]))


def targets_of(api, policy_key, rule_key):
    """The categories of a rule, as its own object tells them."""
    found = must(api.get(f"/dsr/policy/{policy_key}/rule/{rule_key}"))
    return sorted(target["data_category"] for target in found["targets"])


# --- what every installation begins with -------------------------------------------------------------------


@pytest.mark.parametrize("action, rule_key, drp, masking, targets", [
    ("access", "default_access_policy_rule", "access", None, DEFAULT_TARGETS),
    ("erasure", "default_erasure_policy_rule", "deletion", {"strategy": "hmac"}, DEFAULT_TARGETS),
    ("consent", "default_consent_rule", None, None, []),
])
def test_the_default_policies_are_there(api, db, action, rule_key, drp, masking, targets):
    key = f"default_{action}_policy"
    title = action.capitalize()
    shown = must(api.get(f"{POLICY}/{key}"))
    assert list(shown) == ["name", "key", "rules", "drp_action", "execution_timeframe", "conditions"]
    assert shown == {
        "name": f"Default {title} Policy", "key": key, "drp_action": drp, "execution_timeframe": 45,
        "conditions": None,
        "rules": [{"name": f"Default {title} Rule", "key": rule_key, "action_type": action,
                   "storage_destination": None, "masking_strategy": masking}]}
    assert targets_of(api, key, rule_key) == targets
    (row_id,), = db.execute("select id from policy where key = %s", [key])
    assert re.fullmatch(r"pol_0{8}-0000-4000-8000-0{11}[123]", row_id)


# --- policies --------------------------------------------------------------------------------------------


def test_a_policy_is_created_listed_and_changed(api):
    created, = must_all(api.patch(POLICY, [policy(execution_timeframe=7)]))
    assert created == {"name": "My Policy", "key": "my_policy", "rules": [], "drp_action": None,
                       "execution_timeframe": 7, "conditions": None}
    assert must(api.get(POLICY))["items"][0] == created
    assert must(api.get(f"{POLICY}/my_policy/")) == created
    changed, = must_all(api.patch(POLICY, [policy(name="Renamed")]))
    assert changed == created | {"name": "Renamed", "execution_timeframe": None}


def test_rows_have_ids_of_the_contract_s_form(mine, db):
    for table, first in [("policy", "pol"), ("rule", "rul"), ("rule_target", "rul")]:
        for (row_id,) in db.execute(f"select id from {table}"):
            assert re.fullmatch(first + r"_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row_id)


@pytest.mark.parametrize("name, key", [("My Policy", "my_policy"), (" Löschung - jetzt! ", "loschung_jetzt")])
def test_a_missing_key_is_made_of_the_name(api, name, key):
    assert must_all(api.patch(POLICY, [{"name": name}]))[0]["key"] == key
    must_all(api.patch(f"{POLICY}/{key}/rule", [{"name": name, "action_type": "access"}]))
    assert must(api.get(f"{POLICY}/{key}/rule/{key}"))["name"] == name


@pytest.mark.parametrize("key", ["a.b", "A-B_c.0", "k" * 500])
def test_keys_with_dots_work_everywhere(api, key):
    must_all(api.patch(POLICY, [policy(key=key)]))
    must_all(api.patch(f"{POLICY}/{key}/rule", [rule(key=key)]))
    must_all(api.patch(f"{POLICY}/{key}/rule/{key}/target", [{"key": key, "data_category": "user.name"}]))
    assert must(api.get(f"{POLICY}/{key}/rule/{key}/target/{key}"))["data_category"] == "user.name"
    must_all(api.patch(POLICY, [policy(key=key, name="Again")]))
    for path in (f"/rule/{key}/target/{key}", f"/rule/{key}", ""):
        assert api.delete(f"{POLICY}/{key}{path}").status_code == 204
    assert api.get(f"{POLICY}/{key}").status_code == 404


def test_the_lists_are_newest_first_and_cut_into_pages(api):
    must_all(api.patch(POLICY, [policy(name=f"P{number}", key=f"p{number}") for number in range(5)]))
    page = must(api.get(POLICY, params={"size": 2, "page": 2}))
    assert [item["key"] for item in page["items"]] == ["p2", "p1"]
    assert page["total"] >= 8
    beyond = must(api.get(POLICY, params={"size": 100, "page": 100}))
    assert (beyond["items"], beyond["total"]) == ([], page["total"])
    must_all(api.patch(f"{POLICY}/p0/rule", [rule(name=f"R{number}", key=f"r{number}") for number in range(3)]))
    page = must(api.get(f"{POLICY}/p0/rule", params={"size": 2}))
    assert ([item["key"] for item in page["items"]], page["total"], page["pages"]) == (["r2", "r1"], 3, 2)
    must_all(api.patch(f"{POLICY}/p0/rule/r0/target", [
        {"data_category": category, "key": category} for category in ("user.name", "user.device", "system")]))
    page = must(api.get(f"{POLICY}/p0/rule/r0/target", params={"size": 2}))
    assert ([item["key"] for item in page["items"]], page["total"]) == (["system", "user.device"], 3)
    for path in (POLICY, f"{POLICY}/p0/rule", f"{POLICY}/p0/rule/r0/target"):
        assert errors(api.get(path, params={"page": 0}))[0][:2] == ("greater_than_equal", ["query", "page"])


@pytest.mark.parametrize("action, masking, count", [("access", None, 21), ("erasure", {"strategy": "hmac"}, 21),
                                                    ("consent", None, 0)])
def test_an_action_type_makes_a_rule_with_default_targets(api, action, masking, count):
    created, = must_all(api.patch(POLICY, [policy(action_type=action)]))
    assert created["rules"] == [{"name": "My Policy Rule", "key": "my_policy_rule", "action_type": action,
                                 "storage_destination": None, "masking_strategy": masking}]
    assert targets_of(api, "my_policy", "my_policy_rule") == DEFAULT_TARGETS[:count]
    again, = must_all(api.patch(POLICY, [policy(action_type="access")]))
    assert again["rules"] == created["rules"]  # it counts on creation only


def test_default_targets_are_named_as_the_contract_has_them(api, db):
    must_all(api.patch(POLICY, [policy(action_type="access")]))
    (rule_id,), = db.execute("select id from rule where key = 'my_policy_rule'")
    target = next(target for target in must(api.get(f"{POLICY}/my_policy/rule/my_policy_rule"))["targets"]
                  if target["data_category"] == "user.name")
    assert target == {"name": f"{rule_id}-user.name", "key": f"{rule_id.replace('-', '_')}_username",
                      "data_category": "user.name"}


def test_a_policy_may_come_with_its_rules(api):
    created, = must_all(api.patch(POLICY, [policy(rules=[rule(), erasure(name="Second", key="second")])]))
    assert [(item["key"], item["action_type"]) for item in created["rules"]] == [
        ("my_rule", "access"), ("second", "erasure")]
    changed, = must_all(api.patch(POLICY, [policy(rules=[rule(name="Third", key="third")])]))
    assert changed["rules"] == created["rules"]


@pytest.mark.parametrize("element, text", [
    (policy(key=None), clash("my_policy", "Policy")),
    (policy(key="new"), "Name My Policy already exists in Policy."),
    (policy(name="Another"), "Name Another already exists in Policy."),
    ({"name": "!!!"}, "Policy requires a key: none can be made of its name."),
    (policy(drp_action="access"), "DRP action access already exists in Policy default_access_policy."),
    (policy(drp_action="deletion"), "DRP action deletion already exists in Policy default_erasure_policy."),
    (policy(drp_action="sale:opt_out"), "sale:opt_out action is not supported at this time."),
    (policy(drp_action="access:specific"), "access:specific action is not supported at this time."),
    ({"name": "New", "action_type": "update"},
     "Unsupported action_type 'update'. Must be one of: access, consent, erasure"),
    ({"name": "New", "rules": [rule(key="fresh"), rule(key="more", action_type="update")]},
     "update Rules are not supported at this time."),
    ({"name": "New", "rules": [rule(action_type="erasure", key="fresh")]},
     "Erasure Rules must have masking strategies."),
    ({"name": "New", "rules": [rule(key="others_rule")]},
     "Rule with identifier others_rule belongs to another policy."),
    ({"name": "Others", "key": "others", "action_type": "access"},
     "Rule with identifier others_rule belongs to another policy."),
    ({"name": "New", "rules": [rule(key="fresh", action_type="consent"), rule(key="more", action_type="consent")]},
     "Policies can only have one consent rule attached.  Existing rule fresh found."),
])
def test_a_policy_that_cannot_be_fails_and_leaves_nothing(api, mine, element, text):
    before = must(api.get(POLICY))
    failure = failed(api.patch(POLICY, [element]))
    assert failure["message"] == text
    assert failure["data"]["name"] == element["name"]
    assert must(api.get(POLICY)) == before


def test_a_failing_policy_keeps_nobody_else_back(api):
    answer = must(api.patch(POLICY, [
        policy(), {"name": "New", "key": "new", "rules": [rule(key="fresh"), rule(action_type="update", key="bad")]},
        {"name": "Last", "key": "last", "action_type": "erasure"}]))
    assert [item["key"] for item in answer["succeeded"]] == ["my_policy", "last"]
    assert [failure["data"]["key"] for failure in answer["failed"]] == ["new"]
    assert api.get(f"{POLICY}/new").status_code == 404
    must_all(api.patch(RULES, [rule(key="fresh")]))  # its key is free


BAD_POLICIES = [
    ({}, "list_type", ["body"]), ([7], "model_attributes_type", ["body", 0]),
    ([{"key": "a"}], "missing", ["body", 0, "name"]), ([policy(), policy(name=None)], "string_type", ["body", 1, "name"]),
    ([policy(name="")], "string_too_short", ["body", 0, "name"]),
    ([policy(name="n" * 256)], "string_too_long", ["body", 0, "name"]),
    ([policy(key="a b")], "value_error", ["body", 0, "key"]), ([policy(key="<a>")], "value_error", ["body", 0, "key"]),
    ([policy(key=1)], "string_type", ["body", 0, "key"]),
    ([policy(drp_action="delete")], "enum", ["body", 0, "drp_action"]),
    ([policy(drp_action=1)], "enum", ["body", 0, "drp_action"]),
    ([policy(execution_timeframe="soon")], "int_parsing", ["body", 0, "execution_timeframe"]),
    ([policy(execution_timeframe=1.5)], "int_from_float", ["body", 0, "execution_timeframe"]),
    ([policy(execution_timeframe=-1)], "greater_than_equal", ["body", 0, "execution_timeframe"]),
    ([policy(execution_timeframe=10 ** 9)], "less_than_equal", ["body", 0, "execution_timeframe"]),
    ([policy(execution_timeframe=10 ** 30)], "int_parsing_size", ["body", 0, "execution_timeframe"]),
    ([policy(action_type="destroy")], "enum", ["body", 0, "action_type"]),
    ([policy(rules={})], "list_type", ["body", 0, "rules"]),
    ([policy(rules=[{}])], "missing", ["body", 0, "rules", 0, "name"]),
    ([policy(rules=[rule(action_type="x")])], "enum", ["body", 0, "rules", 0, "action_type"]),
    ([policy(action_type="access", rules=[])], "value_error", ["body", 0]),
]


@pytest.mark.parametrize("body, kind, loc", BAD_POLICIES)
def test_ill_formed_policies_are_refused(api, body, kind, loc):
    (found_kind, found_loc, text), *_ = errors(api.patch(POLICY, body))
    assert (found_kind, found_loc) == (kind, loc)
    if loc == ["body", 0] and kind == "value_error":
        assert text == "Value error, Provide either 'action_type' or 'rules', not both."


def test_fifty_policies_are_taken_and_one_more_is_not(api):
    many = [policy(name=f"P{number}", key=f"p{number}") for number in range(51)]
    assert len(must_all(api.patch(POLICY, many[:50]))) == 50
    assert errors(api.patch(POLICY, many)) == [
        ("too_long", ["body"], "List should have at most 50 items after validation, not 51")]


def test_a_policy_is_deleted_with_its_rules_unless_requests_refer_to_it(api, mine, identity):
    must_all(api.patch(TARGETS, [{"data_category": "user.name", "key": "my_target"}]))
    answer = api.delete(f"{POLICY}/my_policy")
    assert (answer.status_code, answer.content) == (204, b"")
    must_all(api.patch("/dsr/policy/another/rule", [rule()]))  # its rule's key is free
    must_all(api.patch("/dsr/policy/another/rule/my_rule/target", [{"data_category": "user", "key": "my_target"}]))
    must_all(api.patch(POLICY, [{"name": "Referred to", "key": "referred_to", "action_type": "access"}]))
    api.create_request(identity(), "referred_to")
    assert refusal(api.delete(f"{POLICY}/referred_to")) == (
        409, "Cannot delete policy referred_to: it is referenced by one or more privacy requests.")
    assert must(api.get(f"{POLICY}/referred_to"))["rules"]


def test_requests_of_a_new_policy_run_at_once_by_its_rules(api, identity):
    """The configuration that requests are created by is never behind."""
    for number in range(5):
        must_all(api.patch(POLICY, [{"name": f"Fresh {number}", "key": f"fresh_{number}", "action_type": "access"}]))
        assert api.create_request(identity(), f"fresh_{number}")["policy"]["key"] == f"fresh_{number}"


# --- rules -----------------------------------------------------------------------------------------------


def test_a_rule_is_created_shown_and_changed(api, mine):
    shown = must(api.get(f"{RULES}/my_rule"))
    assert list(shown) == ["name", "key", "action_type", "storage_destination", "masking_strategy", "targets"]
    assert shown == {"name": "My Rule", "key": "my_rule", "action_type": "access", "storage_destination": None,
                     "masking_strategy": None, "targets": []}
    changed, = must_all(api.patch(RULES, [erasure(name="Renamed", masking_strategy={
        "strategy": "aes_encrypt", "configuration": {"mode": "GCM"}})]))
    assert changed == shown | {"name": "Renamed", "action_type": "erasure",
                               "masking_strategy": {"strategy": "aes_encrypt"}}
    assert must(api.get(RULES))["items"] == [changed]
    assert must(api.get(f"{POLICY}/my_policy"))["rules"] == [
        {name: value for name, value in changed.items() if name != "targets"}]


def test_the_order_of_rules_is_that_of_their_creation(api, mine):
    must_all(api.patch(RULES, [erasure(key="second"), rule(key="third")]))
    must_all(api.patch(RULES, [rule(name="First again")]))
    assert [item["key"] for item in must(api.get(f"{POLICY}/my_policy"))["rules"]] == ["my_rule", "second", "third"]


def test_a_masking_configuration_is_kept_inside(api, mine, db):
    strategy = {"strategy": "string_rewrite", "configuration": {"rewrite_value": "gone", "more": [1, None]}}
    answer = api.patch(RULES, [erasure(masking_strategy=strategy)])
    assert "gone" not in answer.text
    (stored,), = db.execute("select masking_strategy from rule where key = 'my_rule'")
    assert stored == strategy
    must_all(api.patch(RULES, [erasure(masking_strategy={"strategy": "no_such_one"})]))
    (stored,), = db.execute("select masking_strategy from rule where key = 'my_rule'")
    assert stored == {"strategy": "no_such_one", "configuration": {}}


def test_an_access_rule_has_a_storage_destination(api, mine):
    store = {"name": "My Store", "key": "my_store", "type": "local", "details": {"naming": "request_id"},
             "format": "json"}
    must_all(api.patch("/storage/config", [store]))
    changed, = must_all(api.patch(RULES, [rule(storage_destination_key="my_store")]))
    assert changed["storage_destination"] == store | {"is_default": False}
    assert must(api.get(f"{POLICY}/my_policy"))["rules"][0]["storage_destination"]["key"] == "my_store"
    must_all(api.patch(RULES, [rule(storage_destination_key="my_store", action_type="consent")]))
    assert must(api.get(f"{RULES}/my_rule"))["storage_destination"] is None
    must(api.delete("/storage/config/my_store"), 204)


@pytest.mark.parametrize("element, text", [
    (rule(key="new", storage_destination_key="nowhere"), "A StorageConfig with key nowhere does not exist"),
    (rule(key="new", action_type="erasure"), "Erasure Rules must have masking strategies."),
    (rule(key="new", action_type="erasure", masking_strategy=None), "Erasure Rules must have masking strategies."),
    (erasure(key="new", storage_destination_key="nowhere"), "Erasure Rules cannot have storage destinations."),
    (rule(key="new", action_type="update"), "update Rules are not supported at this time."),
    (rule(action_type="update"), "update Rules are not supported at this time."),
    (rule(key="others_rule"), "Rule with identifier others_rule belongs to another policy."),
    (rule(key=None), clash("my_rule", "Rule")),
    (rule(key=None, name="Others rule"), clash("others_rule", "Rule")),
    (rule(key=None, name="?"), "Rule requires a key: none can be made of its name."),
])
def test_a_rule_that_cannot_be_fails(api, mine, element, text):
    before = must(api.get(RULES))
    failure = failed(api.patch(RULES, [element]))
    assert failure["message"] == text
    assert failure["data"]["action_type"] == element["action_type"]
    assert must(api.get(RULES)) == before


def test_a_policy_has_one_consent_rule(api, mine):
    must_all(api.patch(RULES, [rule(key="consent", action_type="consent")]))
    must_all(api.patch(RULES, [rule(key="consent", action_type="consent", name="The same")]))
    text = "Policies can only have one consent rule attached.  Existing rule consent found."
    assert failed(api.patch(RULES, [rule(key="more", action_type="consent")]))["message"] == text
    assert failed(api.patch(RULES, [rule(action_type="consent")]))["message"] == text
    must_all(api.patch("/dsr/policy/another/rule", [rule(key="others_consent", action_type="consent")]))


def test_a_failing_rule_keeps_nobody_else_back(api, mine):
    answer = must(api.patch(RULES, [rule(key="a"), rule(key="b", action_type="erasure"), rule(key="c")]))
    assert [item["key"] for item in answer["succeeded"]] == ["a", "c"]
    assert [failure["data"]["key"] for failure in answer["failed"]] == ["b"]


@pytest.mark.parametrize("element, kind, loc", [
    ({"key": "a", "action_type": "access"}, "missing", ["name"]), ({"name": "a"}, "missing", ["action_type"]),
    (rule(action_type="destroy"), "enum", ["action_type"]), (rule(action_type=None), "enum", ["action_type"]),
    (rule(name=""), "string_too_short", ["name"]), (rule(name=[]), "string_type", ["name"]),
    (rule(key="a b"), "value_error", ["key"]), (rule(key="a>b"), "value_error", ["key"]),
    (rule(storage_destination_key="a b"), "value_error", ["storage_destination_key"]),
    (rule(masking_strategy="hmac"), "model_attributes_type", ["masking_strategy"]),
    (rule(masking_strategy={}), "missing", ["masking_strategy", "strategy"]),
    (rule(masking_strategy={"strategy": 1}), "string_type", ["masking_strategy", "strategy"]),
    (rule(masking_strategy={"strategy": "hmac", "configuration": "x"}), "dict_type",
     ["masking_strategy", "configuration"]),
    ("x", "model_attributes_type", []),
])
def test_ill_formed_rules_are_refused(api, mine, element, kind, loc):
    assert errors(api.patch(RULES, [rule(key="fine"), element]))[0][:2] == (kind, ["body", 1, *loc])
    assert api.get(f"{RULES}/fine").status_code == 404


# --- targets ---------------------------------------------------------------------------------------------


def test_a_target_is_created_shown_and_changed(api, mine, db):
    (rule_id,), = db.execute("select id from rule where key = 'my_rule'")
    named, plain = must_all(api.patch(TARGETS, [
        {"data_category": "user.contact", "name": "My Target"}, {"data_category": "user.contact.email"}]))
    assert named == {"name": "My Target", "key": "my_target", "data_category": "user.contact"}
    assert plain == {"name": f"{rule_id}-user.contact.email", "data_category": "user.contact.email",
                     "key": f"{rule_id.replace('-', '_')}_usercontactemail"}
    assert must(api.get(f"{TARGETS}/my_target")) == named
    changed, = must_all(api.patch(TARGETS, [{"data_category": "system", "key": "my_target"}]))
    assert changed == {"name": f"{rule_id}-system", "key": "my_target", "data_category": "system"}
    assert must(api.get(TARGETS))["items"] == [plain, changed]
    assert targets_of(api, "my_policy", "my_rule") == ["system", "user.contact.email"]


def test_a_target_that_cannot_be_fails(api, mine, db):
    (rule_id,), = db.execute("select id from rule where key = 'my_rule'")
    must_all(api.patch(TARGETS, [{"data_category": "user.name", "name": "My Target"}]))
    for element, text in [
        ({"data_category": "user.name"}, f"DataCategory user.name is already specified on Rule with ID {rule_id}"),
        ({"data_category": "user.name", "key": "more"},
         f"DataCategory user.name is already specified on Rule with ID {rule_id}"),
        ({"data_category": "user.device", "key": "others_target"},
         "RuleTarget with identifier others_target belongs to another rule."),
        ({"data_category": "user.device", "name": "My Target"}, clash("my_target", "RuleTarget")),
        ({"data_category": "user.device", "name": "Others target"}, clash("others_target", "RuleTarget")),
        ({"data_category": "user.device", "name": "?"}, "RuleTarget requires a key: none can be made of its name."),
    ]:
        failure = failed(api.patch(TARGETS, [element]))
        assert failure["message"] == text
        assert failure["data"] == {"data_category": element["data_category"], "name": element.get("name"),
                                   "key": element.get("key")}
    assert targets_of(api, "my_policy", "my_rule") == ["user.name"]
    answer = must(api.patch(TARGETS, [{"data_category": "user.device"}, {"data_category": "user.name"},
                                      {"data_category": "user.social"}]))
    assert (len(answer["succeeded"]), len(answer["failed"])) == (2, 1)


@pytest.mark.parametrize("categories, told", [
    (["user.shoe_size"], "['user.shoe_size']"), (["user.name", "", "USER.NAME"], "['', 'USER.NAME']"),
    (["user.name.", "user.*"], "['user.name.', 'user.*']"), (["größe"], "['größe']"),
    (["'; drop table rule; --"], "[''; drop table rule; --']"),
])
def test_unknown_categories_refuse_the_whole_call(api, mine, categories, told):
    body = [{"data_category": "user.contact"}] + [{"data_category": category} for category in categories]
    assert refusal(api.patch(TARGETS, body)) == (422, f"Invalid data categories: {told}")
    assert targets_of(api, "my_policy", "my_rule") == []


def test_very_many_unknown_categories_are_cut(api, mine):
    answer = api.patch(TARGETS, [{"data_category": "ö" * 500}] * 50)
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith("Invalid data categories: [")


@pytest.mark.parametrize("element, kind, loc", [
    ({}, "missing", ["data_category"]), ({"data_category": None}, "string_type", ["data_category"]),
    ({"data_category": 1}, "string_type", ["data_category"]),
    ({"data_category": "c" * 513}, "string_too_long", ["data_category"]),
    ({"data_category": "user", "key": "a b"}, "value_error", ["key"]),
    ({"data_category": "user", "name": ""}, "string_too_short", ["name"]),
    ({"data_category": "user", "name": 1}, "string_type", ["name"]), (None, "model_attributes_type", []),
])
def test_ill_formed_targets_are_refused(api, mine, element, kind, loc):
    assert errors(api.patch(TARGETS, [element]))[0][:2] == (kind, ["body", 0, *loc])


def conflict(inner, outer):
    return ("Policy rules are invalid, action conflict in erasure rules detected for categories "
            f"{inner} and {outer}")


def test_erasure_rules_of_a_policy_do_not_overlap(api, mine):
    must_all(api.patch(RULES, [erasure(), erasure(key="second"), rule(key="reads")]))
    second = TARGETS.replace("my_rule", "second")
    must_all(api.patch(TARGETS, [{"data_category": "user.contact", "key": "outer"}]))
    for path, category, text in [
        (TARGETS, "user.contact.email", conflict("user.contact.email", "user.contact")),
        (second, "user.contact.address.city", conflict("user.contact.address.city", "user.contact")),
        (second, "user", conflict("user.contact", "user")),
    ]:
        assert failed(api.patch(path, [{"data_category": category}]))["message"] == text
    must_all(api.patch(second, [{"data_category": "user.contact", "key": "twice"}]))  # the same is no conflict
    must_all(api.patch(second, [{"data_category": "user.content"}]))                  # nor is a common beginning
    must_all(api.patch(TARGETS.replace("my_rule", "reads"), [{"data_category": "user.contact.email"}]))
    assert failed(api.patch(RULES, [erasure(key="reads")]))["message"] == conflict("user.contact.email", "user.contact")
    # What a target leaves behind is no hindrance to itself.
    must_all(api.patch(second, [{"data_category": "user.social", "key": "twice"}]))
    must_all(api.patch(TARGETS, [{"data_category": "user.contact.email", "key": "outer"}]))
    must_all(api.patch(TARGETS, [{"data_category": "user.contact.phone_number"}]))
    must_all(api.patch(RULES, [erasure(key="reads")]))


def test_another_policy_s_erasure_rules_are_no_concern(api, mine):
    must_all(api.patch(RULES, [erasure()]))
    must_all(api.patch(TARGETS, [{"data_category": "user"}]))


# --- what is not there, and what is another's --------------------------------------------------------------

NO_POLICY = "No Policy found for key nobody."


@pytest.mark.parametrize("method, path, text", [
    ("GET", "/nobody", NO_POLICY), ("DELETE", "/nobody", NO_POLICY), ("GET", "/nobody/rule", NO_POLICY),
    ("PATCH", "/nobody/rule", NO_POLICY), ("GET", "/nobody/rule/my_rule", NO_POLICY),
    ("DELETE", "/nobody/rule/my_rule", NO_POLICY), ("GET", "/nobody/rule/my_rule/target", NO_POLICY),
    ("PATCH", "/nobody/rule/my_rule/target", NO_POLICY), ("DELETE", "/nobody/rule/my_rule/target/x", NO_POLICY),
    ("GET", "/my_policy/rule/nobody", "No Rule found for key nobody attached to policy my_policy"),
    ("GET", "/my_policy/rule/others_rule", "No Rule found for key others_rule attached to policy my_policy"),
    ("DELETE", "/my_policy/rule/nobody", "No Rule found for key nobody on Policy my_policy."),
    ("DELETE", "/my_policy/rule/others_rule", "No Rule found for key others_rule on Policy my_policy."),
    ("GET", "/my_policy/rule/others_rule/target",
     "No Rule found for key others_rule attached to policy my_policy"),
    ("PATCH", "/my_policy/rule/others_rule/target", "No Rule found for key others_rule on Policy my_policy."),
    ("GET", "/my_policy/rule/others_rule/target/others_target",
     "No Rule found for key others_rule attached to policy my_policy"),
    ("DELETE", "/my_policy/rule/others_rule/target/others_target",
     "No Rule found for key others_rule on Policy my_policy."),
    ("GET", "/my_policy/rule/my_rule/target/nobody",
     "No Rule Target found for key nobody attached to rule my_rule."),
    ("GET", "/my_policy/rule/my_rule/target/others_target",
     "No Rule Target found for key others_target attached to rule my_rule."),
    ("DELETE", "/my_policy/rule/my_rule/target/nobody",
     "No RuleTarget found for key nobody at Rule my_rule on Policy my_policy."),
    ("DELETE", "/my_policy/rule/my_rule/target/others_target",
     "No RuleTarget found for key others_target at Rule my_rule on Policy my_policy."),
])
def test_what_is_not_there_is_told_in_the_contract_s_words(api, mine, method, path, text):
    body = [{"data_category": "user.name"}] if path.endswith("target") else [rule(key="fresh")]
    assert refusal(api.request(method, POLICY + path, json=body)) == (404, text)
    assert targets_of(api, "another", "others_rule") == ["user.name"]


@pytest.mark.parametrize("path, name", [("/a%20b", "key"), ("/my_policy/rule/a%20b", "rule"),
                                        ("/my_policy/rule/my_rule/target/a%20b", "target")])
def test_a_path_s_keys_must_be_keys(api, mine, path, name):
    for method in ("GET", "DELETE"):
        (kind, loc, text), = errors(api.request(method, POLICY + path))
        assert (kind, loc[0], text) == ("value_error", "path", KEY_RULE + "a b")


def test_rules_and_targets_are_deleted(api, mine):
    must_all(api.patch(TARGETS, [{"data_category": "user.name", "key": "one"},
                                 {"data_category": "user.device", "key": "two"}]))
    answer = api.delete(f"{TARGETS}/one")
    assert (answer.status_code, answer.content) == (204, b"")
    assert targets_of(api, "my_policy", "my_rule") == ["user.device"]
    assert api.delete(f"{RULES}/my_rule").status_code == 204
    assert must(api.get(RULES))["total"] == 0
    must_all(api.patch("/dsr/policy/another/rule/others_rule/target", [{"data_category": "user", "key": "two"}]))


def test_rules_that_are_saved_at_once_keep_the_one_consent_rule(api, mine):
    def save(number):
        return must(same_session(api).patch(RULES, [rule(key=f"consent_{number}", action_type="consent")]))

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(save, range(6)))
    assert sum(len(answer["succeeded"]) for answer in answers) == 1
    assert sum(item["action_type"] == "consent" for item in must(api.get(RULES))["items"]) == 1


# --- scopes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, scope", [
    ("GET", "", "policy:read"), ("PATCH", "", "policy:create_or_update"), ("GET", "/x", "policy:read"),
    ("DELETE", "/x", "policy:delete"), ("GET", "/x/rule", "rule:read"), ("PATCH", "/x/rule", "rule:create_or_update"),
    ("GET", "/x/rule/y", "rule:read"), ("DELETE", "/x/rule/y", "rule:delete"), ("GET", "/x/rule/y/target", "rule:read"),
    ("PATCH", "/x/rule/y/target", "rule:create_or_update"), ("GET", "/x/rule/y/target/z", "rule:read"),
    ("DELETE", "/x/rule/y/target/z", "rule:delete"),
])
def test_each_way_needs_its_scope(api, method, path, scope):
    assert_scope(api, method, POLICY + path, scope)
