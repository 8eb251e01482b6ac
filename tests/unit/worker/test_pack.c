#include "worker/execute/pack.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdlib.h>

#include "common/schema.h"
#include "tests/unit/test.h"
#include "worker/execute/cipher.h"
#include "worker/execute/markup.h"
#include "worker/execute/zip.h"

/* --- a sink that keeps what it gets ------------------------------------------------------------------------- */

struct kept {
    struct sink sink;
    struct buf bytes;
    size_t largest; /* that came at once */
};

static int kept_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    struct kept *kept = (struct kept *)sink;

    (void)err;
    kept->largest = length > kept->largest ? length : kept->largest;
    buf_add(&kept->bytes, bytes, length);
    return 0;
}

static int full_put(struct sink *sink, const void *bytes, size_t length, struct err *err)
{
    (void)sink;
    (void)bytes;
    (void)length;
    return err_set(err, ERR_UNAVAILABLE, "The disk is full.");
}

static struct kept kept_new(void)
{
    return (struct kept){ .sink.put = kept_put, .bytes = BUF_INIT(256 * 1024 * 1024) };
}

/* --- packages -------------------------------------------------------------------------------------------------- */

static const char identity[] = "{\"email\":\"jane@example.com\",\"loyalty\":{\"label\":\"Loyalty <id>\",\"value\":\"L-1\"}}";

static struct pack_about about_of(struct test *test, const char *encryption_key)
{
    return (struct pack_about){ .request_id = "pri_1",
                                .action = "access",
                                .identity = identity,
                                .requested_at = INT64_C(1722523112499588),
                                .encryption_key = encryption_key,
                                .arena = test->arena };
}

/* `cells`: rows of `count` values, ended by "end"; "-": has none of it. */
static void put_section(struct test *test, const struct pack_form *form, void *handle, struct pack_section *section,
                        const char *const *cells)
{
    struct rows_value values[16];

    assert_int_equal(form->section(handle, section, &test->err), 0);
    while (strcmp(*cells, "end") != 0) {
        for (int i = 0; i < section->count; i++, cells++) {
            bool there = strcmp(*cells, "-") != 0;

            values[i] = (struct rows_value){ there ? *cells : NULL, there ? strlen(*cells) : 0 };
        }
        assert_int_equal(form->row(handle, values, &test->err), 0);
    }
}

static const char *const people[] = { "email", "id", "name" };
static const char *const profile[] = { "data" };
static struct pack_section sections[] = {
    { .address = "shop:people", .columns = people, .count = 3 },
    { .address = "shop:profile", .columns = profile, .count = 1 },
    { .address = "office", .columns = people, .count = 1 },
};
static const char *const people_cells[] = { "\"jane@example.com\"", "1", "\"Jane\"", "null", "2", "-", "-", "-", "-", "end" };
static const char *const profile_cells[] = { "{\"a\":[1,{}]}", "end" };
static const char *const office_cells[] = { "\"=1+1\"", "end" };

static void pack_all(struct test *test, const struct pack_form *form, const char *encryption_key, struct kept *kept)
{
    struct pack_about about = about_of(test, encryption_key);
    void *handle;

    assert_int_equal(form->begin(&about, &kept->sink, &handle, &test->err), 0);
    put_section(test, form, handle, &sections[0], people_cells);
    put_section(test, form, handle, &sections[1], profile_cells);
    put_section(test, form, handle, &sections[2], office_cells);
    assert_int_equal(form->finish(handle, &test->err), 0);
    form->free(handle);
}

static void pack_nothing(struct test *test, const struct pack_form *form, struct kept *kept)
{
    struct pack_about about = about_of(test, NULL);
    void *handle;

    assert_int_equal(form->begin(&about, &kept->sink, &handle, &test->err), 0);
    assert_int_equal(form->finish(handle, &test->err), 0);
    form->free(handle);
}

/* A zip file's member; NULL: there is none. `names`: of all, with spaces. */
static const char *member(struct test *test, const struct kept *kept, const char *name, const char **names)
{
    struct archive *archive = archive_read_new();
    struct archive_entry *entry;
    const char *text = NULL, *all = "";

    archive_read_support_format_zip_seekable(archive);
    assert_int_equal(archive_read_open_memory(archive, kept->bytes.data, kept->bytes.length), ARCHIVE_OK);
    while (archive_read_next_header(archive, &entry) == ARCHIVE_OK) {
        all = arena_printf(test->arena, "%s%s%s", all, *all ? " " : "", archive_entry_pathname(entry));
        if (name && !strcmp(archive_entry_pathname(entry), name)) {
            size_t size = (size_t)archive_entry_size(entry);
            char *bytes = arena_alloc(test->arena, size + 1);

            assert_int_equal(archive_read_data(archive, bytes, size), size);
            text = bytes;
        }
    }
    archive_read_free(archive);
    if (names)
        *names = all;
    return text;
}

