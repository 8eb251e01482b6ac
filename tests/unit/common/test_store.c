#include "common/store.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define PLACE "pri_1/rule.json"

static char directory[] = "/tmp/docket_store_XXXXXX";
static char root[sizeof(directory) + 16];
static struct store_target target = { .key = "local", .type = "local", .details = "{}", .directory = root };
static struct seal_key key;

static int make_directory(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "%s/packages", mkdtemp(directory));
    seal_key_new(&key);
    return 0;
}

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *at)
{
    (void)about;
    (void)kind;
    (void)at;
    return remove(path);
}

static int remove_directory(void **state)
{
    (void)state;
    return nftw(directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static const char *path_of(const char *location)
{
    static char path[1024];

    snprintf(path, sizeof(path), "%s/%s", root, location);
    return path;
}

static void put_bytes(const char *location, size_t length)
{
    _cleanup_(store_writer_freep) struct store_writer *writer = NULL;
    struct err err = { 0 };
    int64_t bytes = -1;

    assert_int_equal(store_write(&target, location, &key, "pri_1", &writer, &err), 0);
    for (size_t i = 0; i < length;) {
        char some[1000];
        size_t count = length - i < sizeof(some) ? length - i : sizeof(some);

        for (size_t j = 0; j < count; j++)
            some[j] = (char)((i + j) * 7);
        assert_int_equal(store_put(writer, some, count, &err), 0);
        i += count;
    }
    assert_int_equal(store_finish(writer, &bytes, &err), 0);
    assert_int_equal(bytes, length);
}

/* How many bytes come back before the end, or the error. */
static int64_t get_bytes(const char *location, const struct seal_key *own, const char *request_id)
{
    _cleanup_(store_reader_freep) struct store_reader *reader = NULL;
    struct err err = { 0 };
    int64_t length = 0;
    int r = store_read(&target, location, own, request_id, &reader, &err);

    if (r < 0)
        return r;
    for (;;) {
        char some[777];
        int64_t count = store_get(reader, some, sizeof(some), &err);

        if (count <= 0)
            return count < 0 ? count : length;
        for (int64_t j = 0; j < count; j++)
            assert_int_equal(some[j], (char)((length + j) * 7));
        length += count;
    }
}

static void what_is_put_comes_back(void **state)
{
    static const size_t lengths[] = { 0, 1, 65535, 65536, 65537, 131072, 200000 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        put_bytes(PLACE, lengths[i]);
        assert_int_equal(get_bytes(PLACE, &key, "pri_1"), lengths[i]);
    }
}

static void files_are_for_their_owner_alone(void **state)
{
    struct stat about;

    (void)state;
    put_bytes(PLACE, 10);
    assert_int_equal(stat(path_of(PLACE), &about), 0);
    assert_int_equal(about.st_mode, S_IFREG | 0600);
    assert_int_equal(about.st_size, 8 + 24 + 10 + 17);
    assert_int_equal(stat(path_of("pri_1"), &about), 0);
    assert_int_equal(about.st_mode, S_IFDIR | 0700);
    assert_int_equal(stat(root, &about), 0);
    assert_int_equal(about.st_mode, S_IFDIR | 0700);
}

static void a_package_opens_in_its_place_with_its_key_only(void **state)
{
    struct seal_key other;
    char from[1024];

    (void)state;
    seal_key_new(&other);
    put_bytes(PLACE, 100);
    assert_int_equal(get_bytes(PLACE, &other, "pri_1"), -ERR_INTERNAL);
    assert_int_equal(get_bytes(PLACE, &key, "pri_2"), -ERR_INTERNAL);
    snprintf(from, sizeof(from), "%s", path_of(PLACE));
    assert_int_equal(rename(from, path_of("pri_1/other.json")), 0);
    assert_int_equal(get_bytes("pri_1/other.json", &key, "pri_1"), -ERR_INTERNAL);
}

static void a_changed_byte_is_noticed(void **state)
{
    static const off_t places[] = { 0, 9, 40, 8 + 24 + 65536 + 5, 8 + 24 + 65536 + 17 + 3 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        char byte;
        int file;

        put_bytes(PLACE, 70000);
        file = open(path_of(PLACE), O_RDWR);
        assert_int_equal(pread(file, &byte, 1, places[i]), 1);
        byte ^= 1;
        assert_int_equal(pwrite(file, &byte, 1, places[i]), 1);
        close(file);
        assert_int_equal(get_bytes(PLACE, &key, "pri_1"), -ERR_INTERNAL);
    }
}

/* At a frame's end too, where all that is left is authentic. */
static void a_cut_file_is_noticed(void **state)
{
    static const off_t lengths[] = { 0, 5, 8 + 24, 8 + 24 + 65536 + 17, 8 + 24 + 2 * (65536 + 17), 140000 };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        put_bytes(PLACE, 150000);
        assert_int_equal(truncate(path_of(PLACE), lengths[i]), 0);
        assert_int_equal(get_bytes(PLACE, &key, "pri_1"), -ERR_INTERNAL);
    }
}

static void what_follows_the_end_is_noticed(void **state)
{
    int file;

    (void)state;
    put_bytes(PLACE, 65536);
    file = open(path_of(PLACE), O_WRONLY | O_APPEND);
    assert_int_equal(write(file, "x", 1), 1);
    close(file);
    assert_int_equal(get_bytes(PLACE, &key, "pri_1"), -ERR_INTERNAL);
}

static void a_location_leads_nowhere_else(void **state)
{
    static const char *const locations[] = { "",       "..",     "../x",   "a/../x", "/etc/x", "a//b", "a/",
                                             "./a",    "a/./b",  "a\\b",   "a b",    "a\nb",   "...",  "a/..." };

    for (size_t i = 0; i < COUNT_OF(locations); i++) {
        struct store_writer *writer = NULL;
        struct store_reader *reader = NULL;
        struct test *test = *state;

        assert_int_equal(store_write(&target, locations[i], &key, "pri_1", &writer, &test->err), -ERR_INTERNAL);
        assert_int_equal(store_read(&target, locations[i], &key, "pri_1", &reader, &test->err), -ERR_INTERNAL);
        assert_int_equal(store_delete(&target, locations[i], &test->err), -ERR_INTERNAL);
    }
}

static void a_link_is_not_followed(void **state)
{
    struct test *test = *state;
    struct store_writer *writer = NULL;

    put_bytes(PLACE, 10);
    assert_int_equal(symlink(directory, path_of("pri_9")), 0);
    assert_int_equal(store_write(&target, "pri_9/x", &key, "pri_9", &writer, &test->err), -ERR_REFUSED);
    assert_null(writer);
}

static void what_was_not_finished_leaves_nothing(void **state)
{
    struct test *test = *state;
    struct store_writer *writer = NULL;

    assert_int_equal(store_write(&target, "pri_2/r.json", &key, "pri_2", &writer, &test->err), 0);
    assert_int_equal(store_put(writer, "abc", 3, &test->err), 0);
    store_writer_free(writer);
    assert_int_equal(get_bytes("pri_2/r.json", &key, "pri_2"), -ERR_NOT_FOUND);
    assert_int_equal(rmdir(path_of("pri_2")), 0); /* it is empty */
}

/* One that is made anew takes the place of the old one at once: who reads the old one reads all of it. */
static void a_package_may_be_made_again_while_it_is_read(void **state)
{
    struct test *test = *state;
    struct store_reader *reader = NULL;
    char some[100];

    put_bytes(PLACE, 50);
    assert_int_equal(store_read(&target, PLACE, &key, "pri_1", &reader, &test->err), 0);
    put_bytes(PLACE, 60);
    assert_int_equal(store_get(reader, some, sizeof(some), &test->err), 50);
    assert_int_equal(store_get(reader, some, sizeof(some), &test->err), 0);
    store_reader_free(reader);
    assert_int_equal(get_bytes(PLACE, &key, "pri_1"), 60);
}

static void what_is_deleted_is_gone_and_may_be_deleted_again(void **state)
{
    struct test *test = *state;

    put_bytes("pri_3/a.json", 10);
    put_bytes("pri_3/b.json", 10);
    assert_int_equal(store_delete(&target, "pri_3/a.json", &test->err), 0);
    assert_int_equal(store_delete(&target, "pri_3/a.json", &test->err), 0);
    assert_int_equal(get_bytes("pri_3/b.json", &key, "pri_1"), 10);
    assert_int_equal(store_delete(&target, "pri_3/b.json", &test->err), 0);
    assert_int_not_equal(access(path_of("pri_3"), F_OK), 0);
    assert_int_equal(store_delete(&target, "pri_3/b.json", &test->err), 0);
    assert_int_equal(get_bytes("pri_3/b.json", &key, "pri_1"), -ERR_NOT_FOUND);
}

static void other_storages_are_refused(void **state)
{
    struct test *test = *state;
    struct store_target other = { .key = "g", .type = "gcs", .details = "{}" };
    struct store_writer *writer = NULL;

    assert_int_equal(store_write(&other, PLACE, &key, "pri_1", &writer, &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "Storage of type 'gcs' is not available in this version.");
    other = (struct store_target){ .key = "s", .type = "s3", .details = "{\"bucket\":\"b\"}" };
    assert_int_equal(store_write(&other, PLACE, &key, "pri_1", &writer, &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "The storage 's' has no usable secrets.");
    other.details = "{\"bucket\":\"b/../c\"}";
    assert_int_equal(store_delete(&other, PLACE, &test->err), -ERR_REFUSED);
    assert_string_equal(test->err.text, "The storage 's' has no usable bucket.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_put_comes_back),
        TEST(files_are_for_their_owner_alone),
        TEST(a_package_opens_in_its_place_with_its_key_only),
        TEST(a_changed_byte_is_noticed),
        TEST(a_cut_file_is_noticed),
        TEST(what_follows_the_end_is_noticed),
        TEST(a_location_leads_nowhere_else),
        TEST(a_link_is_not_followed),
        TEST(what_was_not_finished_leaves_nothing),
        TEST(a_package_may_be_made_again_while_it_is_read),
        TEST(what_is_deleted_is_gone_and_may_be_deleted_again),
        TEST(other_storages_are_refused),
    };

    return cmocka_run_group_tests_name("common/store", tests, make_directory, remove_directory);
}
