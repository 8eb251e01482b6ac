#include "worker/payload.h"

#include <sodium.h>
#include <strings.h>

#include "common/schema.h"
#include "tests/unit/test.h"

#define APP_KEY "0123456789abcdef0123456789abcdef"
#define REQUEST_ID "pri_029832ba-3b84-40f7-8946-82aec6f95448"

/* webhooks-out.md 3.1, and its example of a body: pre-execution, two_way. */
#define POLICY_JSON \
    "{\"id\":\"pol_1\",\"name\":\"Deletion of data\",\"key\":\"delete-data\",\"drp_action\":\"deletion\"," \
    "\"execution_timeframe\":42,\"client_id\":null,\"rules\":[{\"id\":\"rul_1\",\"name\":\"Mask all\"," \
    "\"key\":\"mask_all\",\"action_type\":\"erasure\",\"masking_strategy\":{\"strategy\":\"null_rewrite\"," \
    "\"configuration\":{}},\"storage_destination_id\":null}]}"
#define LOYALTY "\"loyalty_id\":{\"label\":\"Loyalty id\",\"value\":\"CH-1\"}"
#define IDENTITY \
    "{\"phone_number\":null,\"email\":\"customer-1@example.com\",\"ga_client_id\":null,\"ljt_readerID\":null," \
    "\"fides_user_device_id\":null,\"external_id\":null," LOYALTY "}"
#define EXAMPLE \
    "{\"privacy_request_id\":\"" REQUEST_ID "\",\"privacy_request_status\":\"in_processing\"," \
    "\"direction\":\"two_way\",\"callback_type\":\"pre\",\"identity\":" IDENTITY ",\"policy_action\":\"erasure\"," \
    "\"privacy_request\":{\"id\":\"" REQUEST_ID "\",\"external_id\":null,\"status\":\"in_processing\"," \
    "\"requested_at\":\"2024-08-01T14:38:32.499588+00:00\"," \
    "\"started_processing_at\":\"2024-08-01T14:45:23.832828+00:00\",\"finished_processing_at\":null," \
    "\"reviewed_at\":null,\"reviewed_by\":null,\"finalized_at\":null,\"finalized_by\":null,\"submitted_by\":null," \
    "\"custom_privacy_request_fields_approved_by\":null,\"identity_verified_at\":null," \
    "\"custom_privacy_request_fields_approved_at\":null,\"client_id\":null,\"origin\":null,\"policy_id\":\"pol_1\"," \
    "\"policy\":" POLICY_JSON ",\"property_id\":null,\"cancel_reason\":null,\"canceled_at\":null," \
    "\"consent_preferences\":null,\"source\":\"Privacy Center\",\"paused_at\":null," \
    "\"due_date\":\"2024-09-12T14:38:32.499588+00:00\",\"days_left\":42,\"custom_fields\":null,\"location\":\"US\"}," \
    "\"timestamp\":\"2024-08-01T14:45:24.100000\"}"

/* A request as in the example, and a call for it. */
struct world {
    struct test test;
    struct catalog_rule rule;
    struct catalog_policy policy;
    struct catalog_header headers[2];
    struct catalog_connection connection;
    struct catalog_webhook webhook;
    struct delivery deliveries[3];
    struct request request;
    struct seal_key key;
    struct token_key *tokens;
    struct payload_call call;
};

static usec_t at(const char *text)
{
    usec_t time = 0;

    assert_true(usec_parse(text, &time));
    return time;
}

static struct bytes seal(struct world *world, const char *what, const char *owner_id, const char *text)
{
    return seal_close(&world->key, what, owner_id, (struct bytes){ text, strlen(text) }, world->test.arena);
}

