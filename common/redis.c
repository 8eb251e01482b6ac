#include "common/redis.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { REDIS_PORT = 6379, REDIS_WORD_BYTES = 32, REDIS_DEPTH_MAX = 4 };

struct redis {
    struct arena *arena; /* the place's texts */
    struct redis_place place;
    usec_t patience;
    redisContext *context; /* NULL: not connected */
};

/* --- the URL ----------------------------------------------------------------------------------------- */

/* %41 becomes A. In place; false when a % is followed by anything else, or makes a NUL. */
static bool percent_decode(char *text)
{
    char *to = text;

    for (; *text; text++, to++) {
        *to = *text;
        if (*text != '%')
            continue;
        if (!isxdigit((unsigned char)text[1]) || !isxdigit((unsigned char)text[2]))
            return false;
        *to = (char)strtol((char[]){ text[1], text[2], '\0' }, NULL, 16);
        if (!*to)
            return false;
        text += 2;
    }
    *to = '\0';
    return true;
}

static bool number_parse(const char *text, long max, int *ret)
{
    char *end;
    long number = strtol(text, &end, 10);

    if (!*text || *end || strspn(text, "0123456789") != strlen(text) || number > max)
        return false;
    *ret = (int)number;
    return true;
}

/* host, host:port, [v6], [v6]:port. In place. */
static bool host_parse(char *text, struct redis_place *place)
{
    char *port = strchr(text, ':');

    place->host = text;
    if (*text == '[') {
        char *end = strchr(text, ']');

        if (!end)
            return false;
        *end = '\0';
        place->host = text + 1;
        port = end[1] ? end + 1 : NULL;
        if (port && *port != ':')
            return false;
    }
    if (port)
        *port++ = '\0';
    return *place->host && (!port || number_parse(port, 65535, &place->port));
}

static bool user_parse(char *text, struct redis_place *place)
{
    char *colon = strchr(text, ':');

    place->password = colon ? colon + 1 : text;
    if (colon) {
        *colon = '\0';
        place->user = *text ? text : NULL;
    }
    return percent_decode(text) && percent_decode(place->password);
}

/* In place. */
static bool url_parse(char *url, struct redis_place *place)
{
    char *authority = url + strlen("redis://"), *path, *at;
    int database;

    if (!strncasecmp(url, "unix://", strlen("unix://"))) {
        place->path = url + strlen("unix://");
        return *place->path == '/';
    }
    if (strncasecmp(url, "redis://", strlen("redis://")) != 0)
        return false;
    place->port = REDIS_PORT;
    path = authority + strcspn(authority, "/?#");
    if (*path && *path != '/')
        return false;
    if (*path) {
        *path++ = '\0';
        if (*path && !number_parse(path, 1000000, &database))
            return false;
        place->database = *path ? path : NULL;
    }
    at = strrchr(authority, '@');
    if (at) {
        *at = '\0';
        if (!user_parse(authority, place))
            return false;
        authority = at + 1;
    }
    return host_parse(authority, place);
}

int redis_place_parse(const char *url, struct arena *arena, struct redis_place *ret, struct err *err)
{
    struct redis_place place = { 0 };

    if (!url_parse(arena_strdup(arena, url), &place))
        return err_set(err, ERR_BAD_REQUEST, "DOCKET_REDIS_URL must be redis://[[user:]password@]host[:port][/db] "
                       "or unix:///path");
    *ret = place;
    return 0;
}

int redis_new(const char *url, usec_t patience, struct redis **ret, struct err *err)
{
    struct redis *redis = calloc(1, sizeof(*redis));
    int r;

    if (!redis)
        abort();
    redis->arena = arena_new();
    redis->patience = patience;
    r = redis_place_parse(url, redis->arena, &redis->place, err);
    if (r < 0) {
        redis_free(redis);
        return r;
    }
    *ret = redis;
    return 0;
}

static void redis_drop(struct redis *redis)
{
    if (redis->context)
        redisFree(TAKE(redis->context));
}

void redis_free(struct redis *redis)
{
    if (!redis)
        return;
    redis_drop(redis);
    arena_free(redis->arena);
    free(redis);
}

/* --- errors ------------------------------------------------------------------------------------------ */

static int lost(struct redis *redis, const char *what, struct err *err)
{
    redis_drop(redis);
    return err_cause(err, ERR_UNAVAILABLE, "redis: %s", what);
}

