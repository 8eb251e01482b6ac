"""What the tests of packages share: a company with databases, policies that read, packages fetched."""

import re

import pytest
import requests

from customers import Company, Person
from utils import must, must_all

DONE = "Access package upload successful for privacy request."


class Packing:
    def __init__(self, stack, api, identity, db):
        self.stack, self.api, self.identity, self.db = stack, api, identity, db
        self.company = Company(stack.postgres, f"{stack.name}_pack")
        self.company.create()
        self.company.connect(api, must)

    def person(self):
        """Somebody in all databases, with a number of their own."""
        number = self.db.execute("select nextval('test_person')").fetchone()[0]
        person = Person(number, self.identity())
        self.company.add([person])
        return person

    def storage(self, key, **more):
        must_all(self.api.patch("/storage/config", [
            {"name": key, "key": key, "type": "local", "format": "json", "details": {"naming": "request_id"}} | more]))
        return key

    def policy(self, key, *rules):
        """Each rule is (key, storage or None, data categories)."""
        must_all(self.api.patch("/dsr/policy", [{"name": key, "key": key}]))
        for rule, storage, categories in rules:
            must_all(self.api.patch(f"/dsr/policy/{key}/rule", [
                {"name": rule, "key": rule, "action_type": "access", "storage_destination_key": storage}]))
            must_all(self.api.patch(f"/dsr/policy/{key}/rule/{rule}/target",
                                    [{"data_category": category} for category in categories]))
        return key

    def run(self, person, policy, status="complete", **more):
        request_id = self.api.create_request(person.email, policy, **more)["id"]
        self.api.approve(request_id)
        self.api.wait_status(request_id, status, timeout=60)
        return request_id

    def fetch(self, request_id):
        """The packages as they come to the person: file name -> bytes."""
        urls = must(self.api.get(f"/privacy-request/{request_id}/access-results"))["access_result_urls"]
        answers = [requests.get(url, timeout=30) for url in urls]
        assert all(answer.status_code == 200 for answer in answers)
        return {re.search('filename="(.*)"', answer.headers["Content-Disposition"])[1]: answer.content
                for answer in answers}

    def uploads(self, request_id):
        """What the timeline tells of packages: (status, message)."""
        return [(entry["status"], entry["message"]) for entry in self.api.timeline(request_id)["Access package upload"]]


@pytest.fixture
def packing(stack, api, identity, db):
    db.execute("create sequence if not exists test_person")
    return Packing(stack, api, identity, db)