static void request_begin(struct world *world)
{
    world->request = (struct request){
        .arena = world->test.arena,
        .id = REQUEST_ID,
        .status = PR_IN_PROCESSING,
        .policy_id = "pol_1",
        .source = "Privacy Center",
        .location = "US",
        .requested_at = at("2024-08-01T14:38:32.499588Z"),
        .started_processing_at = at("2024-08-01T14:45:23.832828Z"),
        .due_date = at("2024-09-12T14:38:32.499588Z"),
        .finished_processing_at = USEC_NONE,
        .reviewed_at = USEC_NONE,
        .custom_approved_at = USEC_NONE,
        .identity_verified_at = USEC_NONE,
        .canceled_at = USEC_NONE,
        .paused_at = USEC_NONE,
        .finalized_at = USEC_NONE,
        .sealed_identity = seal(world, "identity", REQUEST_ID, IDENTITY),
        .deliveries = world->deliveries,
        .delivery_count = 3,
    };
}

static int world_setup(void **state)
{
    struct world *world = test_calloc(1, sizeof(*world));

    world->test.arena = arena_new();
    seal_key_new(&world->key);
    assert_int_equal(token_key_new(APP_KEY, &world->tokens, &world->test.err), 0);
    world->rule = (struct catalog_rule){ .id = "rul_1", .key = "mask_all", .action_type = "erasure" };
    world->policy = (struct catalog_policy){ .id = "pol_1", .rules = &world->rule, .rule_count = 1,
                                             .body_json = POLICY_JSON };
    world->connection = (struct catalog_connection){ .id = "con_1", .key = "c", .authorization = "Basic abc",
                                                     .headers = world->headers };
    world->webhook = (struct catalog_webhook){ "pol_w", "w", "W", &world->connection, WEBHOOK_PRE, true };
    for (int i = 0; i < 3; i++)
        world->deliveries[i] = (struct delivery){ .id = (const char *[]){ "dlv_0", "dlv_1", "dlv_2" }[i],
                                                  .webhook_id = "pol_w",
                                                  .settled_at = USEC_NONE };
    request_begin(world);
    world->call = (struct payload_call){ .request = &world->request,
                                         .delivery = &world->deliveries[2],
                                         .webhook = &world->webhook,
                                         .policy = &world->policy,
                                         .key = &world->key,
                                         .now = at("2024-08-01T14:45:24.1Z") };
    *state = world;
    return 0;
}

static int world_teardown(void **state)
{
    struct world *world = *state;

    token_key_free(world->tokens);
    arena_free(world->test.arena);
    test_free(world);
    return 0;
}

#define WORLD(function) cmocka_unit_test_setup_teardown(function, world_setup, world_teardown)

/* --- bodies -------------------------------------------------------------------------------------------- */

/* *disclosed: what an event would say of it. */
static const char *body_and_told(struct world *world, const char **disclosed)
{
    const char *body = NULL;
    size_t length = 0;

    assert_int_equal(payload_body(&world->call, &body, &length, disclosed, &world->test.err), 0);
    assert_int_equal(strlen(body), length);
    return body;
}

static const char *body_of(struct world *world)
{
    const char *disclosed;

    return body_and_told(world, &disclosed);
}

static json_object *parse(const char *text)
{
    json_object *object = json_tokener_parse(text);

    assert_non_null(object);
    return object;
}

/* Every member of `expected`, and no other, in `object`. */
static void assert_members(json_object *object, json_object *expected)
{
    assert_int_equal(json_object_object_length(object), json_object_object_length(expected));
    json_object_object_foreach(expected, name, value) {
        assert_true(schema_has(object, name));
        assert_string_equal(json_object_get_string(schema_get(object, name)) ?: "null",
                            json_object_get_string(value) ?: "null");
    }
}

static void a_body_is_the_contract_s_example(void **state)
{
    struct world *world = *state;
    const char *text = body_of(world);
    _cleanup_(json_object_putp) json_object *body = parse(text), *example = parse(EXAMPLE);

    assert_members(body, example);
    assert_members(schema_get(body, "privacy_request"), schema_get(example, "privacy_request"));
    assert_int_equal(json_object_object_length(schema_get(body, "privacy_request")), 28);
    assert_string_equal(text, EXAMPLE); /* its order too */
}

