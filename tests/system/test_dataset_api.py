"""Datasets: uploaded as JSON and YAML, linked to connections, checked before there is a request. Contract: rest.md 16,
dsr.md 1 and 2."""

import json
import os
import re
import subprocess

import pytest

from configuring import KEY_RULE, assert_scope, errors, failed, refusal
from utils import ROOT, must, must_all

SHOP = """\
dataset:
  - fides_key: shop
    name: Web shop
    description: what is sold, and to whom   # and this is a comment
    collections:
      - name: orders
        fields:
          - name: id
            data_categories: [system.operations]
            fides_meta: {primary_key: true, data_type: integer}
          - name: customer_id
            fides_meta:
              data_type: integer
              references:
                - dataset: shop
                  field: customer.id
                  direction: from
      - name: customer
        fields:
          - name: id
            data_categories: [user.unique_id]
            fides_meta: {primary_key: true, data_type: integer}
          - name: email
            data_categories:
              - user.contact.email
            fides_meta:
              identity: email
              data_type: string
          - name: address
            fides_meta: {data_type: object}
            fields:
              - name: street
                data_categories: [user.contact.address.street]
              - name: city
"""
FIELD = {"name": "email", "data_categories": ["user.contact.email"],
         "fides_meta": {"identity": "email", "data_type": "string"}}
PATH = "/connection/shop_db/dataset"
YAML = "/yml/connection/shop_db/dataset"
CONFIG = "/connection/shop_db/datasetconfig"
VALIDATE = "/connection/shop_db/validate_dataset"


def dataset(key="shop", *fields, **more):
    """With one collection, `customer`."""
    return {"fides_key": key, "collections": [{"name": "customer", "fields": list(fields) or [FIELD]}]} | more


def put_yaml(api, text, content_type="application/x-yaml"):
    return api.patch(YAML, data=text, headers={"Content-Type": content_type})


@pytest.fixture(autouse=True)
def databases(api):
    must_all(api.patch("/connection", [
        {"key": key, "name": key, "connection_type": "postgres", "access": "write"}
        for key in ("shop_db", "other_db")]))


def link(key, dataset_key=None, **more):
    return {"fides_key": key, "ctl_dataset_fides_key": dataset_key or key} | more


def links(api, connection="shop_db"):
    return [item["fides_key"] for item in must(api.get(f"/connection/{connection}/datasetconfig"))["items"]]


# --- uploading -----------------------------------------------------------------------------------------------


def test_yaml_and_json_give_the_same(api):
    answer = must(put_yaml(api, SHOP))
    assert (answer["failed"], answer["warnings"]) == ([], [])
    shown = must(api.get(f"{PATH}/shop"))
    assert answer["succeeded"] == [shown]
    assert api.delete(f"{PATH}/shop").status_code == 204
    again = must(api.patch(PATH, [shown]))
    assert again == {"succeeded": [shown], "failed": [], "warnings": []}
    assert must(api.get(f"{PATH}/shop")) == shown


def test_a_dataset_is_shown_in_order_with_what_is_known(api):
    must(put_yaml(api, SHOP))
    shown = must(api.get("/dataset/shop"))
    assert list(shown) == ["fides_key", "organization_fides_key", "name", "description", "collections"]
    assert (shown["organization_fides_key"], shown["description"]) == (
        "default_organization", "what is sold, and to whom")
    customer, orders = shown["collections"]
    assert (customer["name"], orders["name"]) == ("customer", "orders")
    assert [field["name"] for field in customer["fields"]] == ["address", "email", "id"]
    assert [field["name"] for field in customer["fields"][0]["fields"]] == ["city", "street"]
    assert orders["fields"][0]["fides_meta"]["references"] == [
        {"dataset": "shop", "field": "customer.id", "direction": "from"}]


def test_unknown_keys_are_dropped_and_the_old_name_is_taken(api):
    old = {"name": "email", "fidesops_meta": {"identity": "email"}, "surprise": 1, "description": None}
    made, = must_all(api.patch(PATH, [dataset("shop", old, surprise=[1], tags=["a"])]))
    assert made == {"fides_key": "shop", "organization_fides_key": "default_organization", "tags": ["a"],
                    "collections": [{"name": "customer", "fields": [
                        {"name": "email", "fides_meta": {"identity": "email"}}]}]}


