"""What an update may do to the bus: two versions of the contract, and what of the newer would break who reads by the older.

schemas/README.md says what is allowed: types and members are added, an optional member is always there from now on, a
list of words that says of itself that others may follow grows. Everything else is a break, and has a name:

type_removed, moved          a type is gone, or on another channel
member_removed, optional     a member is gone, or not always there any more
words_removed, words_added   of an enum or const; added to a list that did not say that others may follow
changed                      type, pattern, a bound, a format: anything else that a value is held against

A contract is a folder with events/*.json and asyncapi.yaml. Those of releases lie in schemas/released, by version.

As a program: compatible.py check | release
"""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import yaml

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
RELEASED = SCHEMAS / "released"

# Said to people, and held against nothing.
ANNOTATIONS = {"$schema", "$comment", "title", "description", "examples", "default", "deprecated"}
OPEN = "others may follow"


@dataclass(frozen=True)
class Break:
    subject: str  # the type, or "headers of" it
    member: str   # the way to it within its data, with dots; "" for the type itself
    kind: str
    text: str

    def __str__(self):
        return f"{self.subject}{self.member and ': ' + self.member}: {self.kind}: {self.text}"


# --- two schemas ---------------------------------------------------------------------------------------------


class Comparison:
    """Two JSON Schemas, from their roots down. References are within the page that each stands in."""

    def __init__(self, subject, old_page, new_page):
        self.subject = subject
        self.pages = old_page, new_page
        self.breaks = []

    def found(self, place, kind, text):
        self.breaks.append(Break(self.subject, ".".join(place), kind, text))

    def compare(self, old, new, place=()):
        old, new = (resolve(schema, page) for schema, page in zip((old, new), self.pages))
        if not isinstance(old, dict) or not isinstance(new, dict):
            self.same(place, "schema", old, new)
            return self
        for keyword in sorted((old.keys() | new.keys()) - ANNOTATIONS - {"const", "enum"}):
            compare = getattr(self, COMPARISONS.get(keyword, "same"))
            compare(place, keyword, old.get(keyword), new.get(keyword))
        self.words(place, old, new)
        return self

    def same(self, place, keyword, old, new):
        if old != new:
            self.found(place, "changed", f"{keyword} was {shown(old)} and is {shown(new)}")

    def properties(self, place, _, old, new):
        for name, schema in (old or {}).items():
            if name in (new or {}):
                self.compare(schema, new[name], (*place, name))
            else:
                self.found((*place, name), "member_removed", "no event has it any more")

    def required(self, place, _, old, new):
        for name in sorted(set(old or ()) - set(new or ())):
            self.found((*place, name), "member_optional", "it was in every event")

    def dependents(self, place, _, old, new):
        for name, others in (old or {}).items():
            for other in sorted(set(others) - set((new or {}).get(name, ()))):
                self.found((*place, other), "member_optional", f"it came with every {name}")

    def nested(self, place, keyword, old, new):
        if isinstance(old, dict) and isinstance(new, dict):
            self.compare(old, new, (*place, "*"))
        else:
            self.same(place, keyword, old, new)

    def alternatives(self, place, keyword, old, new):
        if len(old or ()) != len(new or ()):
            self.same(place, keyword, old, new)
            return
        for was, now in zip(old, new):
            self.compare(was, now, place)

    def words(self, place, old, new):
        was, now = words_of(old), words_of(new)
        if was is None or now is None:
            self.same(place, "enum", was, now)
            return
        removed, added = ([word for word in one if word not in other] for one, other in ((was, now), (now, was)))
        if removed:
            self.found(place, "words_removed", ", ".join(map(shown, removed)))
        if added and OPEN not in old.get("description", ""):
            self.found(place, "words_added", f"{', '.join(map(shown, added))}; it did not say that {OPEN}")