static void direction_and_callback_type_are_the_webhook_s(void **state)
{
    static const struct {
        enum webhook_kind kind;
        bool two_way;
        const char *direction, *type;
    } cases[] = {
        { WEBHOOK_PRE_APPROVAL, true, "two_way", "pre_approval" },
        { WEBHOOK_PRE_APPROVAL, false, "two_way", "pre_approval" },
        { WEBHOOK_PRE, true, "two_way", "pre" },
        { WEBHOOK_PRE, false, "one_way", "pre" },
        { WEBHOOK_POST, true, "two_way", "post" },
        { WEBHOOK_POST, false, "one_way", "post" },
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        _cleanup_(json_object_putp) json_object *body = NULL;

        world->webhook.kind = cases[i].kind;
        world->webhook.two_way = cases[i].two_way;
        body = parse(body_of(world));
        assert_string_equal(schema_text(body, "direction"), cases[i].direction);
        assert_string_equal(schema_text(body, "callback_type"), cases[i].type);
        assert_int_equal(json_object_object_length(body), 8);
    }
}

static void status_policy_and_times_are_as_they_are_now(void **state)
{
    struct world *world = *state;
    _cleanup_(json_object_putp) json_object *body = NULL;
    json_object *request;

    world->request.status = PR_ERROR;
    world->request.finished_processing_at = at("2024-10-01T00:00:00Z");
    world->call.policy = NULL; /* deleted */
    world->call.now = at("2024-10-01T00:00:00Z");
    body = parse(body_of(world));
    request = schema_get(body, "privacy_request");
    assert_string_equal(schema_text(body, "privacy_request_status"), "error");
    assert_string_equal(schema_text(request, "status"), "error");
    assert_true(schema_has(body, "policy_action") && !schema_get(body, "policy_action"));
    assert_true(schema_has(request, "policy") && !schema_get(request, "policy"));
    assert_string_equal(schema_text(body, "timestamp"), "2024-10-01T00:00:00");
    assert_int_equal(schema_int(request, "days_left", 0), -19);
}

static void custom_fields_and_the_reason_of_a_canceled_one_are_opened(void **state)
{
    struct world *world = *state;
    _cleanup_(json_object_putp) json_object *body = NULL, *canceled = NULL;

    world->request.sealed_custom_fields = seal(world, "custom_fields", REQUEST_ID,
                                               "{\"name\":{\"label\":\"N\",\"value\":[1,\"a\"]}}");
    world->request.sealed_reason = seal(world, "reason", REQUEST_ID, "said \"no\"");
    body = parse(body_of(world));
    assert_string_equal(json_object_get_string(schema_get(schema_get(body, "privacy_request"), "custom_fields")),
                        "{ \"name\": { \"label\": \"N\", \"value\": [ 1, \"a\" ] } }");
    assert_null(schema_get(schema_get(body, "privacy_request"), "cancel_reason")); /* of a denial, then */
    world->request.status = PR_CANCELED;
    canceled = parse(body_of(world));
    assert_string_equal(schema_text(schema_get(canceled, "privacy_request"), "cancel_reason"), "said \"no\"");
}

static void what_is_sealed_with_another_key_fails(void **state)
{
    struct world *world = *state;
    const char *body = "untouched";
    const char *disclosed = "untouched";
    size_t length;
    struct seal_key other;

    seal_key_new(&other);
    world->call.key = &other;
    assert_int_equal(payload_body(&world->call, &body, &length, &disclosed, &world->test.err), -ERR_INTERNAL);
    assert_string_equal(body, "untouched");
    assert_string_equal(disclosed, "untouched");
}

/* --- what an endpoint is told --------------------------------------------------------------------------- */

static void every_part_of_the_body_can_be_left_out_but_ids_and_status(void **state)
{
    struct world *world = *state;
    _cleanup_(json_object_putp) json_object *whole = parse(body_of(world));
    int place = 0;

    json_object_object_foreach(schema_get(whole, "privacy_request"), name, value) {
        _cleanup_(json_object_putp) json_object *body = NULL;
        bool always = !strcmp(name, "id") || !strcmp(name, "status");
        json_object *part;

        (void)value;
        assert_string_equal(disclosure_parts[place++], name); /* the list's order is the body's */
        world->connection.disclosure =
            disclosure_read(arena_printf(world->test.arena, "{\"parts\":[\"%s\"]}", name), world->test.arena);
        body = parse(body_of(world));
        part = schema_get(body, "privacy_request");
        assert_int_equal(json_object_object_length(part), always ? 2 : 3);
        assert_true(schema_has(part, "id") && schema_has(part, "status") && schema_has(part, name));
        assert_int_equal(json_object_object_length(body), 8);
        assert_string_equal(json_object_get_string(schema_get(body, "identity")),
                            json_object_get_string(schema_get(whole, "identity")));
    }
    assert_int_equal(place, DISCLOSURE_PARTS);
}