def test_an_upload_replaces_the_whole(api):
    must(put_yaml(api, SHOP))
    must_all(api.patch(PATH, [dataset(description="anew")]))
    shown = must(api.get(f"{PATH}/shop"))
    assert shown["description"] == "anew" and "name" not in shown and len(shown["collections"]) == 1
    assert must(api.get(PATH))["total"] == 1


def test_references_to_what_is_not_there_yet_are_taken(api):
    reference = {"name": "ref", "fides_meta": {"references": [{"dataset": "later", "field": "a.b"}]}}
    must_all(api.patch(PATH, [dataset("shop", reference)]))


def test_a_failing_element_keeps_nobody_else_back(api):
    answer = must(api.patch(PATH, [dataset("a"), dataset("b", {"name": "x", "data_categories": ["user.nothing"]},
                                                         description="that"), dataset("c")]))
    assert [item["fides_key"] for item in answer["succeeded"]] == ["a", "c"]
    failure, = answer["failed"]
    assert failure["data"] == {"fides_key": "b", "name": None, "description": "that"}
    assert failure["message"] == (
        "Dataset create/update failed. Dataset 'b', collection 'customer', field 'x': data_categories.0: "
        "The data category user.nothing is not supported.")
    assert links(api) == ["a", "c"]


def test_a_dataset_has_one_connection(api):
    must_all(api.patch(PATH, [dataset()]))
    text = "Dataset create/update failed. Dataset 'shop' belongs to the connection 'shop_db' already."
    assert failed(api.patch("/connection/other_db/dataset", [dataset()]))["message"] == text
    assert failed(api.patch("/connection/other_db/datasetconfig", [link("mine", "shop")]))["message"] == text
    assert api.delete(f"{PATH}/shop").status_code == 204
    must_all(api.patch("/connection/other_db/dataset", [dataset()]))
    assert (links(api), links(api, "other_db")) == ([], ["shop"])


def test_only_a_database_has_datasets(api):
    must_all(api.patch("/connection", [{"key": "crm", "name": "crm", "connection_type": "https", "access": "read"}]))
    text = "Datasets need a connection of type 'postgres': 'crm' is of type 'https'."
    assert refusal(api.patch("/connection/crm/dataset", [dataset()])) == (400, text)
    assert refusal(api.put("/connection/crm/datasetconfig", [])) == (400, text)
    assert must(api.get("/connection/crm/dataset"))["total"] == 0


def test_a_thousand_are_taken_and_one_more_is_not(api, db):
    many = [{"fides_key": f"many_{number:04}", "collections": []} for number in range(1001)]
    assert errors(api.patch(PATH, many)) == [
        ("too_long", ["body"], "List should have at most 1000 items after validation, not 1001")]
    assert len(must_all(api.patch(PATH, many[:1000], timeout=120))) == 1000
    assert [len(must(api.get(path, params={"size": size}))["items"])
            for path, size in ((PATH, 100), (CONFIG, 1000))] == [100, 1000]
    assert errors(api.get(CONFIG, params={"size": 1001}))[0][1] == ["query", "size"]
    assert errors(api.get(PATH, params={"size": 101}))[0][1] == ["query", "size"]
    assert len(must(api.get("/dataset"))) == 1000
    must(api.post("/dataset", dataset("one_more")), 201)
    assert refusal(api.get("/dataset")) == (
        400, "There are 1001 datasets: ask for pages of them, by page and size.")
    assert api.delete("/connection/shop_db").status_code == 204
    db.execute("delete from dataset")  # quicker than one by one


# --- what does not fit ---------------------------------------------------------------------------------------


def field(**meta):
    return dataset("shop", {"name": "x", "fides_meta": meta})


def nested(depth):
    below = {"name": "f"}
    for _ in range(depth - 1):
        below = {"name": "f", "fields": [below]}
    return dataset("shop", below)


