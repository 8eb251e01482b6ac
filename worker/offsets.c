#include "worker/offsets.h"

#include <stdlib.h>
#include <string.h>

struct slot {
    int64_t offset;
    bool done;
};

struct offsets {
    struct slot *ring;
    uint64_t capacity;    /* a power of two */
    uint64_t first, next; /* tickets: the oldest that is under way, and the one after the newest */
    int64_t position;
    bool moved;
    int underway;
};

struct offsets *offsets_new(void)
{
    struct offsets *offsets = calloc(1, sizeof(*offsets));

    if (!offsets)
        abort();
    return offsets;
}

void offsets_free(struct offsets *offsets)
{
    if (!offsets)
        return;
    free(offsets->ring);
    free(offsets);
}

static struct slot *slot_of(const struct offsets *offsets, uint64_t ticket)
{
    return &offsets->ring[ticket & (offsets->capacity - 1)];
}

static void ring_grow(struct offsets *offsets)
{
    struct offsets grown = *offsets;

    grown.capacity = offsets->capacity ? offsets->capacity * 2 : 64;
    grown.ring = calloc(grown.capacity, sizeof(*grown.ring));
    if (!grown.ring)
        abort();
    for (uint64_t ticket = offsets->first; ticket < offsets->next; ticket++)
        *slot_of(&grown, ticket) = *slot_of(offsets, ticket);
    free(offsets->ring);
    *offsets = grown;
}

uint64_t offsets_add(struct offsets *offsets, int64_t offset)
{
    if (offsets->next - offsets->first == offsets->capacity)
        ring_grow(offsets);
    *slot_of(offsets, offsets->next) = (struct slot){ .offset = offset };
    offsets->underway++;
    return offsets->next++;
}

void offsets_done(struct offsets *offsets, uint64_t ticket)
{
    slot_of(offsets, ticket)->done = true;
    offsets->underway--;
    while (offsets->first < offsets->next && slot_of(offsets, offsets->first)->done) {
        offsets->position = slot_of(offsets, offsets->first)->offset + 1;
        offsets->moved = true;
        offsets->first++;
    }
}

bool offsets_position(struct offsets *offsets, int64_t *ret)
{
    if (!offsets->moved)
        return false;
    offsets->moved = false;
    *ret = offsets->position;
    return true;
}

int offsets_underway(const struct offsets *offsets)
{
    return offsets->underway;
}
