"""What must never be: an identity on the bus or in a log, a sanitizer's report."""

import re
import secrets

SANITIZER_REPORT = re.compile(r"ERROR: AddressSanitizer|runtime error:|LeakSanitizer|ThreadSanitizer: ")


class Identities:
    """Makes identity values that occur nowhere else, and knows them all, so that a leak can be found.

    Each has a part by chance that is looked for by its form: there are thousands of values, and more texts.
    """

    FORMS = [re.compile(form) for form in (rb"custom-([0-9a-f]{16})", rb"derived-([0-9a-f]{16})",
                                           rb"-([0-9a-f]{10})(?:@|%40)", rb"1555([0-9]{9})")]

    def __init__(self):
        self.values = []
        self._by_chance = {}  # the part by chance -> the value
        self._given = []  # values of another form

    def _remember(self, value):
        self.values.append(value)
        parts = self._parts(value.encode())
        self._by_chance.update(dict.fromkeys(parts, value))
        if not parts:
            self._given.append(value)
        return value

    def _parts(self, content):
        content = content.lower()
        return {part for form in self.FORMS for part in form.findall(content)}

    def email(self, name="person"):
        return self._remember(f"{name}-{secrets.token_hex(5)}@example.com")

    def phone(self):
        return self._remember(f"+1555{secrets.randbelow(10**9):09}")

    def custom(self, label="Loyalty id"):
        return {"label": label, "value": self._remember(f"custom-{secrets.token_hex(8)}")}

    def derived(self, value=None):
        """For a value that a webhook brings; any text counts as one."""
        return self._remember(value or f"derived-{secrets.token_hex(8)}")

    def __call__(self):
        return self.email()

    def leaks_in(self, where, content):
        """What is found of them in some bytes, as findings to print."""
        found = [self._by_chance[part] for part in self._parts(content) & self._by_chance.keys()]
        found += [value for value in self._given if value.encode() in content or value.upper().encode() in content]
        return [f"{where} holds the identity value {value}" for value in found]


class LogWatch:
    """Reads what each log got since the last look."""

    def __init__(self, directory):
        self.directory = directory
        self.places = {}

    def fresh(self):
        for path in sorted(self.directory.glob("*.log")):
            with open(path, errors="replace") as file:
                file.seek(self.places.get(path, 0))
                text = file.read()
                self.places[path] = file.tell()
            if text:
                yield path, text

    def sanitizer_reports(self):
        """The sanitizers' reports that came since the last look, each with the lines that follow it."""
        return [f"{path.name}:\n{text[match.start():match.start() + 3000]}"
                for path, text in self.fresh() if (match := SANITIZER_REPORT.search(text))]
