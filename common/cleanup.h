/*
 * cleanup - handles that close themselves at the end of their scope, so that no function needs goto.
 *
 *   DEFINE_CLEANUP(json_object *, json_object_put)           once, at file level
 *   _cleanup_(json_object_putp) json_object *body = NULL;    freed when `body` leaves its scope
 *   return keep(TAKE(body));                                 handed on: `body` is NULL afterwards
 */
#pragma once

#include <stddef.h>

#define _cleanup_(function) __attribute__((cleanup(function)))
#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))

/* Defines `function##p`, which calls `function` on a non-NULL `*p`. */
#define DEFINE_CLEANUP(type, function)                                                             \
    static inline __attribute__((unused)) void function##p(type *p)                                \
    {                                                                                              \
        if (*p)                                                                                    \
            (void)function(*p);                                                                    \
    }

/* The value of `p`, which becomes NULL: its owner is now somebody else. */
#define TAKE(p)                                                                                    \
    __extension__({                                                                                \
        __typeof__(p) *take_ = &(p);                                                               \
        __typeof__(p) taken_ = *take_;                                                             \
        *take_ = NULL;                                                                             \
        taken_;                                                                                    \
    })

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