/* --- encryption --------------------------------------------------------------------------------------------------- */

static void a_package_is_encrypted_as_its_receiver_expects(void **state)
{
    static const uint8_t nonce[CIPHER_NONCE_BYTES];
    struct test *test = *state;
    struct kept kept = kept_new();
    struct cipher *cipher = NULL;

    assert_int_equal(cipher_new("0123456789abcdef", nonce, &kept.sink, &cipher, &test->err), 0);
    assert_int_equal(sink_put(cipher_sink(cipher), "{\"a\"", 4, &test->err), 0);
    assert_int_equal(sink_put(cipher_sink(cipher), ": 1}", 4, &test->err), 0);
    assert_int_equal(cipher_finish(cipher, &test->err), 0);
    assert_string_equal(kept.bytes.data, "AAAAAAAAAAAAAAAAOcBLZ8Oqvb6/ADsZjFmntiwGa87FVx2M");
    cipher_free(cipher);
    buf_free(&kept.bytes);
}

/* Base64 in one run, whatever the portions. */
static void base64_has_no_seams(void **state)
{
    struct test *test = *state;
    const size_t length = 200000;
    struct kept kept = kept_new();
    struct cipher *cipher = NULL;
    char *some = calloc(1, 777);

    assert_int_equal(cipher_new("0123456789abcdef", NULL, &kept.sink, &cipher, &test->err), 0);
    for (size_t at = 0; at < length; at += 777)
        assert_int_equal(sink_put(cipher_sink(cipher), some, length - at < 777 ? length - at : 777, &test->err), 0);
    assert_int_equal(cipher_finish(cipher, &test->err), 0);
    assert_int_equal(kept.bytes.length, (12 + length + 16 + 2) / 3 * 4);
    assert_true(!strchr(kept.bytes.data, '=') || strchr(kept.bytes.data, '=') >= kept.bytes.data + kept.bytes.length - 2);
    free(some);
    cipher_free(cipher);
    buf_free(&kept.bytes);
}

static void a_key_of_another_length_is_no_key(void **state)
{
    struct test *test = *state;
    struct cipher *cipher = NULL;
    struct kept kept = kept_new();

    assert_int_equal(cipher_new("short", NULL, &kept.sink, &cipher, &test->err), -ERR_INTERNAL);
}

/* --- forms -------------------------------------------------------------------------------------------------------- */

static void json_is_laid_out_as_documented(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();

    pack_all(test, &pack_json, NULL, &kept);
    assert_string_equal(kept.bytes.data,
                        "{\n  \"shop:people\": [\n"
                        "    {\n      \"email\": \"jane@example.com\",\n      \"id\": 1,\n      \"name\": \"Jane\"\n    },\n"
                        "    {\n      \"email\": null,\n      \"id\": 2\n    },\n"
                        "    {}\n  ],\n"
                        "  \"shop:profile\": [\n    {\n      \"data\": {\n        \"a\": [\n          1,\n          {}\n"
                        "        ]\n      }\n    }\n  ],\n"
                        "  \"office\": [\n    {\n      \"email\": \"=1+1\"\n    }\n  ]\n}");
    buf_free(&kept.bytes);
    pack_nothing(test, &pack_json, &kept);
    assert_string_equal(kept.bytes.data, "{}");
    buf_free(&kept.bytes);
}

static void csv_has_a_member_a_collection(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();
    const char *names;

    pack_all(test, &pack_csv, NULL, &kept);
    assert_string_equal(member(test, &kept, "shop:people.csv", &names),
                        "email,id,name\r\njane@example.com,1,Jane\r\n,2,\r\n,,\r\n");
    assert_string_equal(names, "shop:people.csv shop:profile.csv office.csv");
    assert_string_equal(member(test, &kept, "shop:profile.csv", NULL), "data\r\n\"{\"\"a\"\":[1,{}]}\"\r\n");
    assert_string_equal(member(test, &kept, "office.csv", NULL), "email\r\n'=1+1\r\n");
    buf_free(&kept.bytes);
    pack_nothing(test, &pack_csv, &kept);
    assert_int_equal(kept.bytes.length, 22); /* an end of a directory of nothing */
    assert_memory_equal(kept.bytes.data, "PK\5\6", 4);
    buf_free(&kept.bytes);
}

