/*
 * ERR(NAME, word, HTTP status, fate of the work at hand)
 *
 *   GIVE_UP  this input will never be right: say so and go on
 *   RETRY    the same may succeed later: park it until it is due
 *   STOP     we are wrong: leave the offset and restart
 */
ERR(BAD_REQUEST,    "bad_request",    400, GIVE_UP)
ERR(UNAUTHORIZED,   "unauthorized",   401, GIVE_UP)
ERR(FORBIDDEN,      "forbidden",      403, GIVE_UP)
ERR(NOT_FOUND,      "not_found",      404, GIVE_UP)
ERR(NOT_ALLOWED,    "not_allowed",    405, GIVE_UP)
ERR(CONFLICT,       "conflict",       409, GIVE_UP)
ERR(GONE,           "gone",           410, GIVE_UP)   /* it was there, and will not be again */
ERR(TOO_LARGE,      "too_large",      413, GIVE_UP)
ERR(INVALID,        "invalid",        422, GIVE_UP)   /* `detail` is a list: see common/schema.h */
ERR(REFUSED,        "refused",        400, GIVE_UP)   /* the other side said no, for good */
ERR(STALE,          "stale",          409, RETRY)     /* somebody was faster: look again */
ERR(TIMEOUT,        "timeout",        504, GIVE_UP)   /* it took longer than is allowed */
ERR(UNAVAILABLE,    "unavailable",    503, RETRY)
ERR(NOT_IMPLEMENTED,"not_implemented",501, GIVE_UP)
ERR(INTERNAL,       "internal",       500, STOP)
