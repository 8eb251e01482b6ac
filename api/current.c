#include "api/current.h"

#include <pthread.h>
#include <stdlib.h>

struct current {
    const struct seal_ring *ring;
    const struct config *config;
    pthread_mutex_t reading; /* one reads for all who wait for the same */
    pthread_mutex_t lock;
    const struct catalog *catalog; /* under the lock; a reference of its own */
};

struct current *current_new(const struct seal_ring *ring, const struct config *config)
{
    struct current *current = calloc(1, sizeof(*current));

    if (!current)
        abort();
    current->ring = ring;
    current->config = config;
    pthread_mutex_init(&current->reading, NULL);
    pthread_mutex_init(&current->lock, NULL);
    return current;
}

void current_free(struct current *current)
{
    if (!current)
        return;
    catalog_unref(current->catalog);
    pthread_mutex_destroy(&current->reading);
    pthread_mutex_destroy(&current->lock);
    free(current);
}

const struct catalog *current_peek(struct current *current)
{
    const struct catalog *catalog;

    pthread_mutex_lock(&current->lock);
    catalog = current->catalog ? catalog_ref(current->catalog) : NULL;
    pthread_mutex_unlock(&current->lock);
    return catalog;
}

/* Takes over `catalog`, and gives a reference to it. */
static const struct catalog *current_put(struct current *current, const struct catalog *catalog)
{
    const struct catalog *before;

    pthread_mutex_lock(&current->lock);
    before = current->catalog;
    current->catalog = catalog_ref(catalog);
    pthread_mutex_unlock(&current->lock);
    catalog_unref(before);
    return catalog;
}

/* The one in hand when it is of the version that stands now, else NULL. */
static int current_check(struct current *current, struct db *db, const struct catalog **ret,
                         struct err *err)
{
    _cleanup_(catalog_unrefp) const struct catalog *catalog = current_peek(current);
    int64_t version;
    int r = catalog_version(db, &version, err);

    if (r < 0)
        return r;
    *ret = catalog && catalog->version == version ? TAKE(catalog) : NULL;
    return 0;
}

static int current_read(struct current *current, struct db *db, const struct catalog **ret,
                        struct err *err)
{
    const struct catalog *catalog = NULL;
    int r = current_check(current, db, ret, err); /* somebody may have read it while we waited */

    if (r < 0 || *ret)
        return r;
    r = catalog_load(db, current->ring, current->config, &catalog, err);
    if (r == 0)
        *ret = current_put(current, catalog);
    return r;
}

int current_take(struct current *current, struct db *db, const struct catalog **ret,
                 struct err *err)
{
    int r = current_check(current, db, ret, err);

    if (r < 0 || *ret)
        return r;
    pthread_mutex_lock(&current->reading);
    r = current_read(current, db, ret, err);
    pthread_mutex_unlock(&current->reading);
    return r;
}
