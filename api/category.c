#include "api/category.h"

#include <string.h>

#include "common/cleanup.h"

const char *const categories[] = {
#define CATEGORY(name) name,
#include "api/category.tbl.h"
#undef CATEGORY
    NULL,
};

bool category_exists(const char *name)
{
    for (const char *const *category = categories; *category; category++)
        if (!strcmp(*category, name))
            return true;
    return false;
}

bool category_is_default_target(const char *name)
{
    static const char *const left_out[] = { "user.financial", "user.payment",
                                            "user.authorization" };

    if (strncmp(name, "user.", 5) != 0 || strchr(name + 5, '.'))
        return false;
    for (size_t i = 0; i < COUNT_OF(left_out); i++)
        if (!strncmp(name, left_out[i], strlen(left_out[i])))
            return false;
    return true;
}