static void what_is_derived_is_left_out_like_what_the_request_brought(void **state)
{
    struct world *world = *state;
    _cleanup_(json_object_putp) json_object *body = NULL;
    const char *disclosed;

    world->deliveries[0].settled_at = at("2024-08-01T14:45:00Z");
    world->deliveries[0].sealed_derived =
        seal(world, "derived", "dlv_0", "{\"phone_number\":\"+15555555555\",\"external_id\":\"e\"}");
    world->connection.disclosure = disclosure_read("{\"identity\":[\"phone_number\",\"ga_client_id\"]}", world->test.arena);
    world->connection.host = "crm.example.com";
    world->policy.key = "delete-data";
    body = parse(body_and_told(world, &disclosed));
    assert_string_equal(json_object_to_json_string_ext(schema_get(body, "identity"), JSON_C_TO_STRING_PLAIN),
                        "{\"phone_number\":\"+15555555555\",\"ga_client_id\":null}");
    assert_string_equal(disclosed,
                        "{\"connection_key\":\"c\",\"host\":\"crm.example.com\",\"policy_key\":\"delete-data\","
                        "\"identity\":[\"phone_number\"],\"parts\":[\"*\"]}");
}

/* --- what earlier webhooks derived ---------------------------------------------------------------------- */

static void derive(struct world *world, int place, const char *settled_at, const char *derived, const char *resumed)
{
    struct delivery *delivery = &world->deliveries[place];

    delivery->settled_at = settled_at ? at(settled_at) : USEC_NONE;
    if (derived)
        delivery->sealed_derived = seal(world, "derived", delivery->id, derived);
    if (resumed)
        delivery->sealed_resumed = seal(world, "derived", delivery->id, resumed);
}

static void assert_identity(struct world *world, const char *expected)
{
    _cleanup_(json_object_putp) json_object *body = parse(body_of(world));

    assert_string_equal(json_object_to_json_string_ext(schema_get(body, "identity"), JSON_C_TO_STRING_PLAIN),
                        expected);
}

static void what_was_derived_goes_over_what_came_with_the_request(void **state)
{
    struct world *world = *state;

    derive(world, 0, "2024-08-01T14:45:24Z", "{\"phone_number\":\"+15551234567\",\"crm\":{\"label\":\"C\",\"value\":[1]}}",
           NULL);
    assert_identity(world, "{\"phone_number\":\"+15551234567\",\"email\":\"customer-1@example.com\","
                           "\"ga_client_id\":null,\"ljt_readerID\":null,\"fides_user_device_id\":null,"
                           "\"external_id\":null," LOYALTY ",\"crm\":{\"label\":\"C\",\"value\":[1]}}");
}

/* The rows come in no order; the reply to a halt comes after what the halting answer brought. */
static void the_later_derived_goes_over_the_earlier(void **state)
{
    struct world *world = *state;

    derive(world, 2, "2024-08-01T14:45:01Z", "{\"external_id\":\"first\",\"email\":\"first@example.com\"}",
           "{\"external_id\":\"second\",\"ga_client_id\":\"second\"}");
    derive(world, 0, "2024-08-01T14:45:02Z", "{\"external_id\":\"third\"}", NULL);
    derive(world, 1, NULL, NULL, "{\"ljt_readerID\":\"early\"}");
    assert_identity(world, "{\"phone_number\":null,\"email\":\"first@example.com\",\"ga_client_id\":\"second\","
                           "\"ljt_readerID\":\"early\",\"fides_user_device_id\":null,\"external_id\":\"third\"," LOYALTY
                           "}");
}