static const char *csv_cells(struct test *test, const char *const *cells)
{
    static const char *const columns[] = { "a" };
    struct pack_section section = { .address = "x", .columns = columns, .count = 1 };
    struct pack_about about = about_of(test, NULL);
    struct kept kept = kept_new();
    const char *text;
    void *handle;

    assert_int_equal(pack_csv.begin(&about, &kept.sink, &handle, &test->err), 0);
    put_section(test, &pack_csv, handle, &section, cells);
    assert_int_equal(pack_csv.finish(handle, &test->err), 0);
    pack_csv.free(handle);
    text = member(test, &kept, "x.csv", NULL);
    buf_free(&kept.bytes);
    return text;
}

/* What a spreadsheet would run is text; telephone numbers and numbers are left alone. */
static void formulas_are_disarmed(void **state)
{
    static const char *const cells[] = { "\"@SUM(A1)\"", "\"+15551234567\"", "-5", "\"-5\"", "\"\\ta,\\\"b\\\"\"",
                                         "\"a\\r\\nb\"", "true", "end" };

    assert_string_equal(csv_cells(*state, cells),
                        "a\r\n'@SUM(A1)\r\n+15551234567\r\n-5\r\n'-5\r\n\"'\ta,\"\"b\"\"\"\r\n\"a\r\nb\"\r\ntrue\r\n");
}

static void encrypted_members_keep_their_names(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();
    const char *text, *names;

    pack_all(test, &pack_csv, "0123456789abcdef", &kept);
    text = member(test, &kept, "office.csv", &names);
    assert_string_equal(names, "shop:people.csv shop:profile.csv office.csv");
    assert_int_equal(strlen(text), (12 + strlen("email\r\n'=1+1\r\n") + 16 + 2) / 3 * 4);
    buf_free(&kept.bytes);
    pack_all(test, &pack_json, "0123456789abcdef", &kept);
    assert_null(strstr(kept.bytes.data, "jane"));
    assert_int_equal(kept.bytes.length % 4, 0);
    buf_free(&kept.bytes);
}

/* --- pages -------------------------------------------------------------------------------------------------------- */

static const char document[] =
    "{\"fides_key\":\"shop\",\"collections\":["
    "{\"name\":\"people\",\"fields\":[{\"name\":\"email\"},{\"name\":\"id\"},"
    " {\"name\":\"name\",\"fides_meta\":{\"redact\":\"name\"}}]},"
    "{\"name\":\"profile\",\"fides_meta\":{\"redact\":\"name\"},\"fields\":[{\"name\":\"data\",\"fields\":["
    " {\"name\":\"a\",\"fides_meta\":{\"redact\":\"name\"}}]}]}]}";

static bool any_category(const char *category)
{
    (void)category;
    return true;
}

static void pack_pages(struct test *test, struct kept *kept)
{
    static const struct schema_loc loc = { .name = "body" };
    _cleanup_(json_object_putp) json_object *object = json_tokener_parse(document);
    struct schema_errors errors = { 0 };
    const struct dataset *dataset = NULL;

    assert_int_equal(dataset_read(object, &loc, any_category, test->arena, &dataset, &errors, &test->err), 0);
    for (int i = 0; i < 2; i++) {
        sections[i].dataset = dataset;
        sections[i].dataset_place = 1;
        sections[i].collection = &dataset->collections[i];
    }
    pack_all(test, &pack_html, NULL, kept);
    for (int i = 0; i < 2; i++)
        sections[i].dataset = NULL;
}

static void pages_lead_to_each_other(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();
    const char *names, *front, *page;

    pack_pages(test, &kept);
    front = member(test, &kept, "clickme.html", &names);
    assert_string_equal(names, "data/shop/people/index.html data/shop/collection_2/index.html data/shop/index.html "
                               "data/manual/office/index.html data/manual/index.html clickme.html data/main.css "
                               "data/back.svg");
    assert_non_null(strstr(front, "<dt>Request</dt><dd>pri_1</dd>"));
    assert_non_null(strstr(front, "<dt>Type</dt><dd>Access</dd>"));
    assert_non_null(strstr(front, "<dt>Email</dt><dd>jane@example.com</dd>"));
    assert_non_null(strstr(front, "<dt>Loyalty &lt;id&gt;</dt><dd>L-1</dd>"));
    assert_non_null(strstr(front, "<dt>Requested</dt><dd>08/01/2024 14:38 UTC</dd>"));
    assert_non_null(strstr(front, "<a href=\"data/shop/people/index.html\">people</a><span>3 records</span>"));
    assert_non_null(strstr(front, "<a href=\"data/manual/office/index.html\">office</a><span>1 record</span>"));
    page = member(test, &kept, "data/shop/index.html", NULL);
    assert_non_null(strstr(page, "<a href=\"../../clickme.html\">"));
    assert_non_null(strstr(page, "<a href=\"people/index.html\">people</a>"));
    page = member(test, &kept, "data/shop/people/index.html", NULL);
    assert_non_null(strstr(page, "<link rel=\"stylesheet\" href=\"../../main.css\">"));
    assert_non_null(strstr(page, "<td data-label=\"email\">jane@example.com</td>"));
    assert_non_null(strstr(page, "<td data-label=\"email\"><i>none</i></td>"));
    assert_null(strstr(front, "<script"));
    buf_free(&kept.bytes);
}

