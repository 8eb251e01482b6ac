#include "common/package.h"

#include <string.h>

static const char *secrets_of(const struct catalog *catalog, const char *storage_key)
{
    for (int i = 0; catalog && i < catalog->storage_count; i++)
        if (!strcmp(catalog->storages[i].key, storage_key))
            return catalog->storages[i].secrets;
    return NULL; /* a storage that is no more, or was a local one */
}

struct store_target package_target(const struct config *config, const struct catalog *catalog, const PGresult *rows,
                                   int row, int column)
{
    const char *key = db_get_text(rows, row, column);

    return (struct store_target){ .key = key,
                                  .type = db_get_text(rows, row, column + 1),
                                  .details = db_get_text(rows, row, column + 2),
                                  .secrets = secrets_of(catalog, key),
                                  .directory = config->storage_directory };
}
