#include "worker/ctl/audit/states.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum {
    CHUNK_STATES = 8192, /* states are kept in chunks, so that none moves when there are more */
    SLOTS_MIN = 16384,
    BITS_PER_KEY = 10,   /* of the filter over what is stored: one in a hundred is looked for in vain */
};

struct states {
    uint8_t key[crypto_shorthash_KEYBYTES];
    size_t budget;       /* states in memory at the most */
    struct state **chunks;
    size_t chunk_count, count;
    uint32_t *slots;     /* open addressing; 0: free, else 1 + the state's index */
    size_t slot_count;   /* a power of two */
    uint32_t clock;
    /* What was stored, once anything was. */
    sqlite3 *file;
    sqlite3_stmt *put, *take;
    uint8_t *filter;
    size_t filter_bits;
    int64_t stored;      /* its rows, but for those that are in memory again, newer */
};

static struct state *state_at(const struct states *states, size_t index)
{
    return &states->chunks[index / CHUNK_STATES][index % CHUNK_STATES];
}

static uint64_t hash_of(const struct states *states, const char *id)
{
    uint64_t hash;

    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)id, strlen(id), states->key);
    return hash;
}

struct states *states_new(int64_t budget_bytes)
{
    struct states *states = calloc(1, sizeof(*states));
    size_t bytes = (size_t)(budget_bytes < STATES_BUDGET_MIN ? STATES_BUDGET_MIN : budget_bytes);

    if (!states || sodium_init() < 0)
        abort();
    crypto_shorthash_keygen(states->key);
    /* Slots are twice to four times the states; an eighth is the filter's. */
    states->budget = (bytes - bytes / 8) / (sizeof(struct state) + 4 * sizeof(uint32_t));
    states->filter_bits = bytes / 8 * 8;
    states->slot_count = SLOTS_MIN;
    states->slots = calloc(states->slot_count, sizeof(*states->slots));
    if (!states->slots)
        abort();
    return states;
}

void states_free(struct states *states)
{
    if (!states)
        return;
    sqlite3_finalize(states->put);
    sqlite3_finalize(states->take);
    sqlite3_close(states->file);
    for (size_t i = 0; i < states->chunk_count; i++)
        free(states->chunks[i]);
    free(states->chunks);
    free(states->slots);
    free(states->filter);
    free(states);
}

/* --- in memory --------------------------------------------------------------------------------------- */

static size_t slot_of(const struct states *states, uint64_t hash, const char *id)
{
    size_t mask = states->slot_count - 1, slot = hash & mask;

    while (states->slots[slot] && strcmp(state_at(states, states->slots[slot] - 1)->id, id) != 0)
        slot = (slot + 1) & mask;
    return slot;
}

static void slots_fill(struct states *states)
{
    memset(states->slots, 0, states->slot_count * sizeof(*states->slots));
    for (size_t i = 0; i < states->count; i++) {
        const struct state *state = state_at(states, i);

        states->slots[slot_of(states, state->hash, state->id)] = (uint32_t)i + 1;
    }
}

static void slots_grow(struct states *states)
{
    if (states->count * 2 < states->slot_count)
        return;
    states->slot_count *= 2;
    free(states->slots);
    states->slots = malloc(states->slot_count * sizeof(*states->slots));
    if (!states->slots)
        abort();
    slots_fill(states);
}

static struct state *state_add(struct states *states, uint64_t hash, const char *id)
{
    struct state *state;

    if (states->count == states->chunk_count * CHUNK_STATES) {
        states->chunks = realloc(states->chunks, sizeof(*states->chunks) * (states->chunk_count + 1));
        if (!states->chunks || !(states->chunks[states->chunk_count] = malloc(sizeof(*state) * CHUNK_STATES)))
            abort();
        states->chunk_count++;
    }
    slots_grow(states);
    states->slots[slot_of(states, hash, id)] = (uint32_t)states->count + 1;
    state = state_at(states, states->count++);
    memset(state, 0, sizeof(*state));
    state->offset = -1;
    state->hash = hash;
    memccpy(state->id, id, '\0', sizeof(state->id) - 1);
    return state;
}

