"""Ten thousand inputs that are wrong, over all endpoints: each is refused in the contract's shape, none does
anything, none is a failure of docket.

The inputs come from a seed that a failure names; DOCKET_TEST_SEED=... makes the same ones again.
"""

import base64
import copy
import json
import os
import random
import re
import secrets
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

from utils import ROOT, Answer, Api, must, wait_until

INPUTS = 10_000
THREADS = 4
BODY_BYTES = 4 << 20  # docket-api's bound; docket-callback's is lower
MISSING = object()

# --- what is wrong with a value --------------------------------------------------------------------------

NO_TEXT = [1, -1.5, True, [], {}, ["x"], {"a": 1}, 10 ** 30]
NO_KEY = [*NO_TEXT, "a b", "a/b", "schlüssel", "<x>", "a\nb", "a\tb", "k" * 200_000]
NO_WORD = [*NO_TEXT, "", "no such word", "HTTPS ", "read\n"]
NO_BOOL = ["maybe", 2, -1, 0.5, [], {}, "", "truefalse", [True]]
NO_INT = ["x", 1.5, [], {}, "", "1x", "one"]
NO_OBJECT = [1, "x", [], True, ["a"], ""]
NO_LIST = [1, "x", {}, True, None, ""]
NO_TIME = [[], {}, "yesterday", "2026-13-01", "2026-01-01T25:00:00Z", "", "2026-01-01T00:00:00+99:99"]
NO_EMAIL = [*NO_TEXT, "nobody", "a@", "@example.com", "a b@example.com", "a@b@example.com", "a@example..com"]
NO_PHONE = [*NO_TEXT, "555-5555", "+0123456789", "+1", "+1 555 123 4567", "+" + "9" * 40, "++15551234567"]
NO_UUID = [*NO_TEXT, "1", "g" * 36, "00000000-0000-4000-8000-00000000000", "{" + "0" * 36 + "}"]
NO_LABELLED = [1, "x", [], True, {}, {"label": "x"}, {"value": "x"}, {"label": 1, "value": "x"},
               {"label": "x", "value": {}}, {"label": "x", "value": 1.5}, {"label": "x", "value": True},
               {"label": "x", "value": [[]]}, {"label": None, "value": "x"}]
REQUIRED = [None, MISSING]
DATASET = {"fides_key": "bad_input", "collections": [{"name": "a", "fields": [
    {"name": "b", "data_categories": ["user.name"], "fides_meta": {"data_type": "string"}}]}]}
COLUMN = ("collections", 0, "fields", 0)


@dataclass
class Endpoint:
    """A route with a right body, and which values are wrong at which of its places."""

    method: str
    path: str
    scope: str | None = None  # None: anyone may call
    body: object = None
    wrong: dict = field(default_factory=dict)  # place (a tuple) -> values
    query: dict = field(default_factory=dict)  # parameter -> wrong values
    strict: bool = False  # an unknown member is wrong
    program: str = "docket-api"
    prefix: str = "/api/v1"


PAGE = {"page": ["0", "-1", "x", "", "1.5", "99999999999999999999"], "size": ["0", "101", "x", "-5", ""]}
SEARCH_TIMES = {f"{what}_{end}": ["yesterday", "2026-13-45"] for what in ("created", "started", "completed", "errored")
                for end in ("lt", "gt")}
SELECTION = {("request_ids",): [1, "x", {}, True, [], [1], [[]], [None]], ("exclude_ids",): [["x"], 1, "x"],
             ("filters",): [{"status": "new"}, 1, "x", [], {"request_id": 5}]}
ELEMENT = {"policy_key": "default_access_policy", "identity": {"email": "bad-input@example.com"}}
CREATE = {
    (0,): [1, "x", None, True, []],
    (0, "policy_key"): NO_KEY + REQUIRED,
    (0, "identity"): NO_OBJECT + REQUIRED,
    (0, "identity", "email"): NO_EMAIL, (0, "identity", "phone_number"): NO_PHONE,
    (0, "identity", "fides_user_device_id"): NO_UUID, (0, "identity", "ga_client_id"): NO_TEXT[3:],
    (0, "identity", "loyalty"): NO_LABELLED,
    (0, "custom_privacy_request_fields"): NO_OBJECT,
    (0, "custom_privacy_request_fields", "shop"): NO_LABELLED,
    (0, "external_id"): NO_TEXT, (0, "requested_at"): NO_TIME, (0, "started_processing_at"): NO_TIME,
    (0, "encryption_key"): [*NO_TEXT, "short", "17 characters ..."], (0, "source"): NO_WORD,
    (0, "location"): [*NO_TEXT, "", "USA", "U", "US-", "US-CALI", "12", "EU-"],
}
WEBHOOK = {"connection_config_key": "bad_input", "name": "Bad input", "key": "bad_input"}
STEP = WEBHOOK | {"direction": "one_way"}
OAUTH = {"grant_type": "client_credentials", "token_url": "https://example.com", "client_id": "x", "client_secret": "y"}
HOOK_PATHS = [f"/privacy-request/{{request}}/{verb}" for verb in
              ("pre-approve/eligible", "pre-approve/not-eligible")]

