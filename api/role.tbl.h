/* ROLE(NAME, word): rest.md 2.1; what each may do is in scope.c. */
ROLE(OWNER, "owner")
ROLE(CONTRIBUTOR, "contributor")
ROLE(VIEWER, "viewer")
ROLE(APPROVER, "approver")
ROLE(VIEWER_AND_APPROVER, "viewer_and_approver")
ROLE(DATA_STEWARD, "data_steward")
ROLE(RESPONDENT, "respondent")
ROLE(EXTERNAL_RESPONDENT, "external_respondent")