# A document, and what its refusal names: the place, and why.
BAD_DATASETS = [
    (dataset("shop", name=5), "name: Input should be a valid string"),
    (dataset("shop", tags="a"), "tags: Input should be a valid list"),
    (dataset("shop", meta=[]), "meta: Input should be a valid dictionary"),
    (dataset("shop", data_categories=["nothing"]), "data_categories.0: The data category nothing is not supported."),
    (dataset("shop", fides_meta=[]), "fides_meta: Input should be a valid dictionary"),
    (dataset("shop", fides_meta={"namespace": {}}), "fides_meta.namespace.schema: Field required"),
    (dataset("shop", fides_meta={"namespace": {"schema": "s", "connection_type": "bigquery"}}),
     "fides_meta.namespace.connection_type: Input should be 'postgres'"),
    (dataset("shop", fides_meta={"after": "other"}), "fides_meta.after: Input should be a valid list"),
    (dataset("shop", fides_meta={"redact": "all"}), "fides_meta.redact: Input should be 'name'"),
    (dataset("shop", collections=["customer"]), "collection '?': Input should be a valid dictionary"),
    (dataset("shop", collections=[{}]), "name: Field required"),
    (dataset("shop", collections=[{"name": "customer"}]), "collection 'customer': fields: Field required"),
    (dataset("shop", collections=[{"name": "", "fields": []}]), "name: String should have at least 1 character"),
    (dataset("shop", collections=[{"name": "a", "fields": []}] * 2), "name: The name 'a' is used more than once."),
    (dataset("shop", collections=[{"name": "a", "fields": [], "data_categories": ["user.x"]}]),
     "collection 'a': data_categories.0: The data category user.x is not supported."),
    (dataset("shop", collections=[{"name": "a", "fields": [], "fides_meta": {"after": ["b"]}}]),
     "collection 'a': fides_meta.after.0: FidesCollection must be specified in the form 'FidesKey.FidesKey'"),
    (dataset("shop", collections=[{"name": "a", "fields": [], "fides_meta": {"erase_after": ["."]}}]),
     "collection 'a': fides_meta.erase_after.0: FidesCollection must be"),
    (dataset("shop", collections=[{"name": "a", "fields": [], "fides_meta": {"skip_processing": "perhaps"}}]),
     "collection 'a': fides_meta.skip_processing: Input should be a valid boolean"),
    (dataset("shop", "x"), "collection 'customer'"),
    (dataset("shop", {"name": None}), "field '?': name: Input should be a valid string"),
    (dataset("shop", {"name": ["x"]}), "name: Input should be a valid string"),
    (dataset("shop", {"name": "x" * 256}), "name: String should have at most 255 characters"),
    (dataset("shop", {"name": "x"}, {"name": "x"}), "collection 'customer', field 'x': name: The name 'x' is used"),
    (dataset("shop", {"name": "x", "data_categories": "user.name"}),
     "field 'x': data_categories: Input should be a valid list"),
    (dataset("shop", {"name": "x", "data_categories": ["user.name", "user.nothing"]}),
     "field 'x': data_categories.1: The data category user.nothing is not supported."),
    (dataset("shop", {"name": "x", "data_categories": [None]}), "data_categories.0: Input should be a valid string"),
    (dataset("shop", {"name": "x", "fields": [{"name": "y", "data_categories": ["no"]}]}),
     "field 'x.y': data_categories.0: The data category no is not supported."),
    (dataset("shop", {"name": "x", "fides_meta": {"data_type": "string"}, "fields": [{"name": "y"}]}),
     "field 'x': fields: The data type 'string' on field 'x' is not compatible with specified sub-fields."),
    (field(data_type="text"), "field 'x': fides_meta.data_type: The data type text is not supported."),
    (field(data_type="[]"), "fides_meta.data_type: The data type [] is not supported."),
    (field(data_type=1), "fides_meta.data_type: Input should be a valid string"),
    (field(length=0), "fides_meta.length: Illegal length (0). Only positive non-zero values are allowed."),
    (field(length="long"), "fides_meta.length: Input should be a valid integer"),
    (field(primary_key="perhaps"), "fides_meta.primary_key: Input should be a valid boolean"),
    (field(read_only=[]), "fides_meta.read_only: Input should be a valid boolean"),
    (field(identity=7), "fides_meta.identity: Input should be a valid string"),
    (field(identity=""), "fides_meta.identity: String should have at least 1 character"),
    (field(custom_request_field={}), "fides_meta.custom_request_field: Input should be a valid string"),
    (field(return_all_elements=True), "fides_meta.return_all_elements: The 'return_all_elements' attribute can only"),
    (field(redact=True), "fides_meta.redact: Input should be"),
    (field(references={}), "fides_meta.references: Input should be a valid list"),
    (field(references=[{}]), "fides_meta.references.0.dataset: Field required"),
    (field(references=[{"dataset": "a", "field": "b"}]),
     "fides_meta.references.0.field: References must be in the form 'collection.column'."),
    (field(references=[{"dataset": "a", "field": "b."}]), "fides_meta.references.0.field: References must be"),
    (field(references=[{"dataset": "a", "field": "b.c", "direction": "both"}]),
     "fides_meta.references.0.direction: Input should be 'from' or 'to'"),
    (field(references=[{"dataset": "shop", "field": "customer.y"}]),
     "fides_meta.references.0.field: collection self-reference not allowed"),
    (field(masking_strategy_override="hash"), "fides_meta.masking_strategy_override: Input should be a valid dict"),
    (field(masking_strategy_override={}), "fides_meta.masking_strategy_override.strategy: Field required"),
    (field(masking_strategy_override={"strategy": "nullify"}), "Strategy 'nullify' does not exist."),
    (field(masking_strategy_override={"strategy": "hash"}),
     "Masking strategy 'hash' with required secrets not allowed as an override."),
    (field(masking_strategy_override={"strategy": "string_rewrite"}), "fides_meta.masking_strategy_override: "),
    (nested(9), "Fields should be at most 8 levels deep."),
    (dataset("shop", collections=[{"name": f"c{number}", "fields": []} for number in range(1001)]),
     "collections: List should have at most 1000 items after validation, not 1001"),
    (dataset("shop", *({"name": f"f{number}"} for number in range(10001))),
     "fields: List should have at most 10000 items after validation, not 10001"),
]


