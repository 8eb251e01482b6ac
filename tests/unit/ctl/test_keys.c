#include "worker/ctl/verb.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/config.h"
#include "common/seal.h"
#include "common/token.h"
#include "tests/unit/test.h"
#include "worker/ctl/keys.c"

/* docketctl.c has it, beside main(). */
int verb_usage(const char *usage, struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "usage: docketctl %s", usage);
}

/* rewrap.c has it. */
int rewrap_verb(const struct config *config, struct err *err)
{
    (void)config;
    return err_set(err, ERR_UNAVAILABLE, "sealed anew elsewhere");
}

/* What `keys new` prints, in a file. */
static const char *printed(struct test *test)
{
    char *args[] = { (char *)"new", NULL };
    char *path = arena_strdup(test->arena, "/tmp/docket-test-keys-XXXXXX");
    FILE *terminal = stdout, *file = fdopen(mkstemp(path), "w");

    assert_non_null(file);
    stdout = file;
    assert_int_equal(keys_verb(NULL, args, &test->err), 0);
    stdout = terminal;
    fclose(file);
    return path;
}

static struct config *config_of(struct test *test)
{
    const char *path = printed(test);
    struct config *config = NULL;

    /* docket-api reads all three keys; it wants these, too. */
    setenv("DOCKET_POSTGRES_URL", "postgresql://", 1);
    setenv("DOCKET_KAFKA_BROKERS", "localhost", 1);
    setenv("DOCKET_REDIS_URL", "redis://localhost", 1);
    setenv("DOCKET_ROOT_CLIENT_ID", "root", 1);
    setenv("DOCKET_ROOT_CLIENT_SECRET", "a secret of no one", 1);
    assert_int_equal(config_load(CONFIG_API, path, &config, &test->err), 0);
    unlink(path);
    return config;
}

static void fresh_keys_are_lines_that_a_program_starts_with(void **state)
{
    struct test *test = *state;
    _cleanup_(config_freep) struct config *config = config_of(test);
    _cleanup_(seal_ring_freep) struct seal_ring *ring = NULL;
    _cleanup_(token_key_freep) struct token_key *key = NULL;
    _cleanup_(sign_ring_freep) struct sign_ring *signs = NULL;

    assert_int_equal(
        seal_ring_new(config->sealing_keys, config->identity_hash_key, &ring, &test->err), 0);
    assert_int_equal(token_key_new(config->app_encryption_key, &key, &test->err), 0);
    assert_int_equal(sign_ring_new(config->checkpoint_keys, &signs, &test->err), 0);
    assert_non_null(signs);
}

static void no_two_are_the_same(void **state)
{
    _cleanup_(config_freep) struct config *one = config_of(*state);
    _cleanup_(config_freep) struct config *two = config_of(*state);

    assert_string_not_equal(one->sealing_keys, two->sealing_keys);
    assert_string_not_equal(one->identity_hash_key, two->identity_hash_key);
    assert_string_not_equal(one->app_encryption_key, two->app_encryption_key);
    assert_string_not_equal(one->checkpoint_keys, two->checkpoint_keys);
}

static void other_words_are_told_how_it_is_used(void **state)
{
    struct test *test = *state;
    char *args[] = { (char *)"old", NULL };

    assert_int_equal(keys_verb(NULL, args, &test->err), -ERR_BAD_REQUEST);
    assert_string_equal(test->err.text, "usage: docketctl keys new | public | rewrap");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fresh_keys_are_lines_that_a_program_starts_with),
        TEST(no_two_are_the_same),
        TEST(other_words_are_told_how_it_is_used),
    };

    return cmocka_run_group_tests_name("ctl/keys", tests, NULL, NULL);
}