static void an_unsettled_one_is_the_last(void **state)
{
    struct world *world = *state;

    derive(world, 0, NULL, NULL, "{\"external_id\":\"unsettled\"}");
    derive(world, 1, "2024-08-01T14:45:02Z", "{\"external_id\":\"settled\"}", NULL);
    assert_identity(world, "{\"phone_number\":null,\"email\":\"customer-1@example.com\",\"ga_client_id\":null,"
                           "\"ljt_readerID\":null,\"fides_user_device_id\":null,\"external_id\":\"unsettled\"," LOYALTY
                           "}");
}

static void a_phone_number_derived_as_nothing_is_unknown_again(void **state)
{
    struct world *world = *state;

    derive(world, 0, "2024-08-01T14:45:01Z", "{\"phone_number\":\"+15551234567\"}", NULL);
    derive(world, 1, "2024-08-01T14:45:02Z", "{\"phone_number\":\"\"}", NULL);
    assert_identity(world, IDENTITY);
}

static void what_another_delivery_derived_does_not_open_in_its_place(void **state)
{
    struct world *world = *state;
    const char *body;
    const char *disclosed = "untouched";
    size_t length;

    world->deliveries[0].sealed_derived = seal(world, "derived", "dlv_1", "{\"external_id\":\"x\"}");
    assert_int_equal(payload_body(&world->call, &body, &length, &disclosed, &world->test.err), -ERR_INTERNAL);
}

/* --- headers ------------------------------------------------------------------------------------------- */

static const char *names_sent(struct world *world, struct curl_slist **list)
{
    const char *names = "untouched";

    assert_int_equal(payload_headers(&world->call, "{}", 2, world->tokens, list, &names, &world->test.err), 0);
    return names;
}

/* The names in their order, with blanks. */
static const char *order(struct world *world, const struct curl_slist *list)
{
    const char *text = "";

    for (; list; list = list->next)
        text = arena_printf(world->test.arena, "%s%s%.*s", text, *text ? " " : "", (int)strcspn(list->data, ":;"),
                            list->data);
    return text;
}

/* What stands after the name; NULL when there is none, and there may be only one. */
static const char *header(const struct curl_slist *list, const char *name)
{
    const char *found = NULL;
    size_t length = strlen(name);

    for (; list; list = list->next) {
        if (strncasecmp(list->data, name, length) != 0 || !strchr(":;", list->data[length]))
            continue;
        assert_null(found);
        found = list->data + length + (list->data[length] == ':' ? 2 : 1);
    }
    return found;
}

#define OWN_ORDER "Content-Type webhook-id webhook-timestamp"

static void each_kind_has_its_reply_headers(void **state)
{
    static const struct {
        enum webhook_kind kind;
        bool two_way;
        const char *order;
    } cases[] = {
        { WEBHOOK_PRE_APPROVAL, true,
          "Authorization User-Agent reply-to-eligible reply-to-not-eligible reply-to-approve reply-to-deny "
          "reply-to-token " OWN_ORDER " traceparent Expect" },
        { WEBHOOK_PRE, true, "Authorization User-Agent reply-to reply-to-token " OWN_ORDER " traceparent Expect" },
        { WEBHOOK_PRE, false, "Authorization User-Agent " OWN_ORDER " traceparent Expect" },
        { WEBHOOK_POST, true, "Authorization User-Agent " OWN_ORDER " traceparent Expect" },
        { WEBHOOK_POST, false, "Authorization User-Agent " OWN_ORDER " traceparent Expect" },
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct curl_slist *list;

        world->webhook.kind = cases[i].kind;
        world->webhook.two_way = cases[i].two_way;
        assert_string_equal(names_sent(world, &list), "Authorization");
        assert_string_equal(order(world, list), cases[i].order);
        assert_string_equal(header(list, "Content-Type"), "application/json");
        assert_string_equal(header(list, "webhook-id"), "dlv_2");
        assert_string_equal(header(list, "webhook-timestamp"), "1722523524");
        assert_string_equal(header(list, "Authorization"), "Basic abc");
    }
}

