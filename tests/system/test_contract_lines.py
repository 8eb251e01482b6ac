"""Each line of the contract's lifecycle has a test that would fail if docket did otherwise: here they are named.

Sections as in the lifecycle contract: 5.1 replies of pre-approval webhooks, 6 pause and resume, 8 checkpoints and retry.
"""

import ast
from pathlib import Path

import pytest

HERE = Path(__file__).parent
UNIT = HERE.parent / "unit"

LINES = {
    "5.1 a reply while not waiting": [
        "test_pre_approval.py::test_replies_after_a_person_decided_are_refused",
        "test_pre_approval.py::test_one_not_eligible_waits_for_a_person_who_approves"],
    "5.1 an unknown request": ["test_callback.py::test_a_webhook_that_is_unknown_comes_before_a_request_that_is"],
    "5.1 a second reply of the same webhook": [
        "test_fides_faults.py::test_a_reply_sent_twice_is_answered_twice_alike",
        "test_callback.py::test_a_repeated_reply_is_answered_like_the_first_whatever_became_of_the_request",
        "test_callback.py::test_the_opposite_is_refused_while_others_are_waited_for"],
    "5.1 eligible first, not eligible later": [
        "test_pre_approval.py::test_eligible_first_and_not_eligible_later_waits_for_a_person"],
    "5.1 not eligible first, eligible later": [
        "test_callback.py::test_after_an_objection_only_the_objection_itself_may_be_said_again"],
    "5.1 a webhook added while waiting": [
        "test_config_changes.py::test_a_webhook_added_meanwhile_is_asked_about_what_waits",
        "test_config_changes.py::test_a_webhook_added_meanwhile_may_object"],
    "5.1 a webhook deleted while waiting": [
        "test_config_changes.py::test_what_waited_only_for_a_deleted_webhook_goes_on"],
    "5.1 all webhooks deleted while waiting": [
        "test_config_changes.py::test_with_no_webhook_left_a_person_decides"],
    "5.1 a deleted webhook's token": ["test_pre_approval.py::test_a_reply_of_a_deleted_webhook_is_unknown"],
    "5.1 the webhook of an objection is deleted": [
        "test_callback.py::test_an_objection_of_a_webhook_that_was_deleted_keeps_nobody_out"],
    "5.1 concurrent last replies": [
        "test_pre_approval.py::test_replies_that_come_together_approve_once",
        "test_callback.py::test_replies_of_many_webhooks_at_many_doors_approve_once",
        "test_callback.py::test_contradictions_at_once_never_leave_a_request_between"],
    "5.1 a deleted request": ["test_callback.py::test_a_deleted_request_takes_no_replies"],
    "5.1 a person decides while waiting": [
        "test_pre_approval.py::test_replies_after_a_person_decided_are_refused"],
    "6 a pause has a time": [
        "test_fides_faults.py::test_a_paused_request_expires_with_workers_of_their_own",
        "../faults/test_pause_many.py::*"],
    "6 a resume: token, body, status, what it derives": [
        "test_resume.py::test_tokens", "test_resume.py::test_a_paused_request_goes_on",
        "test_resume.py::test_a_body_that_does_not_fit_names_the_field_and_changes_nothing",
        "test_resume.py::test_a_request_that_is_not_paused_is_refused_by_its_status",
        "test_resume.py::test_a_derived_identity_is_sealed_and_told_to_who_comes_after"],
    "6 the run goes on with the webhooks after": [
        "test_resume.py::test_two_webhooks_halt_in_turn",
        "test_policy_changes.py::test_a_list_that_is_changed_during_a_pause"],
    "6 people's input is looked at again": [
        "unit:worker/test_plan_execution.c::a_run_stops_until_everybody_has_answered_for_both_actions"],
    "6 the token's life against the pause's": [
        "test_resume.py::test_a_token_that_ends_before_its_pause_is_told_at_the_start"],
    "6 expiry: only of what is still paused": [
        "test_policy_changes.py::test_a_pause_that_is_canceled_is_over",
        "unit:worker/test_plan_run.c::a_pause_that_is_over_fails_the_request_and_a_retry_asks_again"],
    "6 where a person goes on: resume_endpoint": [
        "test_resume.py::test_the_answer_is_the_request_as_search_shows_it"],
    "8 the step that failed is kept": ["test_retry_request.py::test_it_goes_on_from_the_webhook_that_failed"],
    "8 retry needs an error": ["test_retry_request.py::test_only_an_error_is_retried_and_nothing_is_made_anew"],
    "8 finished collections keep their results": [
        "unit:worker/test_plan_execution.c::one_that_failed_ends_the_run_where_a_retry_goes_on"],
    "8 bulk retry": [
        "test_retry_request.py::test_many_at_once_each_told_for_itself",
        "test_policy_retry.py::test_a_bulk_retry_goes_on_from_where_each_one_failed"],
    "8 what is stuck is found: leases instead of a watchdog": [
        "test_fides_faults.py::test_a_worker_killed_in_a_call_goes_on_with_that_call",
        "../faults/test_policy_kill.py::*", "../faults/test_moment.py::*"],
}


def names_in(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_the_contract_has_its_tests(line):
    for test in LINES[line]:
        file, name = test.removeprefix("unit:").split("::")
        if test.startswith("unit:"):
            assert f"static void {name}(void **state)" in (UNIT / file).read_text(), test
        else:
            found = names_in(HERE / file)
            assert name in found or (name == "*" and any(one.startswith("test_") for one in found)), test
