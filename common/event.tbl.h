/*
 * EVENT(NAME, type): what happens to a request, in the order of its life. Each has a schema in schemas/events.
 * The data of every event has "request_id"; those that set a status have "status".
 */
EVENT(CREATED,                "docket.request.created.v1")
EVENT(PRE_APPROVAL_REQUESTED, "docket.request.pre_approval_requested.v1") /* calls owed to all webhooks */
EVENT(WEBHOOK_OWED,           "docket.request.webhook_owed.v1")      /* one more, configured meanwhile */
EVENT(WEBHOOK_SENT,           "docket.request.webhook_sent.v1")
EVENT(WEBHOOK_FAILED,         "docket.request.webhook_failed.v1")    /* an attempt; another follows */
EVENT(WEBHOOK_GIVEN_UP,       "docket.request.webhook_given_up.v1")  /* the last attempt failed */
EVENT(WEBHOOK_HELD,           "docket.request.webhook_held.v1")      /* its connection is disabled */
EVENT(WEBHOOK_RELEASED,       "docket.request.webhook_released.v1")  /* enabled again: due at once */
EVENT(WEBHOOK_WITHDRAWN,      "docket.request.webhook_withdrawn.v1") /* nobody need be called any more */
EVENT(ELIGIBLE,               "docket.request.pre_approval_eligible.v1")
EVENT(NOT_ELIGIBLE,           "docket.request.pre_approval_not_eligible.v1")
EVENT(REPLY_IGNORED,          "docket.request.reply_ignored.v1")     /* taken while blind, too late or opposite */
EVENT(APPROVED,               "docket.request.approved.v1")
EVENT(DENIED,                 "docket.request.denied.v1")
EVENT(CANCELED,               "docket.request.canceled.v1")
EVENT(STARTED,                "docket.request.started.v1")         /* may owe the first step's call */
EVENT(WEBHOOK_ANSWERED,       "docket.request.webhook_answered.v1") /* of a policy webhook: the run may go on */
EVENT(WEBHOOK_SKIPPED,        "docket.request.webhook_skipped.v1") /* disabled or deleted: the run goes on */
EVENT(WEBHOOKS_CHANGED,       "docket.request.webhooks_changed.v1") /* the policy's list, under way */
EVENT(ENDPOINT_PAUSED,        "docket.request.endpoint_paused.v1") /* 410: its calls are held */
EVENT(WEBHOOK_REDELIVERED,    "docket.request.webhook_redelivered.v1") /* an operator asked for another attempt */
EVENT(WEBHOOK_REMINDED,       "docket.request.webhook_reminded.v1") /* called again, as no reply came */
EVENT(INPUT_REQUIRED,         "docket.request.input_required.v1")  /* people are asked; told anew when others are */
EVENT(INPUT_GIVEN,            "docket.request.input_given.v1")     /* what a person filled in is kept */
EVENT(INPUT_COMPLETED,        "docket.request.input_completed.v1") /* the run goes on */
EVENT(TASKS_PLANNED,          "docket.request.tasks_planned.v1")   /* which collections are read, or erased */
EVENT(TASK_COMPLETED,         "docket.request.task_completed.v1")  /* a collection read or erased, a package made */
EVENT(TASK_SKIPPED,           "docket.request.task_skipped.v1")
EVENT(TASK_RETRIED,           "docket.request.task_retried.v1")    /* a try failed; another follows */
EVENT(TASK_FAILED,            "docket.request.task_failed.v1")
EVENT(PAUSED,                 "docket.request.paused.v1")
EVENT(RESUME_KEPT,            "docket.request.resume_kept.v1")     /* it came before the answer that halts */
EVENT(RESUMED,                "docket.request.resumed.v1")
EVENT(EXPIRED,                "docket.request.expired.v1")
EVENT(RETRIED,                "docket.request.retried.v1")
EVENT(COMPLETED,              "docket.request.completed.v1")
EVENT(FAILED,                 "docket.request.failed.v1")
EVENT(DISCLOSED,              "docket.request.disclosed.v1")       /* a package, links to packages, rows */
EVENT(FORGOTTEN,              "docket.request.forgotten.v1")       /* its key is destroyed */
EVENT(PACKAGE_DELETED,        "docket.request.package_deleted.v1") /* from its storage */
EVENT(DELETED,                "docket.request.deleted.v1")         /* softly: hidden, and nothing goes on */