ENDPOINTS = [
    Endpoint("POST", "/privacy-request", None, [ELEMENT], CREATE),
    Endpoint("POST", "/privacy-request/authenticated", "privacy-request:create", [ELEMENT], CREATE),
    Endpoint("POST", "/privacy-request/search", "privacy-request:read", {},
             {("status",): ["new", 1, {}, [1], ["new"]], ("request_id",): NO_TEXT, ("verbose",): NO_BOOL,
              ("sort_direction",): NO_WORD, ("created_lt",): NO_TIME, ("identities",): NO_OBJECT,
              ("action_type",): ["delete", 1, {}], ("include_identities",): NO_BOOL}, PAGE, strict=True),
    Endpoint("GET", "/privacy-request", "privacy-request:read",
             query=PAGE | SEARCH_TIMES | {"status": ["new", ""], "verbose": ["maybe"], "sort_direction": ["up"],
                                          "include_identities": ["x"], "action_type": ["x"]}),
    Endpoint("GET", "/privacy-request/{unknown}/log", "privacy-request:read", query=PAGE),
    Endpoint("GET", "/privacy-request/{unknown}/tasks", "privacy-request:read"),
    Endpoint("PATCH", "/privacy-request/administrate/approve", "privacy-request:review", {"request_ids": ["x"]},
             SELECTION),
    Endpoint("PATCH", "/privacy-request/administrate/deny", "privacy-request:review", {"request_ids": ["x"]},
             SELECTION | {("reason",): NO_TEXT + ["r" * 32_001]}),
    Endpoint("PATCH", "/privacy-request/administrate/cancel", "privacy-request:review", {"request_ids": ["x"]},
             SELECTION | {("reason",): NO_TEXT}),
    Endpoint("PATCH", "/connection", "connection:create_or_update",
             [{"key": "bad_input", "name": "Bad input", "connection_type": "https", "access": "read"}],
             {(0,): [1, "x", None, []], (0, "key"): NO_KEY, (0, "name"): NO_TEXT,
              (0, "connection_type"): NO_WORD + REQUIRED, (0, "access"): NO_WORD + REQUIRED,
              (0, "disabled"): NO_BOOL, (0, "description"): NO_TEXT, (0, "secrets"): NO_OBJECT}),
    Endpoint("GET", "/connection", "connection:read",
             query=PAGE | {"disabled": ["maybe"], "test_status": ["good"], "system_type": ["x"]}),
    Endpoint("GET", "/connection/{unknown}", "connection:read"),
    Endpoint("DELETE", "/connection/{unknown}", "connection:delete"),
    Endpoint("GET", "/connection/{unknown}/test", "connection:read"),
    *(Endpoint(method, "/connection/bad_input_fixture/secret", "connection:create_or_update",
               {"url": "https://example.com", "authorization": "x"},
               {("url",): NO_TEXT, ("authorization",): NO_TEXT,
                ("headers",): [1, "x", [], {"a": 1}, {"a": {}}, {"a": "b\r\nc: d"}, {"a\r\nb": "c"}, {"a b": "c"}]},
               {"verify": ["maybe", "2"]}) for method in ("PUT", "PATCH")),
    *(Endpoint(method, "/connection/bad_input_fixture/oauth", "connection:create_or_update", OAUTH,
               {("grant_type",): NO_WORD, ("token_url",): [*NO_TEXT, "", "x", "ftp://example.com"],
                ("scope",): [*NO_TEXT, "a\nb"], ("client_id",): [*NO_TEXT, ""], ("client_secret",): [*NO_TEXT, ""]},
               {"verify": ["maybe", "2"]}, strict=True) for method in ("PUT", "PATCH")),
    Endpoint("DELETE", "/connection/{unknown}/oauth", "connection:create_or_update"),
    *(Endpoint("PUT", f"/connection/{key}/validate_dataset", "dataset:read", DATASET, {
        ("fides_key",): NO_KEY + REQUIRED, ("collections",): NO_LIST, ("name",): NO_TEXT, ("fides_meta",): NO_OBJECT,
        ("collections", 0): [1, "x", None, []], ("collections", 0, "name"): NO_TEXT + REQUIRED,
        ("collections", 0, "fields"): NO_LIST, ("collections", 0, "fides_meta"): NO_OBJECT,
        (*COLUMN, "name"): NO_TEXT + REQUIRED, (*COLUMN, "data_categories"): [1, "x", {}, [1], [None], ["no.such"]],
        (*COLUMN, "fides_meta", "data_type"): NO_WORD, (*COLUMN, "fides_meta", "primary_key"): NO_BOOL,
        (*COLUMN, "fides_meta", "length"): [*NO_INT, 0, -1], (*COLUMN, "fides_meta", "references"): [1, "x", {}, [1]],
    }) for key in ("bad_input_fixture", "{unknown}")),
    Endpoint("PATCH", "/connection/{unknown}/dataset", "dataset:create_or_update", [DATASET],
             {(0,): [1, "x", None, []], (0, "fides_key"): NO_KEY + REQUIRED}),
    *(Endpoint(method, "/connection/{unknown}/datasetconfig", "dataset:create_or_update",
               [{"fides_key": "a", "ctl_dataset_fides_key": "a"}],
               {(0,): [1, "x", None, []], (0, "fides_key"): NO_KEY + REQUIRED,
                (0, "ctl_dataset_fides_key"): NO_KEY + REQUIRED}) for method in ("PUT", "PATCH")),
    Endpoint("GET", "/connection/{unknown}/dataset", "dataset:read", query=PAGE),
    Endpoint("GET", "/dataset/{unknown}", "ctl_dataset:read"),
    Endpoint("DELETE", "/dataset/{unknown}", "ctl_dataset:delete"),
    Endpoint("PUT", "/privacy-request/preview", "privacy-request:read", ["no_such_dataset"],
             {(0,): NO_KEY, (): [1, "x", {}, True]}),
    Endpoint("GET", "/connection_type", "connection_type:read", query=PAGE),
    Endpoint("GET", "/connection_type/{unknown}/secret", "connection_type:read"),
    Endpoint("GET", "/dsr/policy", "policy:read", query=PAGE),
    Endpoint("GET", "/dsr/policy/{unknown}", "policy:read"),
    Endpoint("DELETE", "/dsr/policy/{unknown}", "policy:delete"),
    Endpoint("PATCH", "/dsr/policy", "policy:create_or_update", [{"name": "Bad input", "key": "bad_input"}],
             {(0,): [1, "x", None, []], (0, "name"): NO_TEXT + REQUIRED, (0, "key"): NO_KEY,
              (0, "drp_action"): NO_WORD[:-3], (0, "execution_timeframe"): NO_INT}),
    Endpoint("PATCH", "/dsr/policy/default_access_policy/rule", "rule:create_or_update",
             [{"name": "Bad input", "action_type": "access"}],
             {(0,): [1, "x", None, []], (0, "name"): NO_TEXT + REQUIRED, (0, "key"): NO_KEY,
              (0, "action_type"): NO_WORD + REQUIRED}),
    Endpoint("GET", "/dsr/policy/default_access_policy/rule/{unknown}", "rule:read"),
    Endpoint("DELETE", "/dsr/policy/default_access_policy/rule/{unknown}", "rule:delete"),
    Endpoint("PATCH", "/dsr/policy/default_access_policy/rule/default_access_policy_rule/target",
             "rule:create_or_update", [{"data_category": "user.name"}],
             {(0,): [1, "x", None, []], (0, "data_category"): [*NO_TEXT, "no.such.category"] + REQUIRED,
              (0, "key"): NO_KEY, (0, "name"): NO_TEXT}),
    Endpoint("GET", "/dsr/webhook/pre_approval", "webhook:read", query=PAGE),
    Endpoint("PUT", "/dsr/webhook/pre_approval", "webhook:create_or_update", [WEBHOOK],
             {(0,): [1, "x", None, []], (0, "connection_config_key"): NO_KEY + REQUIRED,
              (0, "name"): NO_TEXT + REQUIRED, (0, "key"): NO_KEY}),
    Endpoint("GET", "/dsr/webhook/pre_approval/{unknown}", "webhook:read"),
    Endpoint("PATCH", "/dsr/webhook/pre_approval/bad_input_fixture", "webhook:create_or_update", {"name": "x"},
             {("name",): NO_TEXT, ("connection_config_key",): NO_KEY, ("key",): ["x"]}, strict=True),
    Endpoint("DELETE", "/dsr/webhook/pre_approval/{unknown}", "webhook:delete"),
    *(endpoint for path in ("/dsr/policy/default_access_policy/webhook/pre_execution",
                            "/policy/default_access_policy/webhook/post-execution") for endpoint in (
        Endpoint("GET", path, "webhook:read", query=PAGE),
        Endpoint("PUT", path, "webhook:create_or_update", [STEP],
                 {(0,): [1, "x", None, []], (0, "connection_config_key"): NO_KEY + REQUIRED,
                  (0, "name"): NO_TEXT + REQUIRED, (0, "key"): NO_KEY, (0, "direction"): NO_WORD + REQUIRED}),
        Endpoint("GET", path + "/{unknown}", "webhook:read"),
        Endpoint("PATCH", path + "/{unknown}", "webhook:create_or_update", {"name": "x"},
                 {("name",): NO_TEXT, ("connection_config_key",): NO_KEY, ("direction",): NO_WORD, ("order",): NO_INT,
                  ("key",): ["x"]}, strict=True),
        Endpoint("DELETE", path + "/{unknown}", "webhook:delete"))),
    *(Endpoint(method, "/connection/{unknown}/access_manual_webhook", "webhook:create_or_update",
               {"fields": [{"pii_field": "First Name", "types": ["string"]}]},
               {("fields",): NO_LIST + [MISSING, []], ("fields", 0): [1, "x", None, []],
                ("fields", 0, "pii_field"): NO_TEXT + REQUIRED + ["", " ", "x" * 201],
                ("fields", 0, "dsr_package_label"): NO_TEXT + ["x" * 201],
                ("fields", 0, "types"): [1, "string", {}, [1], ["no such type"]],
                ("fields", 0, "data_categories"): [1, "x", {}, [1], ["a b"]]}) for method in ("POST", "PATCH", "PUT")),
    Endpoint("GET", "/connection/{unknown}/access_manual_webhook", "webhook:read"),
    Endpoint("DELETE", "/connection/{unknown}/access_manual_webhook", "webhook:delete"),
    *(Endpoint(method, f"/privacy-request/{{request}}/{action}_manual_webhook/{{unknown}}", f"privacy-request:{scope}",
               *more) for action in ("access", "erasure")
      for method, scope, *more in (("PATCH", "upload_data", {}, {(): [[], 1, "x", True]}), ("GET", "view_data"))),
    Endpoint("POST", "/privacy-request/{request}/resume_from_requires_input", "privacy-request:resume"),
    Endpoint("PATCH", "/config", "config:update", {"execution": {"require_manual_request_approval": True}},
             {("execution",): NO_OBJECT, ("execution", "require_manual_request_approval"): NO_BOOL,
              ("no_such_section",): [{}, 1]}),
    Endpoint("PUT", "/config", "config:update", {"execution": {"require_manual_request_approval": True}},
             {("execution", "require_manual_request_approval"): NO_BOOL, ("no_such_section",): [{}, 1]}),
    Endpoint("GET", "/config", "config:read", query={"api_set": ["maybe", "2"]}),
    Endpoint("PATCH", "/storage/config", "storage:create_or_update",
             [{"name": "Bad input", "key": "bad_input", "type": "local", "details": {"naming": "request_id"}}],
             {(0,): [1, "x", None, []], (0, "name"): NO_TEXT + REQUIRED, (0, "key"): NO_KEY,
              (0, "type"): NO_WORD + REQUIRED, (0, "details"): NO_OBJECT + REQUIRED, (0, "format"): [*NO_WORD, "csv"],
              (0, "details", "naming"): NO_WORD, (0, "details", "extra"): [1]}),
    Endpoint("PATCH", "/storage/config", "storage:create_or_update",
             [{"name": "Bad bucket", "key": "bad_bucket", "type": "s3",
               "details": {"auth_method": "secret_keys", "bucket": "packages"}}],
             {(0, "details", "bucket"): NO_TEXT + REQUIRED, (0, "details", "auth_method"): NO_WORD + REQUIRED,
              (0, "details", "endpoint_url"): ["x", "ftp://a", "https://u:p@a/"], (0, "details", "max_retries"): ["x", -1],
              (0, "details", "extra"): [1]}),
    Endpoint("GET", "/storage/config/{unknown}", "storage:read"),
    Endpoint("DELETE", "/storage/config/{unknown}", "storage:delete"),
    Endpoint("PUT", "/storage/default", "storage:create_or_update",
             {"type": "local", "details": {"naming": "request_id"}, "format": "json"},
             {("type",): NO_WORD + REQUIRED, ("details",): NO_OBJECT + REQUIRED, ("format",): [*NO_WORD, "csv"]}),
    Endpoint("POST", "/login", None, {"username": "nobody", "password": "x"},
             {("username",): NO_TEXT + REQUIRED + ["root_user"], ("password",): NO_TEXT + REQUIRED + ["", "Zm9v"]}),
    Endpoint("POST", "/oauth/client", "client:create", {"name": "Bad input", "scopes": ["webhook:read"]},
             {("name",): NO_TEXT + ["", "  "], ("scopes",): [1, "x", {}, [1], ["no:such:scope"]]}),
    Endpoint("GET", "/oauth/client/{unknown}", "client:read"),
    Endpoint("PUT", "/oauth/client/{unknown}", "client:update", {"name": "x"}, {("scopes",): [["no:such:scope"]]}),
    *(Endpoint("POST", path, "reply", {}, {(): [[], 1, "x", True]}, program=program)
      for path in HOOK_PATHS for program in ("docket-api", "docket-callback")),
]
# What this version lacks: with the right token its words say so, without one it is like any other route.
NOT_AVAILABLE = "is not available in this version."
LACKING = re.compile(r'^UNAVAILABLE\("(\w+)", "([^"]+)", "([^"]+)"', re.MULTILINE)
ENDPOINTS += [Endpoint(method, re.sub(r"{\w+}", "{unknown}", path), scope) for method, path, scope in
              LACKING.findall((ROOT / "api/unavailable.tbl.h").read_text()) if not path.startswith("/health")]