COMPARISONS = {
    "properties": "properties", "required": "required", "dependentRequired": "dependents", "items": "nested",
    "additionalProperties": "nested", "allOf": "alternatives", "anyOf": "alternatives", "oneOf": "alternatives",
}


def resolve(schema, page):
    while isinstance(schema, dict) and schema.get("$ref", "").startswith("#/"):
        target = page
        for part in schema["$ref"][2:].split("/"):
            target = target[part]
        schema = target
    return schema


def words_of(schema):
    return [schema["const"]] if "const" in schema else schema.get("enum")


def shown(value):
    return "absent" if value is None else json.dumps(value)


def schema_breaks(subject, old, new, pages=None):
    return Comparison(subject, *(pages or (old, new))).compare(old, new).breaks


# --- two contracts -------------------------------------------------------------------------------------------


@dataclass
class Contract:
    events: dict  # type -> schema
    page: dict    # asyncapi.yaml

    @classmethod
    def read(cls, folder):
        events = {path.stem: json.loads(path.read_text()) for path in sorted((folder / "events").glob("*.json"))}
        return cls(events, yaml.safe_load((folder / "asyncapi.yaml").read_text()))

    @property
    def version(self):
        return self.page["info"]["version"]

    def told(self):
        """Each type with the address of its channel, and the schema of its headers."""
        told = {}
        for channel in self.page["channels"].values():
            for reference in channel["messages"].values():
                message = resolve(reference, self.page)
                traits = [resolve(trait, self.page) for trait in message.get("traits", ())]
                headers = next((part["headers"] for part in (message, *traits) if "headers" in part), {})
                told[message["name"]] = channel["address"], headers
        return told


def removed(name):
    return Break(name, "", "type_removed", "no such event comes any more")


def contract_breaks(old, new):
    """Everything of `new` that a reader of `old` may stumble over."""
    breaks = [removed(name) for name in old.events if name not in new.events]
    for name in old.events.keys() & new.events.keys():
        breaks += schema_breaks(name, old.events[name], new.events[name])
    old_told, new_told = old.told(), new.told()
    for name, (address, headers) in old_told.items():
        if name not in new_told:
            breaks += [removed(name)] if name in new.events else []
            continue
        if address != new_told[name][0]:
            breaks.append(Break(name, "", "moved", f"from {address} to {new_told[name][0]}"))
        breaks += schema_breaks(f"headers of {name}", headers, new_told[name][1], (old.page, new.page))
    return sorted(breaks, key=str)


# --- releases ------------------------------------------------------------------------------------------------


def number(version):
    return tuple(int(part) for part in re.fullmatch(r"(\d+)\.(\d+)\.(\d+)", version).groups())


def last_release(version, folder=RELEASED):
    """The newest that a contract of this version must be compatible with: another major version begins anew."""
    versions = [number(path.name) for path in folder.iterdir() if path.is_dir()]
    fitting = [found for found in versions if found[0] == number(version)[0] and found <= number(version)]
    return folder / ".".join(map(str, max(fitting))) if fitting else None


def check(folder=SCHEMAS, released=RELEASED):
    contract = Contract.read(folder)
    release = last_release(contract.version, released)
    return contract_breaks(Contract.read(release), contract) if release else []


def release(folder=SCHEMAS, released=RELEASED):
    """Keeps the contract as that of its version, which is released once."""
    target = released / Contract.read(folder).version
    if target.exists():
        raise FileExistsError(f"{target} is there already: asyncapi.yaml's version comes first")
    shutil.copytree(folder / "events", target / "events")
    shutil.copy(folder / "asyncapi.yaml", target / "asyncapi.yaml")
    return target


def main(command):
    breaks = check()
    print("\n".join(map(str, breaks)) or "what was released is kept")
    if breaks or command == "check":
        return 1 if breaks else 0
    try:
        print(f"{release()}: commit it")
    except FileExistsError as error:
        sys.exit(str(error))
    return 0


if __name__ == "__main__":
    if sys.argv[1:] not in (["check"], ["release"]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
