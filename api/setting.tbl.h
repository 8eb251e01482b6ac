/*
 * SETTING(section, key, type, allowed, off, also): what may be set by PATCH and PUT /config (rest.md 14).
 *
 * off: the JSON value that is in effect here. It is accepted, and so is `also` where there is one; others are not
 * available in this version. NULL where any value takes effect.
 */
SETTING(storage, active_default_storage_type, STRING, storage_types, "\"local\"", "\"s3\"")
SETTING(notifications, send_request_completion_notification, BOOL, NULL, "false", NULL)
SETTING(notifications, send_request_receipt_notification, BOOL, NULL, "false", NULL)
SETTING(notifications, send_request_review_notification, BOOL, NULL, "false", NULL)
SETTING(notifications, notification_service_type, STRING, NULL, "null", NULL)
SETTING(notifications, enable_property_specific_messaging, BOOL, NULL, "false", NULL)
SETTING(execution, subject_identity_verification_required, BOOL, NULL, "false", NULL)
SETTING(execution, require_manual_request_approval, BOOL, NULL, NULL, NULL)
SETTING(execution, disable_consent_identity_verification, BOOL, NULL, "false", NULL)
SETTING(execution, memory_watchdog_enabled, BOOL, NULL, "false", NULL)
SETTING(execution, sql_dry_run, STRING, NULL, "\"none\"", NULL)
SETTING(security, cors_origins, LIST, NULL, "[]", NULL)
SETTING(privacy_request_duplicate_detection, enabled, BOOL, NULL, "false", NULL)
SETTING(privacy_request_duplicate_detection, time_window_days, INT, NULL, "null", NULL)
SETTING(privacy_request_duplicate_detection, match_identity_fields, LIST, NULL, "null", NULL)