@pytest.mark.parametrize("document, reason", BAD_DATASETS)
def test_what_does_not_fit_fails_with_its_place(api, document, reason):
    message = failed(api.patch(PATH, [document]))["message"]
    assert message.startswith("Dataset create/update failed. Dataset 'shop'") and reason in message
    assert failed(put_yaml(api, json.dumps({"dataset": [document]})))["message"] == message
    assert must(api.get("/dataset")) == []


@pytest.mark.parametrize("document, reason", BAD_DATASETS[::4])
def test_a_whole_body_is_refused_with_the_list_of_what_does_not_fit(api, document, reason):
    refused = errors(api.put(VALIDATE, document))
    assert all(place[0] == "body" for _, place, _ in refused)
    assert refused == errors(api.post("/dataset", document))
    assert refused == [(kind, ["body", *place[2:]], text) for kind, place, text in
                       errors(api.post("/dataset/upsert", [document]))]
    assert refused[0][2].removeprefix("Value error, ")[:20] in reason or reason in refused[0][2]
    assert must(api.get("/dataset")) == []


def test_a_dataset_at_its_bounds_is_taken(api):
    must_all(api.patch(PATH, [nested(8)]))
    must_all(api.patch(PATH, [dataset("wide", *({"name": f"f{number}"} for number in range(10000)))], timeout=60))


