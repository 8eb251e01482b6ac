"""What tests may do to a worker is not in what is shipped."""

import pytest


@pytest.mark.parametrize("name", ["docket-api", "docket-callback", "docket-worker", "docketctl"])
def test_no_program_of_the_release_build_dies_on_demand(stack, name):
    assert b"docket_test_trigger" not in stack.binary(name).read_bytes()