static void names_are_redacted_wherever_they_stand(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();
    const char *page;

    pack_pages(test, &kept);
    page = member(test, &kept, "data/shop/people/index.html", NULL);
    assert_non_null(strstr(page, "<th scope=\"col\">field_3</th>"));
    assert_null(strstr(page, ">name<"));
    page = member(test, &kept, "data/shop/collection_2/index.html", NULL);
    assert_non_null(strstr(page, "<dl><dt>field_1</dt><dd><ul><li>1</li><li><i>empty</i></li></ul></dd></dl>"));
    assert_null(strstr(page, "profile"));
    assert_null(strstr(member(test, &kept, "clickme.html", NULL), "profile"));
    buf_free(&kept.bytes);
}

static void long_collections_have_pages(void **state)
{
    struct test *test = *state;
    struct pack_about about = about_of(test, NULL);
    const struct rows_value value = { "\"x\"", 3 };
    struct kept kept = kept_new();
    const char *names, *page;
    void *handle;

    assert_int_equal(pack_html.begin(&about, &kept.sink, &handle, &test->err), 0);
    assert_int_equal(pack_html.section(handle, &sections[2], &test->err), 0);
    for (int i = 0; i < 2001; i++)
        assert_int_equal(pack_html.row(handle, &value, &test->err), 0);
    assert_int_equal(pack_html.finish(handle, &test->err), 0);
    pack_html.free(handle);
    page = member(test, &kept, "data/manual/office/page-2.html", &names);
    assert_non_null(strstr(names, "data/manual/office/page-3.html"));
    assert_null(strstr(names, "page-4"));
    assert_non_null(strstr(page, "href=\"index.html\">Page 1</a><span>Records 1001 to 2000</span><a rel=\"next\" "
                                 "href=\"page-3.html\">Page 3</a>"));
    assert_non_null(strstr(member(test, &kept, "clickme.html", NULL), "2001 records, 3 pages"));
    buf_free(&kept.bytes);
}

/* However many there are, what is held is a chunk. */
static void rows_are_passed_on_as_they_come(void **state)
{
    static const struct pack_form *const forms[] = { &pack_json, &pack_csv, &pack_html };
    struct test *test = *state;
    struct pack_about about = about_of(test, NULL);
    const struct rows_value value = { "\"x\"", 3 };

    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        struct kept kept = kept_new();
        void *handle;

        assert_int_equal(forms[i]->begin(&about, &kept.sink, &handle, &test->err), 0);
        assert_int_equal(forms[i]->section(handle, &sections[2], &test->err), 0);
        for (int j = 0; j < 20000; j++)
            assert_int_equal(forms[i]->row(handle, &value, &test->err), 0);
        assert_int_equal(forms[i]->finish(handle, &test->err), 0);
        assert_true(kept.largest < PACK_CHUNK_BYTES + 1024);
        forms[i]->free(handle);
        buf_free(&kept.bytes);
    }
}

static void nothing_at_all_is_said(void **state)
{
    struct test *test = *state;
    struct kept kept = kept_new();

    pack_nothing(test, &pack_html, &kept);
    assert_non_null(strstr(member(test, &kept, "clickme.html", NULL), "Nothing is stored about you"));
    buf_free(&kept.bytes);
}

static const char *marked_up(struct test *test, const char *json)
{
    struct buf out = BUF_INIT(4096);
    const char *text;

    markup_json(&out, json, strlen(json), NULL);
    text = arena_strdup(test->arena, out.data);
    buf_free(&out);
    return text;
}