NO_OBJECT = "Input should be a valid dictionary or object to extract fields from"
# Bodies that are refused whole, as JSON; and as YAML in one line.
BAD_BODIES = [
    ({}, "list_type", ["body"], "dataset: Input should be a valid list"),
    ([1], "model_attributes_type", ["body", 0], f"dataset.0: {NO_OBJECT}"),
    ([{"collections": []}], "missing", ["body", 0, "fides_key"], "dataset.0.fides_key: Field required"),
    ([{"fides_key": "a"}], "missing", ["body", 0, "collections"], "dataset.0.collections: Field required"),
    ([{"fides_key": None, "collections": []}], "string_type", ["body", 0, "fides_key"],
     "dataset.0.fides_key: Input should be a valid string"),
    ([{"fides_key": "a b", "collections": []}], "value_error", ["body", 0, "fides_key"],
     f"dataset.0.fides_key: {KEY_RULE}a b"),
    ([{"fides_key": "a<b>", "collections": []}], "value_error", ["body", 0, "fides_key"],
     f"dataset.0.fides_key: {KEY_RULE}a<b>"),
    ([dataset(), {"fides_key": "a", "collections": {}}], "list_type", ["body", 1, "collections"],
     "dataset.1.collections: Input should be a valid list"),
]


@pytest.mark.parametrize("body, kind, place, line", BAD_BODIES)
def test_bodies_of_another_shape_are_refused_whole(api, body, kind, place, line):
    assert [error[:2] for error in errors(api.patch(PATH, body))] == [(kind, place)]
    assert refusal(put_yaml(api, json.dumps({"dataset": body}))) == (422, f"Dataset validation failed: {line}")
    assert must(api.get("/dataset")) == []


@pytest.mark.parametrize("text, status, detail", [
    ("", 422, "Dataset validation failed: "),
    ("[]", 422, "Dataset validation failed: "),
    ("datasets: []", 422, "Dataset validation failed: dataset: Field required"),
    ("dataset:", 422, "Dataset validation failed: dataset: "),
    ("dataset: [", 400, "Invalid YAML format: did not find expected node content (line 2)."),
    ("dataset:\n  - a: 1\n   b: 2", 400, "Invalid YAML format: "),
    ("dataset:\n\t- a", 400, "Invalid YAML format: found character that cannot start any token (line 2)."),
    ("a: &x [1]\ndataset: *x", 400, "Invalid YAML format: anchors and aliases are not taken (line 1)."),
    ("dataset: !!python/object/apply:os.system ['true']", 400, "Invalid YAML format: tags are not taken (line 1)."),
    ("dataset: []\ndataset: []", 400, "Invalid YAML format: a key is given twice (line 2)."),
    ("--- a\n--- b", 400, "Invalid YAML format: there is more than one document (line 2)."),
    ("dataset: " + "[" * 100 + "]" * 100, 400, "Invalid YAML format: lists and mappings are nested too deeply"),
    (b"dataset: \xff", 400, "Invalid YAML format: it is not UTF-8."),
    ("dataset: \"\\0\"", 400, "Invalid YAML format: a text has a NUL character (line 1)."),
    ("dataset: [1e999]", 400, "Invalid YAML format: a number is out of range (line 1)."),
])
def test_yaml_that_is_none_is_refused_with_its_line(api, text, status, detail):
    told, words = refusal(put_yaml(api, text))
    assert (told, words[:len(detail)]) == (status, detail)


@pytest.mark.parametrize("type_", ["application/yaml", "text/yaml", "application/json", "application/x-yaml; a=b", ""])
def test_yaml_says_what_it_is(api, type_):
    answer = put_yaml(api, SHOP, type_)
    assert answer.status_code == 415
    assert answer.json()["detail"] == "Unsupported media type: the Content-Type must be application/x-yaml."


@pytest.mark.settings(DOCKET_HTTP_BODY_BYTES="4096")
def test_a_body_beyond_the_bound_is_not_taken(api):
    assert put_yaml(api, SHOP + "#" * 4096).status_code == 413
    assert api.patch(PATH, [dataset(description="x" * 4096)]).status_code == 413


# --- links ---------------------------------------------------------------------------------------------------


