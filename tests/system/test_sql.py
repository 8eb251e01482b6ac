"""Every statement that a program carries fits the schema as it is migrated."""

import re

import pytest
from psycopg.pq import ExecStatus

from utils import ROOT

FILES = sorted(path for folder in ("api", "common", "worker") for path in (ROOT / folder).glob("**/*.sql"))
BLOCK = re.compile(r"^-- name: (\S+)\n(.*?)(?=^-- name: |\Z)", re.MULTILINE | re.DOTALL)
STATEMENTS = [pytest.param(text, id=f"{path.relative_to(ROOT)}:{name}")
              for path in FILES for name, text in BLOCK.findall(path.read_text())]


@pytest.mark.parametrize("text", STATEMENTS)
def test_a_statement_fits_the_schema(db, text):
    """Prepared as the programs do it, which also finds a second statement in a block."""
    result = db.pgconn.prepare(b"", text.encode())
    assert result.status == ExecStatus.COMMAND_OK, result.error_message.decode()


def test_there_are_statements_to_look_at():
    assert len(FILES) > 8 and len(STATEMENTS) > 50


def test_names_are_said_once_in_a_file():
    for path in FILES:
        names = [name for name, _ in BLOCK.findall(path.read_text())]
        assert len(names) == len(set(names)), path