# --- one input ---------------------------------------------------------------------------------------------


@dataclass
class Input:
    kind: str
    endpoint: Endpoint
    path: str
    token: str | None = "root"  # "root", "reply", "scopeless" or none
    body: bytes = b""
    headers: dict = field(default_factory=dict)
    method: str | None = None
    raw: bytes | None = None  # instead of all the rest

    def __str__(self):
        return f"{self.kind}: {self.method or self.endpoint.method} {self.path} at {self.endpoint.program} " \
               f"{self.headers} {self.body[:300]!r}"


class Maker:
    """Makes wrong inputs from a seed. `real` has what a right input needs: tokens and ids."""

    def __init__(self, seed, real):
        self.random = random.Random(seed)
        self.real = real
        self.kinds = [self.wrong_value, self.wrong_value, self.wrong_value, self.broken_json, self.broken_json,
                      self.deep_body, self.huge_body, self.wrong_text, self.no_token, self.bad_token,
                      self.missing_scope, self.wrong_query, self.wrong_path, self.wrong_id, self.wrong_method,
                      self.extra_member, self.long_list, self.wrong_form, self.wrong_http]

    def make(self):
        while True:
            made = self.random.choice(self.kinds)()
            if made is not None:
                return made

    def endpoint(self, fits=lambda endpoint: True):
        return self.random.choice([endpoint for endpoint in ENDPOINTS if fits(endpoint)])

    def path(self, endpoint):
        path = endpoint.path.replace("{unknown}", f"unknown_{self.random.randrange(10 ** 6)}")
        return endpoint.prefix + path.replace("{request}", self.real["request"])

    def right(self, endpoint, kind, **more):
        """The right input, to be made wrong in one way."""
        body = b"" if endpoint.body is None else json.dumps(endpoint.body).encode()
        token = "reply" if endpoint.scope == "reply" else None if endpoint.scope is None else "root"
        return Input(kind, endpoint, **{"path": self.path(endpoint), "token": token, "body": body} | more)

    # --- bodies ---

    def wrong_value(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.wrong)
        place = self.random.choice(list(endpoint.wrong))
        body = put(copy.deepcopy(endpoint.body), place, self.random.choice(endpoint.wrong[place]))
        return self.right(endpoint, f"wrong value at {place}", body=json.dumps(body).encode())

    def broken_json(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.body is not None)
        text = json.dumps(endpoint.body).encode()
        broken = self.random.choice([
            lambda: text[:self.random.randrange(1, len(text))] if len(text) > 1 else b"{",
            lambda: text + self.random.choice([b"}", b"]", b",", b"x", b"\0", text]),
            lambda: self.random.choice([b"{", b"[", b"nul", b"'a'", b"{'a': 1}", b"[1,]", b"NaN", b"Infinity",
                                        b"{a: 1}", b"// x", b"\xef\xbb\xbf[", b"tru", b'"', b"01", b"-", b"[1 2]"]),
            lambda: self.random.randbytes(self.random.randrange(1, 400)).replace(b"0", b"x") + b"\x80{",
        ])()
        return self.right(endpoint, "broken JSON", body=broken)

    def deep_body(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.body is not None)
        depth = self.random.choice([33, 40, 100, 1000, 50_000])
        opened, closed = self.random.choice([(b"[", b"]"), (b'{"a":', b"}")])
        return self.right(endpoint, f"{depth} deep", body=opened * depth + b"1" + closed * depth)

    def huge_body(self):
        if self.random.random() > 0.05:  # they take their time
            return None
        endpoint = self.endpoint(lambda endpoint: endpoint.body is not None)
        size = BODY_BYTES + self.random.choice([1, 1000, 100_000])
        return self.right(endpoint, "huge body", body=b'["' + b"x" * size + b'"]')

    def wrong_text(self):
        """Bytes that are no UTF-8 and NULs inside a text, where the text stands in a right body."""
        endpoint = self.endpoint(lambda endpoint: b'"' in json.dumps(endpoint.body).encode())
        text = json.dumps(endpoint.body).encode()
        bad = self.random.choice([b"\xff", b"\xc3", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\0",
                                  b"\\u0000", b"\n", b"\x1f", b"\\x", b"\\ud800", b"\\udc00x"])
        places = [place for place, byte in enumerate(text) if byte == ord('"')]
        place = self.random.choice(places[::2])  # just inside a text
        return self.right(endpoint, f"text with {bad}", body=text[:place + 1] + bad + text[place + 1:])

    def extra_member(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.strict)
        name = self.random.choice(["extra", "no_such", "Name", "__proto__", "x" * 1000])
        return self.right(endpoint, "unknown member", body=json.dumps(endpoint.body | {name: 1}).encode())

    def long_list(self):
        endpoint = self.endpoint(lambda endpoint: isinstance(endpoint.body, list))
        count = self.random.choice([51, 52, 500])
        return self.right(endpoint, f"{count} elements", body=json.dumps(endpoint.body * count).encode())

    def wrong_form(self):
        """What asks for an access token and must not get one."""
        form = self.random.choice([
            {}, {"client_id": "x"}, {"client_secret": "x"}, {"client_id": "x", "client_secret": "y"},
            {"client_id": "docket_root", "client_secret": self.random.randbytes(8).hex()},
            {"client_id": "x" * 5000, "client_secret": "y"}, {"client_id": "\0", "client_secret": "\xff"},
            {"client_id": "x", "client_secret": "y", "grant_type": "password"}, {"grant_type": "client_credentials"}])
        body = self.random.choice([urlencode(form).encode(), json.dumps(form).encode(), b"%zz=%&&==&%00", b"\xff"])
        headers = self.random.choice([{}, {"Authorization": "Basic " + base64.b64encode(b"x:y").decode()},
                                      {"Authorization": "Basic !!"}, {"Authorization": "Basic " + "A" * 5000}])
        return Input("wrong form", Endpoint("POST", "/oauth/token"), "/api/v1/oauth/token", token=None, body=body,
                     headers={"Content-Type": "application/x-www-form-urlencoded"} | headers)

    # --- tokens ---

    def no_token(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.scope)
        value = self.random.choice([None, "", "Bearer", "Basic eDp5", "Digest x", "bearer" + self.real["root"],
                                    "Token " + self.real["root"]])
        return self.right(endpoint, "no token", token=None, headers={"Authorization": value} if value else {})

    def bad_token(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.scope)
        good = self.real["reply" if endpoint.scope == "reply" else "root"]
        foreign = self.real["root" if endpoint.scope == "reply" else "reply"]
        place = self.random.randrange(len(good))
        other = "A" if good[place] != "A" else "B"
        parts = good.split(".")
        bad = self.random.choice([
            foreign, good[:place], good[:place] + "~" + good[place + 1:], good + "x", good + ".", "." * 4, "x.y.z",
            good[:70] + ("A" if good[70] != "A" else "B") + good[71:], f"{parts[0]}....", "a" * 5000,
            secrets.token_urlsafe(100), ".".join(reversed(parts)), other, parts[0] + "..AAAA.AAAA.AAAA",
            base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=") + "." + ".".join(parts[1:]),
        ])
        return self.right(endpoint, "bad token", token=None, headers={"Authorization": f"Bearer {bad or 'x'}"})

    def missing_scope(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.scope and endpoint.scope != "reply")
        return self.right(endpoint, "missing scope", token="scopeless")

    # --- where ---

    def wrong_query(self):
        endpoint = self.endpoint(lambda endpoint: endpoint.query)
        name = self.random.choice(list(endpoint.query))
        query = urlencode({name: self.random.choice(endpoint.query[name])})
        return self.right(endpoint, "wrong query", path=f"{self.path(endpoint)}?{query}")

    def wrong_path(self):
        endpoint = self.endpoint()
        path = self.path(endpoint)
        wrong = self.random.choice([
            path + "/more", path.replace("/api/v1", "/api/v2"), path.replace("/api/v1", "/api/v1/"), path + "//",
            "/api/v1", "/api/v1/..", "/api", "/api/v1/no-such-thing", path + "%00", path.upper(),
            "/api/v1/" + "x" * 3000, "/api/v1/%ff%fe", "/api/v1/" + "%2e%2e/" * 5 + "etc/passwd"])
        method = self.random.choice(["GET", endpoint.method])
        return self.right(endpoint, "wrong path", path=wrong, method=method)

    def wrong_id(self):
        endpoint = self.endpoint(lambda endpoint: "{" in endpoint.path)
        place = "{unknown}" if "{unknown}" in endpoint.path else "{request}"
        wrong = self.random.choice(["%00", "%ff", "a%20b", "a%2Fb", "%3Cscript%3E", "x" * 2000, quote("schlüssel"), "..",
                                    "%c0%80", "pri_" + "0" * 36, "null", "1;drop", "%27", "a%0d%0ab", "*", "{id}"])
        return self.right(endpoint, "wrong id", path=endpoint.prefix + endpoint.path.replace(place, wrong))

    def wrong_method(self):
        endpoint = self.endpoint()
        wrong = self.random.choice(["TRACE", "BREW", "CONNECTX", "get", "post", "PROPFIND", endpoint.method.lower()])
        return self.right(endpoint, "wrong method", method=wrong)

    def wrong_http(self):
        endpoint = self.endpoint()
        host = b"Host: localhost\r\n"
        line = f"{endpoint.method} {self.path(endpoint)} HTTP/1.1\r\n".encode()
        raw = self.random.choice([
            lambda: line + host + b"X-Long: " + b"x" * self.random.choice([40_000, 200_000]) + b"\r\n\r\n",
            lambda: line + host + b"".join(b"X-%d: y\r\n" % number for number in range(5000)) + b"\r\n",
            lambda: line + host + b"Content-Length: abc\r\n\r\n",
            lambda: line + host + b"Content-Length: -5\r\n\r\n",
            lambda: line + host + b"Content-Length: 99999999999999999999999\r\n\r\n",
            lambda: line + host + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
            lambda: line.replace(b"HTTP/1.1", b"HTTP/9.9") + host + b"\r\n",
            lambda: self.random.randbytes(200) + b"\r\n\r\n",
            lambda: b"GET\r\n\r\n",
            lambda: line + b"no colon here\r\n\r\n",
            lambda: f"{endpoint.method} /{'x' * 100_000} HTTP/1.1\r\n".encode() + host + b"\r\n",
        ])()
        return Input("wrong HTTP", endpoint, self.path(endpoint), raw=raw)