static void values_are_never_markup(void **state)
{
    struct test *test = *state;
    char deep[64] = "";

    assert_string_equal(marked_up(test, "\"<script>\\u003cb\\u0001>'\\\"&\""),
                        "&lt;script&gt;&lt;b\xef\xbf\xbd&gt;&#39;&quot;&amp;");
    assert_string_equal(marked_up(test, "{\"<k>\":\"<v>\"}"), "<dl><dt>&lt;k&gt;</dt><dd>&lt;v&gt;</dd></dl>");
    assert_string_equal(marked_up(test, "[]"), "<i>empty</i>");
    assert_string_equal(marked_up(test, "\"\""), "<i>empty</i>");
    for (int i = 0; i < 17; i++)
        strcat(deep, "[");
    strcat(deep, "\"<\"");
    for (int i = 0; i < 17; i++)
        strcat(deep, "]");
    assert_non_null(strstr(marked_up(test, deep), "<code>[&quot;&lt;&quot;]</code>"));
}

/* --- files --------------------------------------------------------------------------------------------------------- */

static void names_lead_nowhere_else(void **state)
{
    struct test *test = *state;

    assert_string_equal(pack_name(test->arena, "a_B-1.c", "", 7), "a_B-1.c");
    assert_string_equal(pack_name(test->arena, "a:b", ":", 7), "a:b");
    assert_string_equal(pack_name(test->arena, "../x", "", 7), "_._x_7");
    assert_string_equal(pack_name(test->arena, "..", "", 7), "_._7");
    assert_string_equal(pack_name(test->arena, "", "", 7), "_7");
    assert_string_equal(pack_name(test->arena, "caf\xc3\xa9", "", 7), "caf___7");
}

static void large_members_are_passed_on_as_they_grow(void **state)
{
    struct test *test = *state;
    const size_t length = 5 * 1024 * 1024 + 3;
    struct kept kept = kept_new();
    struct zip *zip = NULL;
    char *bytes = malloc(length);
    uint32_t number = 1;
    const char *back;

    for (size_t i = 0; i < length; i++) {
        number = number * 1664525 + 1013904223;
        bytes[i] = (char)(number >> 24);
    }
    assert_int_equal(zip_new(&kept.sink, 0, &zip, &test->err), 0);
    assert_int_equal(zip_begin(zip, "large", &test->err), 0);
    assert_int_equal(sink_put(zip_sink(zip), bytes, length / 2, &test->err), 0);

    assert_true(kept.bytes.length > 100000);
    assert_int_equal(sink_put(zip_sink(zip), bytes + length / 2, length - length / 2, &test->err), 0);
    assert_int_equal(zip_begin(zip, "small", &test->err), 0);
    assert_int_equal(sink_put(zip_sink(zip), "abc", 3, &test->err), 0);
    assert_int_equal(zip_finish(zip, &test->err), 0);
    zip_free(zip);
    assert_true(kept.largest <= 64 * 1024);
    back = member(test, &kept, "large", NULL);
    assert_memory_equal(back, bytes, length);
    assert_string_equal(member(test, &kept, "small", NULL), "abc");
    free(bytes);
    buf_free(&kept.bytes);
}

static void a_storage_that_is_full_is_told(void **state)
{
    static const struct pack_form *const forms[] = { &pack_json, &pack_csv, &pack_html };
    struct test *test = *state;
    struct pack_about about = about_of(test, NULL);
    struct sink full = { full_put };

    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        void *handle;

        test->err = (struct err){ 0 };
        assert_int_equal(forms[i]->begin(&about, &full, &handle, &test->err), 0);
        assert_int_equal(forms[i]->section(handle, &sections[2], &test->err), 0);
        assert_int_equal(forms[i]->finish(handle, &test->err), -ERR_UNAVAILABLE);
        assert_string_equal(test->err.text, "The disk is full.");
        forms[i]->free(handle);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_package_is_encrypted_as_its_receiver_expects),
        TEST(base64_has_no_seams),
        TEST(a_key_of_another_length_is_no_key),
        TEST(json_is_laid_out_as_documented),
        TEST(csv_has_a_member_a_collection),
        TEST(formulas_are_disarmed),
        TEST(encrypted_members_keep_their_names),
        TEST(pages_lead_to_each_other),
        TEST(names_are_redacted_wherever_they_stand),
        TEST(long_collections_have_pages),
        TEST(rows_are_passed_on_as_they_come),
        TEST(nothing_at_all_is_said),
        TEST(values_are_never_markup),
        TEST(names_lead_nowhere_else),
        TEST(large_members_are_passed_on_as_they_grow),
        TEST(a_storage_that_is_full_is_told),
    };

    return cmocka_run_group_tests_name("worker/pack", tests, NULL, NULL);
}
