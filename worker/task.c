#include "worker/task.h"

#include <string.h>

static const char *const actions[TASK_ACTIONS] = {
    [TASK_ACCESS] = "access",
    [TASK_PACKAGE] = "package",
    [TASK_ERASURE] = "erasure",
};

static const char *const states[TASK_STATES] = {
    [TASK_WAITING] = "waiting",
    [TASK_COMPLETE] = "complete",
    [TASK_SKIPPED] = "skipped",
    [TASK_FAILED] = "failed",
};

/* The tables' checks allow no other word. */
static int parse(const char *const *words, int count, const char *word)
{
    int i = 0;

    while (i < count - 1 && strcmp(words[i], word) != 0)
        i++;
    return i;
}

const char *task_action_word(enum task_action action)
{
    return actions[action];
}

enum task_action task_action_parse(const char *word)
{
    return (enum task_action)parse(actions, TASK_ACTIONS, word);
}

const char *task_state_word(enum task_state state)
{
    return states[state];
}

enum task_state task_state_parse(const char *word)
{
    return (enum task_state)parse(states, TASK_STATES, word);
}