static void assert_token(struct world *world, const char *token, const char *scope)
{
    struct token_reply reply = { 0 };

    assert_int_equal(token_reply_open(world->tokens, token, scope, REQUEST_ID, world->call.now, USEC_PER_S,
                                      world->test.arena, &reply, &world->test.err),
                     0);
    assert_string_equal(reply.webhook_id, "pol_w");
}

static void a_reply_s_path_and_token_are_for_what_it_is_asked(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;

    names_sent(world, &list);
    assert_string_equal(header(list, "reply-to"), "/privacy-request/" REQUEST_ID "/resume");
    assert_token(world, header(list, "reply-to-token"), TOKEN_SCOPE_RESUME);
    world->webhook.kind = WEBHOOK_PRE_APPROVAL;
    names_sent(world, &list);
    assert_string_equal(header(list, "reply-to-eligible"), "/privacy-request/" REQUEST_ID "/pre-approve/eligible");
    assert_string_equal(header(list, "reply-to-not-eligible"),
                        "/privacy-request/" REQUEST_ID "/pre-approve/not-eligible");
    assert_string_equal(header(list, "reply-to-approve"), header(list, "reply-to-eligible"));
    assert_string_equal(header(list, "reply-to-deny"), header(list, "reply-to-not-eligible"));
    assert_token(world, header(list, "reply-to-token"), TOKEN_SCOPE_REVIEW);
}

static void own(struct world *world, const char *first, const char *first_value, const char *second,
                const char *second_value)
{
    world->headers[0] = (struct catalog_header){ first, first_value };
    world->headers[1] = (struct catalog_header){ second, second_value };
    world->connection.header_count = 2;
}

static void own_headers_go_over_the_authorization_and_the_defaults(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;

    own(world, "authorization", "Token own", "USER-AGENT", "");
    assert_string_equal(names_sent(world, &list), "authorization,USER-AGENT");
    assert_string_equal(order(world, list),
                        "authorization USER-AGENT reply-to reply-to-token " OWN_ORDER " traceparent Expect");
    assert_string_equal(header(list, "Authorization"), "Token own");
    assert_string_equal(header(list, "User-Agent"), "");
}

static void a_bearer_goes_over_an_authorization_and_other_own_headers_stay(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;

    own(world, "AUTHORIZATION", "Token own", "X-Tenant", "acme");
    world->call.bearer = "tok.en";
    assert_string_equal(names_sent(world, &list), "Authorization,X-Tenant");
    assert_string_equal(header(list, "Authorization"), "Bearer tok.en");
    assert_string_equal(header(list, "X-Tenant"), "acme");
}

static void what_the_connection_does_not_bring_has_no_name(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;

    world->connection.authorization = NULL;
    assert_null(names_sent(world, &list));
    assert_null(header(list, "Authorization"));
}

static void a_trace_goes_on_and_each_call_has_its_own_span(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;
    const char *trace;

    world->call.traceparent = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";
    names_sent(world, &list);
    trace = header(list, "traceparent");
    assert_memory_equal(trace, world->call.traceparent, 36);
    assert_string_not_equal(trace, world->call.traceparent);
}

/* --- signatures ---------------------------------------------------------------------------------------- */

/* Published with the Standard Webhooks scheme's description of how to verify by hand. */
#define MESSAGE_ID "msg_loFOjxBNrRLzqYUf"
#define MESSAGE_SECONDS "1731705121"
#define MESSAGE "{\"event_type\":\"ping\",\"data\":{\"success\":true}}"
#define SECRET "whsec_plJ3nmyCDGBKInavdOK15jsl"
#define SIGNATURE "v1,rAvfW3dJ/X/qxhsaXPOyyCGmRKsaKWcsNccKXlIktD0="
/* The same with another key, computed apart with Python's hmac. */
#define OTHER_SECRET "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
#define OTHER_SIGNATURE "v1,ra7kgjOCnSSR5URJ70WM3QMv18NGuuwnmtI2W0CEQ1c="