/* NOAUTH, LOADING ...: what follows may hold values, and is not kept. */
static int refused(struct redis *redis, const redisReply *reply, struct err *err)
{
    char word[REDIS_WORD_BYTES];
    size_t length = strcspn(reply->str, " ");

    length = length < sizeof(word) ? length : sizeof(word) - 1;
    memcpy(word, reply->str, length);
    word[length] = '\0';
    return lost(redis, word, err);
}

/* --- connecting -------------------------------------------------------------------------------------- */

static struct timeval time_left(usec_t deadline)
{
    usec_t left = deadline - usec_monotonic();

    left = left > USEC_PER_MS ? left : USEC_PER_MS; /* 0 would mean: for ever */
    return (struct timeval){ .tv_sec = left / USEC_PER_S, .tv_usec = left % USEC_PER_S };
}

static int redis_greet(struct redis *redis, const struct redis_command *command, struct err *err)
{
    redisReply *reply = redisCommandArgv(redis->context, command->count, (const char **)command->words, NULL);
    int r = 0;

    if (!reply)
        return lost(redis, "no answer", err);
    if (reply->type == REDIS_REPLY_ERROR)
        r = refused(redis, reply, err);
    freeReplyObject(reply);
    return r;
}

static int redis_connect(struct redis *redis, usec_t deadline, struct err *err)
{
    const struct redis_place *place = &redis->place;
    struct timeval left = time_left(deadline);
    int r = 0;

    if (redis->context)
        return 0;
    redis->context = place->path ? redisConnectUnixWithTimeout(place->path, left)
                                 : redisConnectWithTimeout(place->host, place->port, left);
    if (!redis->context || redis->context->err)
        return lost(redis, "no connection", err);
    redisSetTimeout(redis->context, time_left(deadline));
    redisEnableKeepAlive(redis->context);
    if (place->user)
        r = redis_greet(redis, &REDIS_COMMAND("AUTH", place->user, place->password), err);
    else if (place->password)
        r = redis_greet(redis, &REDIS_COMMAND("AUTH", place->password), err);
    if (r == 0 && place->database)
        r = redis_greet(redis, &REDIS_COMMAND("SELECT", place->database), err);
    return r;
}

/* --- commands ---------------------------------------------------------------------------------------- */

static void answer_read(const redisReply *reply, int depth, struct arena *arena, struct redis_answer *ret)
{
    struct redis_answer *items;

    switch (reply->type) {
    case REDIS_REPLY_INTEGER:
        ret->number = reply->integer;
        return;
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
        ret->text = arena_strndup(arena, reply->str, reply->len);
        return;
    case REDIS_REPLY_ARRAY:
        items = arena_array(arena, struct redis_answer, reply->elements);
        for (size_t i = 0; i < reply->elements && depth < REDIS_DEPTH_MAX; i++)
            answer_read(reply->element[i], depth + 1, arena, &items[i]);
        ret->items = items;
        ret->count = (int)reply->elements;
        return;
    default: /* nil */
        return;
    }
}

static int answer_next(struct redis *redis, usec_t deadline, struct arena *arena, struct redis_answer *ret,
                       struct err *err)
{
    void *reply = NULL;
    int r = 0;

    if (redisGetReply(redis->context, &reply) != REDIS_OK)
        return lost(redis, "no answer", err);
    if (((redisReply *)reply)->type == REDIS_REPLY_ERROR)
        r = refused(redis, reply, err);
    else if (usec_monotonic() > deadline)
        r = lost(redis, "no answer in time", err); /* the socket's timeout counts each read anew */
    else
        answer_read(reply, 0, arena, ret);
    freeReplyObject(reply);
    return r;
}

int redis_run(struct redis *redis, const struct redis_command *commands, int count, struct arena *arena,
              const struct redis_answer **ret, struct err *err)
{
    usec_t deadline = usec_monotonic() + redis->patience;
    struct redis_answer *answers = arena_array(arena, struct redis_answer, (size_t)count);
    int r = redis_connect(redis, deadline, err);

    if (r < 0)
        return r;
    redisSetTimeout(redis->context, time_left(deadline));
    for (int i = 0; i < count; i++)
        if (redisAppendCommandArgv(redis->context, commands[i].count, (const char **)commands[i].words, NULL))
            return lost(redis, "out of memory", err);
    for (int i = 0; i < count; i++) {
        r = answer_next(redis, deadline, arena, &answers[i], err);
        if (r < 0)
            return r;
    }
    *ret = answers;
    return 0;
}