/* --- in the file ------------------------------------------------------------------------------------- */

static int file_err(const struct states *states, struct err *err)
{
    return err_cause(err, ERR_UNAVAILABLE, "the temporary file for chains: %s", sqlite3_errmsg(states->file));
}

static void filter_bits_of(const struct states *states, uint64_t hash, size_t bits[4])
{
    for (int i = 0; i < 4; i++) {
        bits[i] = hash % states->filter_bits;
        hash = hash * 0x9e3779b97f4a7c15u + 0x7f4a7c15u;
    }
}

static void filter_add(struct states *states, uint64_t hash)
{
    size_t bits[4];

    filter_bits_of(states, hash, bits);
    for (int i = 0; i < 4; i++)
        states->filter[bits[i] / 8] |= (uint8_t)(1 << bits[i] % 8);
}

static bool filter_may_have(const struct states *states, uint64_t hash)
{
    size_t bits[4];

    if (!states->filter)
        return false;
    filter_bits_of(states, hash, bits);
    for (int i = 0; i < 4; i++)
        if (!(states->filter[bits[i] / 8] & 1 << bits[i] % 8))
            return false;
    return true;
}

/* An empty name is a file of its own in the directory for temporary files, which ends with the connection. */
static int file_open(struct states *states, struct err *err)
{
    static const char begin[] = "pragma journal_mode = off; pragma synchronous = off; pragma cache_size = -16000;"
                                "create table state (id text primary key, seq integer not null, chain blob not null,"
                                " flags integer not null) without rowid;";

    if (states->file)
        return 0;
    if (sqlite3_open("", &states->file) != SQLITE_OK ||
        sqlite3_exec(states->file, begin, NULL, NULL, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(states->file, "replace into state values (?1, ?2, ?3, ?4)", -1, &states->put, NULL) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(states->file, "select seq, chain, flags from state where id = ?1", -1, &states->take,
                           NULL) != SQLITE_OK)
        return file_err(states, err);
    states->filter = calloc(states->filter_bits / 8 + 1, 1);
    if (!states->filter)
        abort();
    return 0;
}

static int flags_of(const struct state *state)
{
    return state->is_seen | state->is_doubted << 1 | state->is_matched << 2;
}

static void flags_set(struct state *state, int flags)
{
    state->is_seen = flags & 1;
    state->is_doubted = flags & 2;
    state->is_matched = flags & 4;
}

static int state_store(struct states *states, const struct state *state, struct err *err)
{
    sqlite3_bind_text(states->put, 1, state->id, -1, SQLITE_STATIC);
    sqlite3_bind_int64(states->put, 2, state->seq);
    sqlite3_bind_blob(states->put, 3, state->chain, DIGEST_BYTES, SQLITE_STATIC);
    sqlite3_bind_int(states->put, 4, flags_of(state));
    if (sqlite3_step(states->put) != SQLITE_DONE)
        return file_err(states, err);
    sqlite3_reset(states->put);
    filter_add(states, state->hash);
    return 0;
}

static void state_fill(struct state *state, sqlite3_stmt *row, int first)
{
    state->seq = sqlite3_column_int64(row, first);
    state->offset = -1;
    memcpy(state->chain, sqlite3_column_blob(row, first + 1), DIGEST_BYTES);
    flags_set(state, sqlite3_column_int(row, first + 2));
}

/* Into `state`, when it is there. */
static int state_load(struct states *states, const char *id, struct state *state, bool *found, struct err *err)
{
    int step;

    sqlite3_bind_text(states->take, 1, id, -1, SQLITE_STATIC);
    step = sqlite3_step(states->take);
    *found = step == SQLITE_ROW;
    if (*found)
        state_fill(state, states->take, 0);
    sqlite3_reset(states->take);
    return *found || step == SQLITE_DONE ? 0 : file_err(states, err);
}

static int compare_clocks(const void *a, const void *b)
{
    uint32_t one = *(const uint32_t *)a, other = *(const uint32_t *)b;

    return one < other ? -1 : one > other;
}

/* The clock below which half of the states were asked for last. */
static uint32_t median_of(const struct states *states)
{
    uint32_t *clocks = malloc(states->count * sizeof(*clocks)), median;

    if (!clocks)
        abort();
    for (size_t i = 0; i < states->count; i++)
        clocks[i] = state_at(states, i)->moved;
    qsort(clocks, states->count, sizeof(*clocks), compare_clocks);
    median = clocks[states->count / 2];
    free(clocks);
    return median;
}

/* Goes to the file, or stays; then its clock begins anew, so that none ever wraps. */
static int state_move(struct states *states, const struct state *state, uint32_t median, size_t *kept, struct err *err)
{
    if (state->moved < median) {
        states->stored++;
        return state_store(states, state, err);
    }
    *state_at(states, *kept) = *state;
    state_at(states, (*kept)++)->moved -= median;
    return 0;
}

/* The half that has not moved for longest goes to the file; the rest is moved together. */
static int half_store(struct states *states, struct err *err)
{
    uint32_t median = median_of(states);
    size_t kept = 0;
    int r = file_open(states, err);

    if (r < 0)
        return r;
    if (sqlite3_exec(states->file, "begin", NULL, NULL, NULL) != SQLITE_OK)
        return file_err(states, err);
    for (size_t i = 0; r == 0 && i < states->count; i++)
        r = state_move(states, state_at(states, i), median, &kept, err);
    if (r == 0 && sqlite3_exec(states->file, "commit", NULL, NULL, NULL) != SQLITE_OK)
        r = file_err(states, err);
    states->count = kept;
    states->clock -= median;
    slots_fill(states);
    return r;
}

/* --- both -------------------------------------------------------------------------------------------- */

/* *ret NULL: it is nowhere, and was made when that was wanted. */
static int state_of(struct states *states, const char *id, bool make, struct state **ret, struct err *err)
{
    uint64_t hash = hash_of(states, id);
    uint32_t at = states->slots[slot_of(states, hash, id)];
    struct state stored;
    bool found = false;
    int r = 0;

    *ret = at ? state_at(states, at - 1) : NULL;
    if (!*ret && filter_may_have(states, hash))
        r = state_load(states, id, &stored, &found, err);
    if (r == 0 && !*ret && (found || make) && states->count >= states->budget)
        r = half_store(states, err);
    if (r < 0)
        return r;
    if (!*ret && (found || make)) {
        struct state *state = state_add(states, hash, id);

        if (found) {
            state->seq = stored.seq;
            state->offset = stored.offset;
            memcpy(state->chain, stored.chain, DIGEST_BYTES);
            flags_set(state, flags_of(&stored));
            states->stored--;
        }
        *ret = state;
    }
    if (*ret)
        (*ret)->moved = states->clock++;
    return 0;
}

int states_get(struct states *states, const char *id, struct state **ret, struct err *err)
{
    return state_of(states, id, true, ret, err);
}

int states_find(struct states *states, const char *id, struct state **ret, struct err *err)
{
    return state_of(states, id, false, ret, err);
}

int64_t states_stored(const struct states *states)
{
    return states->stored;
}

int64_t states_count(const struct states *states)
{
    return (int64_t)states->count + states->stored;
}

static int stored_each(struct states *states, states_visit *visit, void *context, struct err *err)
{
    sqlite3_stmt *all = NULL;
    int r = 0, step = SQLITE_DONE;

    if (sqlite3_prepare_v2(states->file, "select id, seq, chain, flags from state", -1, &all, NULL) != SQLITE_OK)
        return file_err(states, err);
    while (r == 0 && (step = sqlite3_step(all)) == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(all, 0);
        struct state state = { 0 };

        if (states->slots[slot_of(states, hash_of(states, id), id)])
            continue; /* in memory, and newer */
        memccpy(state.id, id, '\0', sizeof(state.id) - 1);
        state_fill(&state, all, 1);
        r = visit(context, &state, err);
    }
    sqlite3_finalize(all);
    return r < 0 || step == SQLITE_DONE ? r : file_err(states, err);
}

int states_each(struct states *states, states_visit *visit, void *context, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < states->count; i++)
        r = visit(context, state_at(states, i), err);
    return r == 0 && states->file ? stored_each(states, visit, context, err) : r;
}