def test_datasets_that_are_there_are_linked_and_put_as_a_whole(api):
    for key in "abc":
        must(api.post("/dataset", dataset(key)), 201)
    made = must(api.patch(CONFIG, [link("a"), link("b", property_ids=["p"])]))
    assert [item["fides_key"] for item in made["succeeded"]] == ["a", "b"] and made["warnings"] == []
    assert must(api.get(CONFIG))["items"][0] == {"fides_key": "a", "ctl_dataset": must(api.get("/dataset/a"))}
    assert must(api.get(f"{CONFIG}/b"))["ctl_dataset"]["fides_key"] == "b"
    must_all(api.put(CONFIG, [link("b"), link("c")]))
    assert links(api) == ["b", "c"]
    must_all(api.put(CONFIG, [link("first", "b"), link("b", "c")]))  # under other names
    assert [(item["fides_key"], item["ctl_dataset"]["fides_key"]) for item in must(api.get(CONFIG))["items"]] == [
        ("b", "c"), ("first", "b")]
    assert must(api.get(f"{PATH}/first"))["fides_key"] == "b"
    must_all(api.put(CONFIG, []))
    assert links(api) == [] and len(must(api.get("/dataset"))) == 3


def test_links_to_what_is_not_there_change_nothing(api):
    must_all(api.patch(PATH, [dataset("a")]))
    for method in (api.put, api.patch):
        assert refusal(method(CONFIG, [link("b")])) == (404, "No ctl dataset with key 'b'")
    assert links(api) == ["a"]


@pytest.mark.parametrize("body, place", [
    ({}, []), ([1], [0]), ([{"fides_key": "a"}], [0, "ctl_dataset_fides_key"]),
    ([{"ctl_dataset_fides_key": "a"}], [0, "fides_key"]), ([link("a b")], [0, "fides_key"]),
    ([link("a", "<b>")], [0, "ctl_dataset_fides_key"]), ([link("a", property_ids="p")], [0, "property_ids"]),
    ([link("a", property_ids=[1])], [0, "property_ids", 0]),
    ([link("a", property_ids=["p"] * 101)], [0, "property_ids"]),
])
def test_links_that_do_not_fit(api, body, place):
    for method in (api.put, api.patch):
        assert errors(method(CONFIG, body))[0][1] == ["body", *place]


# --- reading and deleting ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method, path, scope", [
    ("GET", PATH, "dataset:read"), ("PATCH", PATH, "dataset:create_or_update"),
    ("PATCH", YAML, "dataset:create_or_update"), ("GET", f"{PATH}/x", "dataset:read"),
    ("DELETE", f"{PATH}/x", "dataset:delete"), ("GET", CONFIG, "dataset:read"),
    ("PUT", CONFIG, "dataset:create_or_update"), ("PATCH", CONFIG, "dataset:create_or_update"),
    ("GET", f"{CONFIG}/x", "dataset:read"), ("PUT", VALIDATE, "dataset:read"), ("GET", "/dataset", "ctl_dataset:read"),
    ("POST", "/dataset", "ctl_dataset:create"), ("PUT", "/dataset", "ctl_dataset:update"),
    ("POST", "/dataset/upsert", "ctl_dataset:create"), ("GET", "/dataset/x", "ctl_dataset:read"),
    ("DELETE", "/dataset/x", "ctl_dataset:delete"),
])
def test_scopes_and_what_is_not_there(api, method, path, scope):
    assert_scope(api, method, path, scope)
    body = {"PATCH": [], "PUT": [] if path == CONFIG else dataset("x"), "POST": None}.get(method)
    options = {"data": SHOP, "headers": {"Content-Type": "application/x-yaml"}} if path == YAML else {"json": body}
    if "/connection/" in path:
        assert refusal(api.request(method, path.replace("shop_db", "nowhere"), **options)) == (
            404, "No connection config with key 'nowhere'")
    if path.endswith("/x"):
        words = ("No dataset with fides_key 'x' found." if path == "/dataset/x"
                 else "No dataset with fides_key 'x' and connection key shop_db'")
        assert refusal(api.request(method, path, **options)) == (404, words)