static const char *signature(struct world *world, const char *secret, const char *previous, usec_t until, usec_t now)
{
    const struct catalog_connection connection = { .signing_secret = secret, .signing_previous = previous,
                                                   .signing_until = until };

    return payload_signature(&connection, MESSAGE_ID, MESSAGE_SECONDS, MESSAGE, strlen(MESSAGE), now,
                             world->test.arena);
}

static void a_signature_is_the_published_one(void **state)
{
    assert_string_equal(signature(*state, SECRET, NULL, 0, 100), SIGNATURE);
    assert_string_equal(signature(*state, OTHER_SECRET, NULL, 0, 100), OTHER_SIGNATURE);
}

static void a_former_secret_signs_beside_the_new_one_until_its_end(void **state)
{
    assert_string_equal(signature(*state, OTHER_SECRET, SECRET, 200, 199), OTHER_SIGNATURE " " SIGNATURE);
    assert_string_equal(signature(*state, OTHER_SECRET, SECRET, 200, 200), OTHER_SIGNATURE);
    assert_null(signature(*state, NULL, SECRET, 200, 199));
}

static void padding_of_a_secret_makes_no_difference(void **state)
{
    assert_string_equal(signature(*state, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA==", NULL, 0, 0),
                        signature(*state, "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGA", NULL, 0, 0));
}

static void a_signed_call_has_the_header_over_its_own_body(void **state)
{
    struct world *world = *state;
    struct curl_slist *list;

    world->connection.signing_secret = SECRET;
    assert_string_equal(names_sent(world, &list), "Authorization,webhook-signature");
    assert_string_equal(order(world, list), "Authorization User-Agent reply-to reply-to-token " OWN_ORDER
                                            " webhook-signature traceparent Expect");
    assert_string_equal(header(list, "webhook-signature"),
                        payload_signature(&world->connection, "dlv_2", "1722523524", "{}", 2, 0, world->test.arena));
}

static void a_call_that_cannot_be_signed_is_not_made(void **state)
{
    static const char *const secrets[] = { "", "whsec", "whsec_", "whsec_***", "plJ3nmyCDGBKInavdOK15jsl", "WHSEC_plJ3" };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(secrets); i++) {
        struct curl_slist *list = NULL;
        const char *names = NULL;

        world->connection.signing_secret = secrets[i];
        assert_int_equal(payload_headers(&world->call, "{}", 2, world->tokens, &list, &names, &world->test.err),
                         -ERR_INTERNAL);
        assert_null(list);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD(a_body_is_the_contract_s_example),
        WORLD(direction_and_callback_type_are_the_webhook_s),
        WORLD(status_policy_and_times_are_as_they_are_now),
        WORLD(custom_fields_and_the_reason_of_a_canceled_one_are_opened),
        WORLD(what_is_sealed_with_another_key_fails),
        WORLD(every_part_of_the_body_can_be_left_out_but_ids_and_status),
        WORLD(what_is_derived_is_left_out_like_what_the_request_brought),
        WORLD(what_was_derived_goes_over_what_came_with_the_request),
        WORLD(the_later_derived_goes_over_the_earlier),
        WORLD(an_unsettled_one_is_the_last),
        WORLD(a_phone_number_derived_as_nothing_is_unknown_again),
        WORLD(what_another_delivery_derived_does_not_open_in_its_place),
        WORLD(each_kind_has_its_reply_headers),
        WORLD(a_reply_s_path_and_token_are_for_what_it_is_asked),
        WORLD(own_headers_go_over_the_authorization_and_the_defaults),
        WORLD(a_bearer_goes_over_an_authorization_and_other_own_headers_stay),
        WORLD(what_the_connection_does_not_bring_has_no_name),
        WORLD(a_trace_goes_on_and_each_call_has_its_own_span),
        WORLD(a_signature_is_the_published_one),
        WORLD(a_former_secret_signs_beside_the_new_one_until_its_end),
        WORLD(padding_of_a_secret_makes_no_difference),
        WORLD(a_signed_call_has_the_header_over_its_own_body),
        WORLD(a_call_that_cannot_be_signed_is_not_made),
    };

    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
