#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/ctl/jsonline.h"

/* What is printed while `stdout` is a file. */
static const char *printed(struct test *test, void (*print)(void))
{
    char *text = arena_alloc(test->arena, 1024);
    FILE *file = tmpfile();
    int kept = dup(STDOUT_FILENO);
    size_t length;

    fflush(stdout);
    dup2(fileno(file), STDOUT_FILENO);
    print();
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    rewind(file);
    length = fread(text, 1, 1023, file);
    text[length] = '\0';
    fclose(file);
    return text;
}

static void print_one(void)
{
    struct jsonline line = jsonline_begin("call");

    jsonline_text(&line, "key", "a \"quoted\"\nkey");
    jsonline_text(&line, "none", NULL);
    jsonline_number(&line, "count", -7);
    jsonline_open(&line, "reasons");
    jsonline_number(&line, "timeout", 1);
    jsonline_number(&line, "http_5xx", 2);
    jsonline_close(&line);
    jsonline_open(&line, "empty");
    jsonline_close(&line);
    jsonline_text(&line, "last", "x");
    jsonline_end(&line);
}

static void a_line_is_one_json_object(void **state)
{
    assert_string_equal(printed(*state, print_one),
                        "{\"kind\":\"call\",\"key\":\"a \\\"quoted\\\"\\u000akey\",\"none\":null,\"count\":-7,"
                        "\"reasons\":{\"timeout\":1,\"http_5xx\":2},\"empty\":{},\"last\":\"x\"}\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_line_is_one_json_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