def test_datasets_are_created_replaced_and_deleted(api):
    assert must(api.post("/dataset", dataset("a", name="First")), 201)["name"] == "First"
    assert refusal(api.post("/dataset", dataset("a"))) == (409, "Dataset 'a' exists already.")
    assert must(api.put("/dataset", dataset("a", name="Second")))["name"] == "Second"
    assert refusal(api.put("/dataset", dataset("b"))) == (404, "No dataset with fides_key 'b' found.")
    assert must(api.post("/dataset/upsert", [dataset("a"), dataset("b", name="Bee")]), 201) == {
        "message": "Upserted 2 Dataset(s)!", "inserted": 1, "updated": 1}
    assert must(api.post("/dataset/upsert", [dataset("b", name="Bee")]))["inserted"] == 0
    assert [item["fides_key"] for item in must(api.get("/dataset"))] == ["a", "b"]
    assert [item["fides_key"] for item in must(api.get("/dataset", params={"search": "bEE"}))] == ["b"]
    page = must(api.get("/dataset", params={"page": 2, "size": 1}))
    assert (page["total"], [item["fides_key"] for item in page["items"]]) == (2, ["b"])
    assert must(api.delete("/dataset/b")) == {"message": "resource deleted",
                                              "resource": must(api.get("/dataset/a")) | {"fides_key": "b",
                                                                                         "name": "Bee"}}


def test_upserting_is_all_or_nothing_and_needs_both_scopes(api):
    assert errors(api.post("/dataset/upsert", [dataset("a"), dataset("b", name=1)]))[0][1] == ["body", 1, "name"]
    assert must(api.get("/dataset")) == []
    client = must(api.post("/oauth/client", {"scopes": ["ctl_dataset:create"]}))
    creator = type(api).login(api.url, client["client_id"], client["client_secret"])
    assert must(creator.post("/dataset/upsert", [dataset("a")]), 201)["inserted"] == 1
    assert refusal(creator.post("/dataset/upsert", [dataset("a"), dataset("b")])) == (
        403, "Not Authorized for this action. Required scope(s): [ctl_dataset:update]")
    assert len(must(api.get("/dataset"))) == 1


def test_what_is_in_use_is_deleted_in_order(api):
    must_all(api.patch(PATH, [dataset()]))
    assert refusal(api.delete("/dataset/shop")) == (409, "Cannot delete dataset 'shop': connection 'shop_db' uses it.")
    assert [item["fides_key"] for item in must(api.get("/dataset", params={"only_unlinked_datasets": "true"}))] == []
    assert api.delete("/connection/shop_db").status_code == 204
    assert [item["fides_key"] for item in must(api.get("/dataset", params={"only_unlinked_datasets": "true"}))] == [
        "shop"]
    assert api.delete("/dataset/shop").ok


# --- how they would be reached ---------------------------------------------------------------------------------


def validate(api, document):
    answer = must(api.put(VALIDATE, document))
    assert answer["dataset"]["fides_key"] == document["fides_key"]
    return answer["traversal_details"], answer["warnings"]


def reference(to, **more):
    key, target = to.split(".", 1)
    return {"name": "ref", "data_categories": ["user.name"],
            "fides_meta": {"references": [{"dataset": key, "field": target} | more]}}


def test_a_dataset_is_walked_with_those_that_are_linked(api):
    fine = ({"is_traversable": True, "msg": None}, [])
    assert validate(api, dataset()) == fine
    assert must(api.get("/dataset")) == []
    assert validate(api, dataset("orders", reference("shop.customer.email"))) == (
        {"is_traversable": False,
         "msg": "Referenced object shop:customer:email from dataset orders does not exist"}, [])
    must_all(api.patch("/connection/other_db/dataset", [dataset()]))
    assert validate(api, dataset("orders", reference("shop.customer.email", direction="from"))) == fine


def test_what_cannot_be_reached_is_told(api):
    lonely = {"name": "x", "data_categories": ["user.name"]}
    assert validate(api, dataset("shop", lonely)) == (
        {"is_traversable": False, "msg": "Node shop:customer is not reachable"}, [])
    assert validate(api, dataset("shop", {"name": "x"})) == (
        {"is_traversable": True, "msg": None}, ["Node shop:customer is not reachable: it is never read."])
    skipped = {"name": "customer", "fides_meta": {"skip_processing": True}, "fields": [lonely]}
    assert validate(api, dataset("shop", collections=[skipped])) == ({"is_traversable": True, "msg": None}, [])


