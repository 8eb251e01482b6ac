"""What a person gets: what the rule lets out of the rows, in the form that its storage has."""

import base64
import html
import io
import json
import stat
import zipfile

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from asking import make_manual
from customers import sorted_rows
from packing import DONE, packing  # noqa: F401
from utils import must, must_all

ALL = ["user"]


def wanted(packing, person):
    return sorted_rows(packing.company.collected(person))


def as_json(content):
    return sorted_rows(json.loads(content))


def normal(found):
    """Times apart, which are written in more ways than one."""
    return {address: [{name: value for name, value in row.items() if name not in ("ordered_at", "at")} for row in rows]
            for address, rows in found.items()}


def test_json_has_all_that_was_collected(packing):
    person = packing.person()
    request_id = packing.run(person, packing.policy("pack_json", ("pack_json", packing.storage("pack_json"), ALL)))
    content = packing.fetch(request_id)[f"{request_id}.json"]
    assert normal(as_json(content)) == normal(wanted(packing, person))
    assert content.decode().startswith('{\n  "')
    assert json.dumps(json.loads(content), indent=2, ensure_ascii=False) == content.decode().replace("\\u000a", "\\n")
    assert list(json.loads(content)) == sorted(json.loads(content))
    assert packing.uploads(request_id) == [("complete", DONE)]


def test_a_rule_lets_out_what_is_below_its_categories(packing):
    person = packing.person()
    policy = packing.policy("pack_some", ("pack_some", packing.storage("pack_some"),
                                          ["user.name", "user.contact.address.city"]))
    found = json.loads(packing.fetch(packing.run(person, policy)).popitem()[1])
    shop, crm = packing.company.databases.values()
    assert {address: set(rows[0]) for address, rows in found.items()} == {
        f"{shop}:customer": {"name"}, f"{shop}:address": {"city"}, f"{shop}:Payment Card": {"holder"},
        f"{crm}:contact": {"full_name"}}


def test_each_rule_has_a_package_of_its_own(packing):
    person = packing.person()
    storage = packing.storage("pack_two")
    policy = packing.policy("pack_two", ("pack_names", storage, ["user.name"]), ("pack_places", storage,
                                                                                ["user.contact.address"]))
    request_id = packing.run(person, policy)
    found = {name: json.loads(content) for name, content in packing.fetch(request_id).items()}
    assert sorted(found) == [f"{request_id}.pack_names.json", f"{request_id}.pack_places.json"]
    assert list(found[f"{request_id}.pack_places.json"]) == [f"{packing.company.databases['shop']}:address"]


def test_nobody_that_is_known_gets_an_empty_package(packing, identity):
    storage = packing.storage("pack_none")
    policy = packing.policy("pack_none", ("pack_none", storage, ALL))
    request_id = packing.api.create_request(identity(), policy)["id"]
    packing.api.approve(request_id)
    packing.api.wait_status(request_id, "complete", timeout=60)
    assert packing.fetch(request_id) == {f"{request_id}.json": b"{}"}


def test_a_connection_that_is_not_for_access_is_left_out(packing):
    person = packing.person()
    crm = packing.company.databases["crm"]
    must_all(packing.api.patch("/connection", [{"key": crm, "name": crm, "connection_type": "postgres",
                                                "access": "write", "enabled_actions": ["erasure"]}]))
    policy = packing.policy("pack_part", ("pack_part", packing.storage("pack_part"), ALL))
    found = json.loads(packing.fetch(packing.run(person, policy)).popitem()[1])
    assert found and not [address for address in found if address.startswith(crm)]


def test_what_people_fill_in_is_part_of_every_package(packing):
    make_manual(packing.api, "pack_desk", "first_name", "height")
    person = packing.person()
    policy = packing.policy("pack_manual", ("pack_manual", packing.storage("pack_manual"), ["user.name"]))
    request_id = packing.run(person, policy, "requires_input")
    packing.identity.derived("Zebedee")
    must(packing.api.patch(f"/privacy-request/{request_id}/access_manual_webhook/pack_desk",
                           {"first_name": "Zebedee", "height": None}))
    must(packing.api.post(f"/privacy-request/{request_id}/resume_from_requires_input"))
    packing.api.wait_status(request_id, "complete", timeout=60)
    found = json.loads(packing.fetch(request_id).popitem()[1])
    assert list(found)[-1] == "pack_desk" and found["pack_desk"] == [{"first_name": "Zebedee"}]


def test_who_gave_a_key_gets_the_package_under_it(packing):
    person = packing.person()
    key = "0123456789abcdef"
    policy = packing.policy("pack_key", ("pack_key", packing.storage("pack_key"), ALL))
    request_id = packing.run(person, policy, encryption_key=key)
    sealed = base64.b64decode(packing.fetch(request_id)[f"{request_id}.json"], validate=True)
    plain = AESGCM(key.encode()).decrypt(sealed[:12], sealed[12:], sealed[:12])
    assert normal(as_json(plain)) == normal(wanted(packing, person))


def test_pages_have_all_that_was_collected(packing):
    person = packing.person()
    policy = packing.policy("pack_html", ("pack_html", packing.storage("pack_html", format="html"), ALL))
    request_id = packing.run(person, policy)
    pages = zipfile.ZipFile(io.BytesIO(packing.fetch(request_id)[f"{request_id}.zip"]))
    assert pages.testzip() is None
    shop = packing.company.databases["shop"]
    names = pages.namelist()
    assert {"clickme.html", "data/main.css", "data/back.svg", f"data/{shop}/index.html",
            f"data/{shop}/customer/index.html"} <= set(names) and len(names) == len(set(names))
    front = pages.read("clickme.html").decode()
    assert person.email in front and request_id in front and "<script" not in front
    for rows in wanted(packing, person).values():
        for row in rows:
            for name, value in row.items():
                if isinstance(value, str) and name not in ("ordered_at", "at"):
                    assert any(html.escape(value) in page for page in map(lambda name: pages.read(name).decode(), names))


def test_what_lies_in_the_directory_is_sealed(packing, stack):
    person = packing.person()
    request_id = packing.run(person, packing.policy("pack_sealed", ("pack_sealed", packing.storage("pack_sealed"), ALL)))
    path = stack.packages / request_id / "pack_sealed.json"
    assert stat.filemode(path.stat().st_mode) == "-rw-------"
    assert stat.filemode(path.parent.stat().st_mode) == "drwx------"
    content = path.read_bytes()
    assert content.startswith(b"docket1\n") and person.email.encode() not in content
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.settings(DOCKET_STORAGE_DIRECTORY="/dev/null/packages")
def test_a_directory_that_can_not_be_is_told(packing):
    person = packing.person()
    policy = packing.policy("pack_nowhere", ("pack_nowhere", packing.storage("pack_nowhere"), ALL))
    request_id = packing.run(person, policy, "error")
    assert packing.uploads(request_id)[-1] == (
        "error", "Access package upload failed for privacy request: The storage directory can't be used: "
                 "Not a directory")