def put(body, place, value):
    """The body with the value at the place; members on the way are made."""
    if not place:
        return value
    here = body
    for step in place[:-1]:
        if isinstance(here, dict):
            here = here.setdefault(step, {})
        else:
            here = here[step]
    if value is MISSING:
        del here[place[-1]]
    else:
        here[place[-1]] = value
    return body


# --- sending it ---------------------------------------------------------------------------------------------


class Wire:
    """One kept connection to a program; says exactly the bytes that it is given."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def send(self, raw):
        """(status, body), or None when the connection was closed without an answer."""
        for attempt in (1, 2):
            fresh = self.socket is None
            if fresh:
                self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            answer = self.try_send(raw)
            if answer is not None or fresh:
                return answer
        return None

    def try_send(self, raw):
        try:
            self.socket.sendall(raw)
        except OSError:
            pass  # it may have answered before it had read everything
        try:
            head, _, body = self.read_until(b"\r\n\r\n").partition(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1."):
                return self.close()
            headers = {name.strip().lower(): value.strip() for name, _, value in
                       (line.partition(b":") for line in head.split(b"\r\n")[1:])}
            length = int(headers.get(b"content-length", 0))
            while len(body) < length and (more := self.socket.recv(65536)):
                body += more
            if headers.get(b"connection", b"").lower() == b"close":
                self.close()
            return int(head.split(b" ")[1]), body[:length]
        except (OSError, ValueError, IndexError):
            return self.close()

    def read_until(self, mark):
        data = b""
        while mark not in data:
            more = self.socket.recv(65536)
            if not more:
                break
            data += more
        return data

    def close(self):
        if self.socket is not None:
            self.socket.close()
        self.socket = None


def as_bytes(made, real):
    if made.raw is not None:
        return made.raw
    headers = {"Host": "localhost", "Content-Type": "application/json", "Content-Length": len(made.body)}
    if made.token:
        headers["Authorization"] = f"Bearer {real[made.token]}"
    headers |= made.headers
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{made.method or made.endpoint.method} {made.path} HTTP/1.1\r\n{lines}\r\n".encode() + made.body


def problem(made, answer):
    """What is wrong with the answer; None when it is a refusal in the contract's shape."""
    if answer is None:
        return None if made.kind in ("wrong HTTP", "huge body") else "no answer"
    status, body = answer
    if status == 505 and b" HTTP/9.9" in (made.raw or b""):
        return None  # the one 5xx that says what the caller did wrong
    if status == 501 and NOT_AVAILABLE.encode() in body and made.token in ("root", "reply"):
        return None
    if not 400 <= status < 500:
        return f"{status} {body[:300]!r}"
    if made.kind == "wrong HTTP" and status in (400, 413, 414, 431, 405):
        return None  # refused before it is a call at all
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return f"{status} without detail: {body[:300]!r}"
    if isinstance(detail, list):
        wrong = [entry for entry in detail if not isinstance(entry, dict) or set(entry) != {"type", "loc", "msg"}]
        return f"{status} {wrong}" if wrong or not detail else None
    return None if isinstance(detail, str) and detail else f"{status} {detail!r}"