def test_datasets_of_a_disabled_connection_are_not_there(api):
    must_all(api.patch("/connection/other_db/dataset", [dataset()]))
    must_all(api.patch("/connection", [{"key": "other_db", "connection_type": "postgres", "access": "write",
                                        "disabled": True}]))
    details, _ = validate(api, dataset("orders", reference("shop.customer.email")))
    assert details["is_traversable"] is False


# --- the queries ---------------------------------------------------------------------------------------------


def queries(api, keys=None):
    return [(f"{item['collectionAddress']['dataset']}:{item['collectionAddress']['collection']}", item["query"])
            for item in must(api.put("/privacy-request/preview", keys))]


def test_the_queries_of_a_run_are_shown(api):
    assert queries(api) == []
    must(put_yaml(api, SHOP))
    must_all(api.patch("/connection/other_db/dataset", [dataset("desk")]))
    shown = queries(api)
    assert [address for address, _ in shown] == ["desk:customer", "shop:customer", "shop:orders"]
    assert shown == queries(api, ["shop", "desk"])
    assert queries(api, ["desk"]) == shown[:1]
    assert queries(api, []) == []
    assert shown[2][1].startswith("SELECT ") and '"orders"' in shown[2][1] and ":customer_id" in shown[2][1]


def test_a_preview_of_what_cannot_be_walked(api):
    must_all(api.patch(PATH, [dataset("orders", reference("shop.customer.email"))]))
    for keys in (None, ["orders"]):
        assert refusal(api.put("/privacy-request/preview", keys)) == (
            400, "Dry run failed: Referenced object shop:customer:email from dataset orders does not exist")
    assert refusal(api.put("/privacy-request/preview", ["nothing"])) == (404, "No dataset with id 'nothing'")
    assert refusal(api.put("/privacy-request/preview", ["orders", "orders"])) == (404, "No dataset with id 'orders'")
    assert errors(api.put("/privacy-request/preview", [1]))[0][1] == ["body", 0]
    assert_scope(api, "PUT", "/privacy-request/preview", "privacy-request:read")


# --- in the documentation ------------------------------------------------------------------------------------


def test_the_documentation_s_examples_work(stack, api):
    assert api.delete("/connection/shop_db").status_code == 204
    environment = os.environ | {
        "DOCKET_API_URL": api.url, "TOKEN": api.session.headers["Authorization"].removeprefix("Bearer "),
        "DB_HOST": "127.0.0.1", "DB_PORT": str(stack.postgres.port), "DB_NAME": stack.name,
        "DB_USER": stack.postgres.ROLE, "DB_PASSWORD": stack.postgres.password}

    def run(example):
        return json.loads(subprocess.run(["bash", "-euo", "pipefail", "-c", example], env=environment, check=True,
                                         capture_output=True, timeout=60).stdout)

    text = (ROOT / "docs/datasets.md").read_text()
    made, tried, limited, uploaded, validated, previewed = map(run, re.findall(r"```sh\n(.*?)```", text, re.DOTALL))
    assert made["succeeded"][0]["key"] == "shop_db" and tried["test_status"] == "succeeded"
    assert (limited["statement_timeout"], limited["row_limit"]) == ("30s", 100000)
    assert uploaded["succeeded"] == [must(api.get("/dataset/shop"))] and uploaded["failed"] == []
    assert validated["traversal_details"] == {"is_traversable": True, "msg": None} and validated["warnings"] == []
    assert [item["collectionAddress"]["collection"] for item in previewed] == ["customer", "orders"]
    told = re.search(r"\n    (Dataset create/update failed\. .*?)\n\n", text, re.DOTALL)[1]
    wrong = dataset("shop", FIELD | {"data_categories": ["user.nothing"]})
    assert failed(api.patch(PATH, [wrong]))["message"] == re.sub(r"\s+", " ", told)
