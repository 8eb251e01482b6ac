"""Packages in a bucket, over a server that checks every signature (moto's, with its access control switched on)."""

import base64
import csv
import io
import json
import subprocess
import sys
import zipfile

import boto3
import pytest
import requests
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from packing import DONE, packing  # noqa: F401
from utils import must, wait_until

REGION = "eu-central-1"
BUCKET = "packages"
EVERYTHING = json.dumps({"Version": "2012-10-17",
                         "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})


class Moto:
    """A bucket, and the only one who may use it."""

    def __init__(self, run, name):
        self.port = run.port(f"{name}.moto", owner="moto")  # pytest's workers share the book of ports
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(run.path / "log" / "moto.log", "wb")  # noqa: SIM115
        self.process = None

    def start(self):
        self.process = subprocess.Popen([sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self.port)],
                                        stdout=self.log, stderr=self.log)
        wait_until(self.is_there, 60, "moto to answer")
        self.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        iam = self.client("iam")
        iam.create_user(UserName="docket")
        iam.put_user_policy(UserName="docket", PolicyName="s3", PolicyDocument=EVERYTHING)
        key = iam.create_access_key(UserName="docket")["AccessKey"]
        self.secrets = {"aws_access_key_id": key["AccessKeyId"], "aws_secret_access_key": key["SecretAccessKey"],
                        "region_name": REGION}
        assert requests.post(f"{self.url}/moto-api/reset-auth", data="0", timeout=10).ok  # from now on

    def is_there(self):
        assert self.process.poll() is None, "moto ended by itself"
        try:
            return requests.get(f"{self.url}/moto-api/data.json", timeout=5).ok
        except requests.ConnectionError:
            return False

    def client(self, service):
        secrets = getattr(self, "secrets", {"aws_access_key_id": "x", "aws_secret_access_key": "y"})
        return boto3.client(service, endpoint_url=self.url, region_name=REGION,
                            **{name: value for name, value in secrets.items() if name != "region_name"})

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


@pytest.fixture(scope="module")
def moto(stack):
    moto = Moto(stack.run, stack.name)
    moto.start()
    yield moto
    moto.stop()


@pytest.fixture
def bucket(packing, moto):  # noqa: F811
    """bucket(key, format, **details): a storage, with secrets."""
    def make(key, format="json", secrets=None, **details):
        packing.storage(key, type="s3", format=format, details={
            "auth_method": "secret_keys", "bucket": BUCKET, "endpoint_url": moto.url} | details)
        must(packing.api.put(f"/storage/config/{key}/secret", moto.secrets | (secrets or {})))
        return key
    return make


def test_a_package_lies_in_the_bucket_sealed(packing, bucket, moto):  # noqa: F811
    person = packing.person()
    request_id = packing.run(person, packing.policy("s3_json", ("s3_json", bucket("s3_json"), ["user"])))
    lying = moto.client("s3").get_object(Bucket=BUCKET, Key=f"{request_id}/s3_json.json")["Body"].read()
    assert lying.startswith(b"docket1\n") and person.email.encode() not in lying
    found = json.loads(packing.fetch(request_id)[f"{request_id}.json"])
    assert found[f"{packing.company.databases['shop']}:customer"][0]["email"] == person.email
    assert packing.uploads(request_id) == [("complete", DONE)]


def test_a_large_package_goes_in_parts(packing, bucket, moto):  # noqa: F811
    person = packing.person()
    text = "0123456789abcdef" * (20 * 1024 * 1024 // 16)
    with packing.company.open("shop") as db:
        db.execute("update address set street = %s where id = %s", (text, 2 * person.number))
    request_id = packing.run(person, packing.policy("s3_large", ("s3_large", bucket("s3_large"), ["user.contact"])))
    etag = moto.client("s3").head_object(Bucket=BUCKET, Key=f"{request_id}/s3_large.json")["ETag"]
    assert etag.endswith('-3"')
    assert "Uploads" not in moto.client("s3").list_multipart_uploads(Bucket=BUCKET)
    found = json.loads(packing.fetch(request_id)[f"{request_id}.json"])
    assert text in [row["street"] for row in found[f"{packing.company.databases['shop']}:address"]]


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        assert file.testzip() is None
        return {name: file.read(name) for name in file.namelist()}


def test_csv_has_a_member_a_collection(packing, bucket):  # noqa: F811
    person = packing.person()
    request_id = packing.run(person, packing.policy("s3_csv", ("s3_csv", bucket("s3_csv", "csv"), ["user"])))
    found = members(packing.fetch(request_id)[f"{request_id}.zip"])
    wanted = packing.company.collected(person)
    shop, crm = packing.company.databases.values()
    # a blank has no place in a file's name; what was changed has its place added
    assert sorted(name.removesuffix(".csv") for name in found) == sorted(
        f"{shop}:Payment_Card_4" if "Payment" in address else address for address in wanted)
    tickets = list(csv.DictReader(io.StringIO(found[f"{crm}:ticket.csv"].decode(), newline="")))
    assert sorted(tickets, key=str) == sorted(wanted[f"{crm}:ticket"], key=str)


def test_members_are_encrypted_for_their_receiver(packing, bucket):  # noqa: F811
    person = packing.person()
    key = "fedcba9876543210"
    policy = packing.policy("s3_key", ("s3_key", bucket("s3_key", "csv"), ["user.name"]))
    request_id = packing.run(person, policy, encryption_key=key)
    found = members(packing.fetch(request_id)[f"{request_id}.zip"])
    sealed = base64.b64decode(found[f"{packing.company.databases['shop']}:customer.csv"], validate=True)
    plain = AESGCM(key.encode()).decrypt(sealed[:12], sealed[12:], sealed[:12])
    assert plain.decode() == f"name\r\nName {person.word} {person.number}\r\n"


@pytest.mark.parametrize("name, secrets, details, answer", [
    ("s3_wrong", {"aws_secret_access_key": "wrong"}, {}, "403 SignatureDoesNotMatch"),
    ("s3_absent", {}, {"bucket": "absent"}, "404 NoSuchBucket")])
def test_a_bucket_that_says_no_is_told(packing, bucket, name, secrets, details, answer):  # noqa: F811
    person = packing.person()
    policy = packing.policy(name, (name, bucket(name, secrets=secrets, **details), ["user"]))
    request_id = packing.run(person, policy, "error")
    assert packing.uploads(request_id)[-1] == (
        "error", f"Access package upload failed for privacy request: The bucket answered {answer}.")


@pytest.mark.settings(DOCKET_TASK_RETRY_SCHEDULE="1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s")
def test_a_bucket_that_is_away_is_tried_again(packing, bucket, moto):  # noqa: F811
    person = packing.person()
    storage = bucket("s3_away", endpoint_url="http://127.0.0.1:9")
    policy = packing.policy("s3_away", ("s3_away", storage, ["user"]))
    request_id = packing.api.create_request(person.email, policy)["id"]
    packing.api.approve(request_id)
    wait_until(lambda: "Access package upload" in packing.api.timeline(request_id), 30, "a first try")
    bucket("s3_away")
    packing.api.wait_status(request_id, "complete", timeout=60)
    assert packing.uploads(request_id)[-1] == ("complete", DONE)