def expected(made, status):
    """True when it is the status that the contract names for that kind, where it names one."""
    named = {"no token": (401,), "bad token": (401, 403), "missing scope": (403,), "broken JSON": (413, 422),
             "huge body": (413,), "unknown member": (422,)}
    return status in named.get(made.kind, range(400, 506))


# --- the test -------------------------------------------------------------------------------------------------


# What moves for nothing: the catalog's version, and what docket finds and states about itself.
RESTLESS = {"catalog", "checkpoint", "checkpoint_place", "checkpoint_turn", "ledger_finding", "ledger_walk"}


def contents(db):
    """Of every table that stands still: how many rows, and a sum over all that is in them."""
    tables = [row[0] for row in db.execute("select tablename from pg_tables where schemaname = 'public'")]
    return {table: db.execute(f"""select count(*), md5(string_agg(t::text, '|' order by t::text))
                                  from "{table}" t""").fetchone() for table in tables if table not in RESTLESS}


def test_ten_thousand_bad_inputs_are_refused_and_do_nothing(stack, api, receiver, identity, db):
    seed = os.environ.get("DOCKET_TEST_SEED") or secrets.token_hex(4)
    print(f"seed {seed}")
    real = prepare(api, receiver, identity)
    wait_until(lambda: not db.execute("select 1 from request_outbox").fetchone(), 20, "the outbox to be empty")
    before = contents(db)
    maker = Maker(seed, real)
    inputs = [maker.make() for _ in range(INPUTS)]
    ports = {"docket-api": stack.api.port, "docket-callback": stack.callback.port}

    def send_some(mine):
        wires = {program: Wire(port) for program, port in ports.items()}
        found = []
        for made in mine:
            answer = wires[made.endpoint.program].send(as_bytes(made, real))
            wrong = problem(made, answer)
            if wrong is None and answer is not None and not expected(made, answer[0]):
                wrong = f"{answer[0]} {answer[1][:300]!r} is not the contract's status"
            if wrong:
                found.append(f"{made}\n    -> {wrong}")
        for wire in wires.values():
            wire.close()
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        parts = threads.map(send_some, [inputs[start::THREADS] for start in range(THREADS)])
        findings = [finding for part in parts for finding in part]
    assert not findings, f"seed {seed}: {len(findings)} of {INPUTS}\n" + "\n".join(findings[:40])
    assert contents(db) == before, f"seed {seed}"
    assert stack.api.is_alive() and stack.callback.is_alive()
    assert api.get("/health").status_code == 200
    assert receiver.reply(receiver.calls("/bad_input_fixture")[0], "eligible").status == 200
    api.wait_status(real["request"], "complete")


def prepare(api, receiver, identity):
    """A waiting request, a reply token for it, a client that may do nothing."""
    api.make_webhooks(receiver, bad_input_fixture=Answer())
    request_id = api.create_request(identity())["id"]
    call = receiver.wait_calls(1, "/bad_input_fixture", request_id)[0]
    client = must(api.post("/oauth/client", {"name": "No scopes", "scopes": ["masking:exec"]}))
    scopeless = Api.login(api.url, client["client_id"], client["client_secret"])
    return {"request": request_id, "reply": call.headers["reply-to-token"],
            "root": api.session.headers["Authorization"].removeprefix("Bearer "),
            "scopeless": scopeless.session.headers["Authorization"].removeprefix("Bearer ")}
