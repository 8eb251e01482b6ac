#include "common/pattern.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { ATOMS_MAX = 64, REPEAT_MAX = 10000 };

/* Characters of a set, and how many of them. */
struct atom {
    uint64_t ascii[2];
    bool others; /* all that are not ASCII */
    size_t min, max;
};

struct pattern {
    bool from_start, to_end;
    int count;
    struct atom atoms[ATOMS_MAX];
};

/* --- compiling --------------------------------------------------------------------------------------- */

static void atom_add(struct atom *atom, unsigned char c)
{
    atom->ascii[c >> 6] |= (uint64_t)1 << (c & 63);
}

/* One character, maybe behind a backslash; 0 when there is none that may stand here. `special`: those that may not. */
static char take_literal(const char **at, const char *special)
{
    char c = **at;

    if (c == '\\') {
        c = *++*at;
        if (!c || !strchr("\\^$.*+?()[]{}|/-", c))
            return '\0';
    } else if (!c || (unsigned char)c >= 0x80 || strchr(special, c)) {
        return '\0';
    }
    ++*at;
    return c;
}

static bool take_range(const char **at, struct atom *atom)
{
    char first = take_literal(at, "[]\\^"), last = first;

    if (first && (*at)[0] == '-' && (*at)[1] != ']') {
        ++*at;
        last = take_literal(at, "[]\\^");
    }
    if (!first || last < first)
        return false;
    for (int c = first; c <= last; c++)
        atom_add(atom, (unsigned char)c);
    return true;
}

/* What stands between the brackets, after the opening one. */
static bool take_class(const char **at, struct atom *atom)
{
    bool negated = **at == '^';

    *at += negated;
    do {
        if (!take_range(at, atom))
            return false;
    } while (**at != ']');
    ++*at;
    if (!negated)
        return true;
    atom->ascii[0] = ~atom->ascii[0];
    atom->ascii[1] = ~atom->ascii[1];
    atom->others = true;
    return true;
}

static bool take_count(const char **at, size_t *ret)
{
    char *end;

    if (**at < '0' || **at > '9')
        return false;
    *ret = strtoul(*at, &end, 10);
    *at = end;
    return *ret <= REPEAT_MAX;
}

/* After the opening brace. */
static bool take_bounds(const char **at, struct atom *atom)
{
    if (!take_count(at, &atom->min))
        return false;
    atom->max = atom->min;
    if (**at == ',') {
        ++*at;
        atom->max = SIZE_MAX;
        if (**at != '}' && !take_count(at, &atom->max))
            return false;
    }
    if (**at != '}' || atom->max < atom->min)
        return false;
    ++*at;
    return true;
}

static bool take_repeat(const char **at, struct atom *atom)
{
    atom->min = atom->max = 1;
    if (!**at || !strchr("?*+{", **at))
        return true;
    switch (*(*at)++) {
    case '?':
        atom->min = 0;
        return true;
    case '*':
        atom->min = 0;
        atom->max = SIZE_MAX;
        return true;
    case '+':
        atom->max = SIZE_MAX;
        return true;
    default:
        return take_bounds(at, atom);
    }
}

static bool take_atom(const char **at, struct atom *atom)
{
    char c;

    if (**at == '[') {
        ++*at;
        return take_class(at, atom) && take_repeat(at, atom);
    }
    c = take_literal(at, "\\^$.*+?()[]{}|");
    if (!c)
        return false;
    atom_add(atom, (unsigned char)c);
    return take_repeat(at, atom);
}

bool pattern_compile(const char *text, struct arena *arena, const struct pattern **ret)
{
    struct pattern *pattern = arena_new_of(arena, struct pattern);

    pattern->from_start = *text == '^';
    text += pattern->from_start;
    while (*text && strcmp(text, "$") != 0)
        if (pattern->count == ATOMS_MAX || !take_atom(&text, &pattern->atoms[pattern->count++]))
            return false;
    pattern->to_end = *text == '$';
    *ret = pattern;
    return true;
}

/* --- matching ---------------------------------------------------------------------------------------- */

static const char *next_character(const char *at, const char *end)
{
    for (at++; at < end && ((unsigned char)*at & 0xc0) == 0x80; at++)
        ;
    return at;
}

static const char *previous_character(const char *at)
{
    for (at--; ((unsigned char)*at & 0xc0) == 0x80; at--)
        ;
    return at;
}

static bool atom_has(const struct atom *atom, const char *at)
{
    unsigned char c = (unsigned char)*at;

    return c < 0x80 ? atom->ascii[c >> 6] >> (c & 63) & 1 : atom->others;
}

/* As many as there are, then one less each time that the rest does not fit. */
static bool match(const struct pattern *pattern, int number, const char *at, const char *end)
{
    const struct atom *atom = &pattern->atoms[number];
    size_t count = 0;

    if (number == pattern->count)
        return !pattern->to_end || at == end;
    for (; count < atom->max && at < end && atom_has(atom, at); count++)
        at = next_character(at, end);
    for (; count >= atom->min; count--) {
        if (match(pattern, number + 1, at, end))
            return true;
        if (!count)
            return false;
        at = previous_character(at);
    }
    return false;
}

bool pattern_matches(const struct pattern *pattern, const char *text, size_t length)
{
    const char *end = text + length;

    for (const char *at = text;; at = next_character(at, end)) {
        if (match(pattern, 0, at, end))
            return true;
        if (pattern->from_start || at == end)
            return false;
    }
}
