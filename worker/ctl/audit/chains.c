#include "worker/ctl/audit/chains.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

enum {
    DOUBTS_MAX = 20000,        /* beyond, they are told as they stand */
    RECENT_SLOTS = 128 * 1024, /* chains of single events that are remembered: repeats come soon */
    TEXT_BYTES_MAX = 16 * 1024 * 1024,
    TEXT_KEPT_MAX = 16 * 1024, /* of an event after a gap: a longer one is not held against what comes late */
    LATE_MAX = 1000000,
};

/* A chain after one event. */
struct recent {
    uint64_t tag;
    uint8_t chain[DIGEST_BYTES];
};

enum doubt_kind {
    DOUBT_MISMATCH, /* the event `from` does not follow from the one before: `other` is the chain that would follow */
    DOUBT_GAP,      /* from..to have not come, the event after them has */
    DOUBT_MISSING,  /* from..to have not come, though a checkpoint says that they were there: `other` is its head */
    DOUBT_CONFLICT, /* a second event `from`, as good as the first: its chain is `other` */
    DOUBT_EARLY,    /* from..to are beyond the head of the checkpoint that they stand in: `other` is the chain after */
    DOUBT_REWRITTEN, /* told already: the chain differs from a head. `other`: where it goes on */
    DOUBT_SETTLED    /* told already: what stands at `offset` was put in */
};

struct doubt {
    enum doubt_kind kind;
    struct finding_place place; /* its id is the doubts' */
    int64_t from, to;
    bool has_before;            /* or `from` is 1 */
    uint8_t before[DIGEST_BYTES], other[DIGEST_BYTES];
    char *text;                 /* of the event after a gap: what is hashed with the chain before it; NULL */
    size_t text_length;
    uint8_t after[DIGEST_BYTES]; /* the chain that it states */
    bool is_reordered;  /* told: some of them came late */
    bool is_gone_on;    /* of early ones: the next event follows from them */
    int64_t offset;     /* where the event before `from` stands, or of a conflict the first one; -1 */
    struct doubt *next;
};

/* All of a chain's. */
struct doubts {
    char id[CHAIN_ID_MAX + 1];
    struct doubt *first;
    UT_hash_handle hh;
};

/* A repeat to be compared later: the first of its kind, once it was read again. */
struct late {
    char id[CHAIN_ID_MAX + 16]; /* with its number */
    const char *topic;
    int32_t partition;
    bool is_known;
    uint8_t hash[DIGEST_BYTES];
    UT_hash_handle hh;
};

struct chains {
    struct findings *findings;
    struct states *states;
    struct digest *digest;
    struct recent *recent;
    struct doubts *doubts;
    int doubt_count;
    struct late *late;
    struct buf text;
    struct chains_counts counts;
};

/* A record that is looked at. */
struct taking {
    const struct record *record;
    const char *topic;
    struct record_event event; /* with the ce_id that follows from the rest */
    struct state *state;
    char id[CHAIN_ID_MAX + 1], id_text[CHAIN_ID_MAX + 32];
    int64_t seq;
    const char *header; /* the first that is not as it should be; NULL */
    bool has_stated;
    enum chains_gone gone;
    uint8_t stated[DIGEST_BYTES], computed[DIGEST_BYTES];
    struct chains_entry *entry;
};

/* --- what is remembered ------------------------------------------------------------------------------- */

static struct recent *recent_slot(const struct chains *chains, const struct state *state, int64_t seq, uint64_t *tag)
{
    *tag = (state->hash ^ (uint64_t)seq * 0x9e3779b97f4a7c15u) | 1;
    return &chains->recent[(*tag >> 20) % RECENT_SLOTS];
}

static void recent_put(struct chains *chains, const struct state *state, int64_t seq,
                       const uint8_t chain[DIGEST_BYTES])
{
    uint64_t tag;
    struct recent *recent = recent_slot(chains, state, seq, &tag);

    recent->tag = tag;
    memcpy(recent->chain, chain, DIGEST_BYTES);
}

/* NULL: not known any more. */
static const uint8_t *recent_get(const struct chains *chains, const struct state *state, int64_t seq)
{
    uint64_t tag;
    const struct recent *recent = recent_slot(chains, state, seq, &tag);

    return recent->tag == tag ? recent->chain : NULL;
}

struct chains *chains_new(struct findings *findings, int64_t memory)
{
    struct chains *chains = calloc(1, sizeof(*chains));

    if (!chains || !(chains->recent = calloc(RECENT_SLOTS, sizeof(*chains->recent))))
        abort();
    chains->findings = findings;
    chains->states = states_new(memory);
    chains->digest = digest_new();
    chains->text = BUF_INIT(TEXT_BYTES_MAX);
    return chains;
}

static void doubt_free(struct chains *chains, struct doubt *doubt)
{
    free(doubt->text);
    free(doubt);
    chains->doubt_count--;
}

static void doubts_free(struct chains *chains, struct doubts *doubts)
{
    while (doubts->first) {
        struct doubt *doubt = doubts->first;

        doubts->first = doubt->next;
        doubt_free(chains, doubt);
    }
    HASH_DEL(chains->doubts, doubts);
    free(doubts);
}

void chains_free(struct chains *chains)
{
    struct doubts *doubts, *next;
    struct late *late, *next_late;

    if (!chains)
        return;
    HASH_ITER(hh, chains->doubts, doubts, next)
    {
        doubts_free(chains, doubts);
    }
    HASH_ITER(hh, chains->late, late, next_late)
    {
        HASH_DEL(chains->late, late);
        free(late);
    }
    states_free(chains->states);
    digest_free(chains->digest);
    buf_free(&chains->text);
    free(chains->recent);
    free(chains);
}

struct states *chains_states(struct chains *chains)
{
    return chains->states;
}

struct chains_counts chains_counts(const struct chains *chains)
{
    return chains->counts;
}

/* --- doubts ------------------------------------------------------------------------------------------- */

static struct doubts *doubts_of(const struct chains *chains, const char *id)
{
    struct doubts *doubts;

    HASH_FIND_STR(chains->doubts, id, doubts);
    return doubts;
}

static struct doubt *doubt_add(struct chains *chains, struct state *state, enum doubt_kind kind,
                               const struct finding_place *place, int64_t from, int64_t to)
{
    struct doubts *doubts = doubts_of(chains, state->id);
    struct doubt *doubt = calloc(1, sizeof(*doubt));

    if (!doubts && (doubts = calloc(1, sizeof(*doubts)))) {
        memcpy(doubts->id, state->id, sizeof(doubts->id));
        HASH_ADD_STR(chains->doubts, id, doubts);
    }
    if (!doubts || !doubt)
        abort();
    doubt->kind = kind;
    doubt->place = *place;
    doubt->place.id = doubts->id;
    doubt->from = from;
    doubt->to = to;
    doubt->offset = -1;
    doubt->next = doubts->first;
    doubts->first = doubt;
    chains->doubt_count++;
    state->is_doubted = true;
    return doubt;
}

static struct doubt *doubt_find(const struct chains *chains, const struct state *state, enum doubt_kind kind,
                                int64_t seq)
{
    struct doubts *doubts = state->is_doubted ? doubts_of(chains, state->id) : NULL;

    for (struct doubt *doubt = doubts ? doubts->first : NULL; doubt; doubt = doubt->next)
        if (doubt->kind == kind && doubt->from <= seq && seq <= doubt->to)
            return doubt;
    return NULL;
}

static void doubt_drop(struct chains *chains, struct state *state, struct doubt *doubt)
{
    struct doubts *doubts = doubts_of(chains, state->id);
    struct doubt **link = &doubts->first;

    while (*link != doubt)
        link = &(*link)->next;
    *link = doubt->next;
    doubt_free(chains, doubt);
    if (doubts->first)
        return;
    state->is_doubted = false;
    HASH_DEL(chains->doubts, doubts);
    free(doubts);
}

static void doubt_before(struct doubt *doubt, const struct state *state)
{
    doubt->has_before = state->seq > 0 && state->seq == doubt->from - 1;
    if (doubt->has_before)
        memcpy(doubt->before, state->chain, DIGEST_BYTES);
}

/* --- telling ------------------------------------------------------------------------------------------ */

static struct finding_place place_of(const struct taking *taking)
{
    struct finding_place place = FINDING_NOWHERE;

    place.topic = taking->topic;
    place.partition = taking->record->partition;
    place.offset = taking->record->offset;
    place.id = taking->id;
    place.seq = taking->seq;
    return place;
}

static void tell(struct chains *chains, struct taking *taking, enum finding_kind kind, const char *text)
{
    struct finding_place place = place_of(taking);

    taking->entry->is_found = true;
    if (text)
        finding_tell(chains->findings, kind, &place, "%s", text);
    else
        finding_tell(chains->findings, kind, &place, NULL);
}

static void tell_header(struct chains *chains, struct taking *taking, const char *name)
{
    struct finding_place place = place_of(taking);

    taking->entry->is_found = true;
    place.field = name;
    finding_tell(chains->findings, FINDING_HEADER, &place, NULL);
}

static void tell_doubt(struct chains *chains, const struct doubt *doubt, enum finding_kind kind, int64_t from,
                       int64_t to, const char *text)
{
    struct finding_place place = doubt->place;

    place.seq = from;
    place.until = to;
    if (text)
        finding_tell(chains->findings, kind, &place, "%s", text);
    else
        finding_tell(chains->findings, kind, &place, NULL);
}

static void tell_mismatch(struct chains *chains, struct doubt *doubt, bool own)
{
    if (own) {
        tell_doubt(chains, doubt, FINDING_CHANGED, doubt->from, doubt->from, NULL);
        return;
    }
    doubt->place.offset = doubt->offset;
    tell_doubt(chains, doubt, FINDING_CHANGED, doubt->from - 1, doubt->from - 1,
               "it was changed and its chain computed anew: the next event does not follow from it");
}

static void tell_chain_header(struct chains *chains, const struct doubt *doubt)
{
    struct finding_place place = doubt->place;

    place.seq = doubt->from;
    place.field = record_attribute_name(RECORD_CHAIN);
    finding_tell(chains->findings, FINDING_HEADER, &place, NULL);
}

static void tell_missing(struct chains *chains, const struct doubt *doubt, bool is_seen)
{
    if (doubt->from == 1 && !is_seen)
        tell_doubt(chains, doubt, FINDING_REQUEST_REMOVED, 1, doubt->to, NULL);
    else
        tell_doubt(chains, doubt, FINDING_REMOVED, doubt->from, doubt->to, NULL);
}

/* As it stands: nothing more will be known of it. */
static void doubt_tell(struct chains *chains, struct doubt *doubt, bool is_seen)
{
    switch (doubt->kind) {
    case DOUBT_MISMATCH:
        tell_mismatch(chains, doubt, true);
        break;
    case DOUBT_GAP:
    case DOUBT_MISSING:
        tell_missing(chains, doubt, is_seen);
        break;
    case DOUBT_CONFLICT:
    case DOUBT_EARLY:
        tell_doubt(chains, doubt, FINDING_INSERTED, doubt->from, doubt->to, NULL);
        break;
    case DOUBT_REWRITTEN:
    case DOUBT_SETTLED:
        break;
    }
}

static int doubts_tell(struct chains *chains, struct doubts *doubts, struct err *err)
{
    struct doubt *ordered = NULL;
    struct state *state;
    int r = states_get(chains->states, doubts->id, &state, err);

    if (r < 0)
        return r;
    while (doubts->first) { /* the last one was put first */
        struct doubt *doubt = doubts->first;

        doubts->first = doubt->next;
        doubt->next = ordered;
        ordered = doubt;
    }
    doubts->first = ordered;
    for (struct doubt *doubt = ordered; doubt; doubt = doubt->next)
        doubt_tell(chains, doubt, state->is_seen);
    state->is_doubted = false;
    doubts_free(chains, doubts);
    return 0;
}

int chains_finish(struct chains *chains, struct err *err)
{
    struct doubts *doubts, *next;
    int r = 0;

    HASH_ITER(hh, chains->doubts, doubts, next)
    {
        if (r == 0)
            r = doubts_tell(chains, doubts, err);
    }
    return r;
}

/* --- whose a record is -------------------------------------------------------------------------------- */

/* Of a number without its zeros; 0 when it is none. */
static int64_t number_read(const char *text)
{
    int64_t number = 0;

    if (*text < '1' || *text > '9')
        return 0;
    for (; *text; text++)
        if (*text < '0' || *text > '9' || __builtin_mul_overflow(number, 10, &number) ||
            __builtin_add_overflow(number, *text - '0', &number))
            return 0;
    return number;
}

/* "<id>.<number>" of ce_id; 0 when it is none. */
static int64_t id_read(const char *text, char id[CHAIN_ID_MAX + 1])
{
    const char *dot = text ? strrchr(text, '.') : NULL;

    return dot && chain_id_read(text, (size_t)(dot - text), id) ? number_read(dot + 1) : 0;
}

/* What the parts of a record that name its chain and number say. */
struct names {
    char key[CHAIN_ID_MAX + 1], subject[CHAIN_ID_MAX + 1], of_id[CHAIN_ID_MAX + 1];
    bool has_key, has_subject;
    bool agree; /* they all say the same; then it stands in `key` alone */
    int64_t number, sequence; /* of ce_id, of ce_sequence; 0: none */
};

static bool names_agree(const struct record *record, const struct record_event *event)
{
    const char *subject = event->attributes[RECORD_SUBJECT], *id = event->attributes[RECORD_ID];
    size_t length = record->key_length;

    return event->sequence && subject && id && !strncmp(subject, record->key, length) && !subject[length] &&
           !strncmp(id, record->key, length) && id[length] == '.' && number_read(id + length + 1) == event->sequence;
}

static void names_read(const struct record *record, const struct record_event *event, struct names *ret)
{
    const char *subject = event->attributes[RECORD_SUBJECT];

    ret->has_key = chain_id_read(record->key, record->key_length, ret->key);
    ret->agree = ret->has_key && names_agree(record, event);
    if (ret->agree) {
        ret->number = ret->sequence = event->sequence;
        return;
    }
    ret->has_subject = subject && chain_id_read(subject, strlen(subject), ret->subject);
    ret->number = id_read(event->attributes[RECORD_ID], ret->of_id);
    ret->sequence = event->sequence;
}

/* Two of three are right; of one alone, the key is. NULL: it is nobody's. */
static const char *names_vote(const struct names *names)
{
    if (names->agree)
        return names->key;
    if (!names->number && !names->sequence)
        return NULL;
    if (names->has_subject && names->number && !strcmp(names->subject, names->of_id))
        return names->subject;
    return names->has_key ? names->key : NULL;
}

/* The number that fits, where two are said; else that of ce_id, which the chain covers. */
static int64_t names_number(const struct names *names, const struct state *state)
{
    if (!names->number || !names->sequence)
        return names->number ? names->number : names->sequence;
    return names->sequence == state->seq + 1 ? names->sequence : names->number;
}

static bool is_text(const char *text, const char *wanted)
{
    return text && !strcmp(text, wanted);
}

static bool is_schema_of(const char *schema, const char *type)
{
    static const char before[] = "docket:events/", after[] = ".json";
    size_t length = type ? strlen(type) : 0;

    return schema && !strncmp(schema, before, sizeof(before) - 1) &&
           !strncmp(schema + sizeof(before) - 1, type ? type : "", length) &&
           !strcmp(schema + sizeof(before) - 1 + length, after);
}

/* The first of those that name an event which does not. */
static const char *names_check(const struct taking *taking, const struct names *names)
{
    if (!names->has_key || strcmp(names->key, taking->id) != 0)
        return "key";
    if (!names->has_subject || strcmp(names->subject, taking->id) != 0)
        return record_attribute_name(RECORD_SUBJECT);
    if (names->number != taking->seq || strcmp(names->of_id, taking->id) != 0)
        return record_attribute_name(RECORD_ID);
    return names->sequence != taking->seq ? record_attribute_name(RECORD_SEQUENCE) : NULL;
}

/* The first header that is not what follows from the rest; NULL when all are. */
static const char *headers_check(const struct taking *taking, const struct names *names)
{
    const char *const *attributes = taking->event.attributes;
    const char *name = names->agree ? NULL : names_check(taking, names);

    if (name)
        return name;
    if (!is_text(attributes[RECORD_CONTENT_TYPE], "application/json"))
        return record_attribute_name(RECORD_CONTENT_TYPE);
    if (!is_text(attributes[RECORD_SPECVERSION], "1.0"))
        return record_attribute_name(RECORD_SPECVERSION);
    if (!is_schema_of(attributes[RECORD_DATASCHEMA], attributes[RECORD_TYPE]))
        return record_attribute_name(RECORD_DATASCHEMA);
    if (!taking->event.has_chain)
        return record_attribute_name(RECORD_CHAIN);
    if (attributes[RECORD_SIGNATURE])
        return record_attribute_name(RECORD_SIGNATURE);
    if (attributes[RECORD_KEY_ID])
        return record_attribute_name(RECORD_KEY_ID);
    if (taking->record->has_more_headers)
        return "more headers than there can be";
    return taking->event.unknown ? taking->event.unknown : taking->event.doubled;
}

/* --- whether an event follows ------------------------------------------------------------------------- */

static void compute(struct chains *chains, struct taking *taking, const uint8_t *previous)
{
    chain_next(chains->digest, previous, &taking->event, taking->record->value, taking->record->value_length,
               taking->computed);
}

static bool computed_is_stated(const struct taking *taking)
{
    return taking->has_stated && !memcmp(taking->computed, taking->stated, DIGEST_BYTES);
}

/* With the type that ce_dataschema names: that of the two it is ce_type that was changed. */
static bool follows_by_schema(struct chains *chains, struct taking *taking, const uint8_t *previous)
{
    const char *schema = taking->event.attributes[RECORD_DATASCHEMA], *type = taking->event.attributes[RECORD_TYPE];
    char other[128];
    bool follows;

    if (taking->header != record_attribute_name(RECORD_DATASCHEMA) || !schema ||
        sscanf(schema, "docket:events/%127s", other) != 1 || strlen(other) < 5)
        return false;
    other[strlen(other) - 5] = '\0'; /* .json */
    taking->event.attributes[RECORD_TYPE] = other;
    compute(chains, taking, previous);
    follows = computed_is_stated(taking);
    if (follows)
        taking->header = record_attribute_name(RECORD_TYPE);
    taking->event.attributes[RECORD_TYPE] = type;
    return follows;
}

static bool follows(struct chains *chains, struct taking *taking, const uint8_t *previous)
{
    uint8_t computed[DIGEST_BYTES];

    compute(chains, taking, previous);
    if (computed_is_stated(taking))
        return true;
    memcpy(computed, taking->computed, DIGEST_BYTES);
    if (follows_by_schema(chains, taking, previous))
        return true;
    memcpy(taking->computed, computed, DIGEST_BYTES);
    return false;
}

static void state_set(struct chains *chains, struct state *state, int64_t seq, const uint8_t chain[DIGEST_BYTES])
{
    state->seq = seq;
    memcpy(state->chain, chain, DIGEST_BYTES);
    recent_put(chains, state, seq, chain);
}

static void advance(struct chains *chains, struct taking *taking)
{
    state_set(chains, taking->state, taking->seq, taking->stated);
    taking->state->offset = taking->record->offset;
}

/* --- the next event ----------------------------------------------------------------------------------- */

/* A branch that was told of goes on with this event. */
static void rewritten_follow(struct taking *taking, struct doubt *doubt)
{
    doubt->from = doubt->to = taking->seq;
    memcpy(doubt->other, taking->stated, DIGEST_BYTES);
    taking->entry->is_found = true;
}

/* It follows from what stands there: so of two events with one number that was right. */
static void settle_before(struct chains *chains, struct taking *taking)
{
    struct state *state = taking->state;
    struct doubt *conflict = doubt_find(chains, state, DOUBT_CONFLICT, state->seq);
    struct doubt *rewritten = doubt_find(chains, state, DOUBT_REWRITTEN, state->seq);
    struct doubt *early = doubt_find(chains, state, DOUBT_EARLY, state->seq);

    if (rewritten && !memcmp(rewritten->other, state->chain, DIGEST_BYTES))
        rewritten_follow(taking, rewritten);
    if (early && early->to == state->seq && !memcmp(early->other, state->chain, DIGEST_BYTES))
        early->is_gone_on = true;
    if (!conflict)
        return;
    tell_doubt(chains, conflict, FINDING_INSERTED, conflict->from, conflict->to, NULL);
    doubt_drop(chains, state, conflict);
}

/* It follows from the other branch: the one that stands there was wrong. */
static void settle_other(struct chains *chains, struct taking *taking, struct doubt *doubt)
{
    if (doubt->kind == DOUBT_CONFLICT) {
        doubt->place.offset = doubt->offset;
        tell_doubt(chains, doubt, FINDING_INSERTED, doubt->from, doubt->to, NULL);
        recent_put(chains, taking->state, doubt->to, doubt->other);
        doubt->kind = DOUBT_SETTLED; /* its window may lie ahead */
        return;
    }
    if (doubt->kind == DOUBT_MISMATCH) {
        tell_chain_header(chains, doubt);
        doubt_drop(chains, taking->state, doubt);
        return;
    }
    if (doubt->kind == DOUBT_REWRITTEN)
        rewritten_follow(taking, doubt);
    doubt->is_gone_on = true;
}

/* A branch beside the one that stands there, which the event follows from; NULL. */
static struct doubt *other_branch(struct chains *chains, struct taking *taking)
{
    static const enum doubt_kind kinds[] = { DOUBT_MISMATCH, DOUBT_CONFLICT, DOUBT_REWRITTEN, DOUBT_EARLY };

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct doubt *doubt = doubt_find(chains, taking->state, kinds[i], taking->seq - 1);

        if (doubt && doubt->to == taking->seq - 1 && follows(chains, taking, doubt->other))
            return doubt;
    }
    return NULL;
}

static void take_mismatch(struct chains *chains, struct taking *taking)
{
    struct finding_place place = place_of(taking);
    struct doubt *doubt;

    taking->entry->is_found = true;
    if (!taking->has_stated) { /* its chain is not there: what follows is taken for it */
        tell_header(chains, taking, record_attribute_name(RECORD_CHAIN));
        state_set(chains, taking->state, taking->seq, taking->computed);
        return;
    }
    doubt = doubt_add(chains, taking->state, DOUBT_MISMATCH, &place, taking->seq, taking->seq);
    doubt->offset = taking->state->offset;
    memcpy(doubt->other, taking->computed, DIGEST_BYTES);
    advance(chains, taking);
}

static void take_next(struct chains *chains, struct taking *taking)
{
    struct state *state = taking->state;
    bool is_next = follows(chains, taking, state->seq ? state->chain : NULL);
    struct doubt *other = is_next || !state->is_doubted ? NULL : other_branch(chains, taking);

    if (!is_next && !other) {
        compute(chains, taking, state->seq ? state->chain : NULL);
        take_mismatch(chains, taking);
        return;
    }
    if (is_next)
        settle_before(chains, taking);
    else
        settle_other(chains, taking, other);
    if (taking->header)
        tell_header(chains, taking, taking->header);
    advance(chains, taking);
}

/* --- an event that comes too early -------------------------------------------------------------------- */

static void text_keep(struct chains *chains, const struct taking *taking, struct doubt *doubt)
{
    buf_clear(&chains->text);
    chain_text(&taking->event, taking->record->value, taking->record->value_length, &chains->text);
    if (chains->text.overflow || chains->text.length > TEXT_KEPT_MAX || !taking->has_stated)
        return;
    doubt->text = malloc(chains->text.length);
    if (!doubt->text)
        abort();
    memcpy(doubt->text, chains->text.data, chains->text.length);
    doubt->text_length = chains->text.length;
    memcpy(doubt->after, taking->stated, DIGEST_BYTES);
}

static void take_ahead(struct chains *chains, struct taking *taking)
{
    struct state *state = taking->state;
    struct finding_place place = place_of(taking);
    struct doubt *doubt = state->is_doubted ? other_branch(chains, taking) : NULL;

    if (doubt) {
        settle_other(chains, taking, doubt);
    } else if (taking->gone == CHAINS_GONE_NOTHING || (taking->gone == CHAINS_GONE_BEGINNING && state->seq)) {
        taking->entry->is_found = true;
        doubt = doubt_add(chains, state, DOUBT_GAP, &place, state->seq + 1, taking->seq - 1);
        doubt_before(doubt, state);
        text_keep(chains, taking, doubt);
    }
    if (taking->has_stated)
        advance(chains, taking);
}

/* --- an event that comes late, or again --------------------------------------------------------------- */

/* The event after a gap that is closed must follow from the last one of it. */
static void gap_close(struct chains *chains, const struct doubt *doubt, const uint8_t chain[DIGEST_BYTES])
{
    uint8_t computed[DIGEST_BYTES];

    if (!doubt->text)
        return;
    digest_begin(chains->digest);
    digest_add(chains->digest, chain, DIGEST_BYTES);
    digest_add(chains->digest, doubt->text, doubt->text_length);
    digest_end(chains->digest, computed);
    if (memcmp(computed, doubt->after, DIGEST_BYTES) != 0) {
        struct finding_place place = doubt->place;

        place.seq = doubt->to + 1;
        finding_tell(chains->findings, FINDING_CHANGED, &place, NULL);
    }
}

/* What is missing before it and behind it are two gaps from now on. */
static void gap_split(struct chains *chains, struct taking *taking, struct doubt *doubt)
{
    struct doubt *before = NULL;

    if (doubt->from < taking->seq) {
        before = doubt_add(chains, taking->state, DOUBT_GAP, &doubt->place, doubt->from, taking->seq - 1);
        before->is_reordered = true;
        before->has_before = doubt->has_before;
        memcpy(before->before, doubt->before, DIGEST_BYTES);
        text_keep(chains, taking, before);
    }
    doubt->from = taking->seq + 1;
    doubt->has_before = true;
    doubt->is_reordered = true;
    memcpy(doubt->before, taking->stated, DIGEST_BYTES);
    if (doubt->from <= doubt->to)
        return;
    gap_close(chains, doubt, taking->stated);
    doubt_drop(chains, taking->state, doubt);
}

/* One of those that were missing: it stands in another place than it should. */
static void take_late(struct chains *chains, struct taking *taking, struct doubt *doubt)
{
    bool may_follow = true;

    taking->entry->is_found = true;
    if (doubt->from == taking->seq && (doubt->has_before || taking->seq == 1))
        may_follow = follows(chains, taking, doubt->has_before ? doubt->before : NULL);
    if (doubt->kind == DOUBT_MISSING && doubt->to == taking->seq && may_follow)
        may_follow = !memcmp(taking->stated, doubt->other, DIGEST_BYTES);
    if (!may_follow || !taking->has_stated) {
        tell(chains, taking, FINDING_INSERTED, NULL);
        return;
    }
    if (!doubt->is_reordered)
        tell(chains, taking, FINDING_REORDERED, "the event stands behind one that came after it");
    recent_put(chains, taking->state, taking->seq, taking->stated);
    gap_split(chains, taking, doubt);
}

static void late_add(struct chains *chains, struct taking *taking)
{
    struct late *late;
    char id[sizeof(late->id)];

    snprintf(id, sizeof(id), "%s.%lld", taking->id, (long long)taking->seq);
    HASH_FIND_STR(chains->late, id, late);
    if (late || HASH_COUNT(chains->late) == LATE_MAX)
        return;
    late = calloc(1, sizeof(*late));
    if (!late)
        abort();
    memcpy(late->id, id, sizeof(id));
    late->topic = taking->topic;
    late->partition = taking->record->partition;
    HASH_ADD_STR(chains->late, id, late);
}

/* Of two events with one number, which both follow, the next one tells which is right. */
static void take_conflict(struct chains *chains, struct taking *taking)
{
    struct finding_place place = place_of(taking);
    struct doubt *doubt;

    if (taking->seq < taking->state->seq) { /* what stands there was gone on from */
        tell(chains, taking, FINDING_INSERTED, "a second event has that number, and another content");
        return;
    }
    taking->entry->is_found = true;
    doubt = doubt_add(chains, taking->state, DOUBT_CONFLICT, &place, taking->seq, taking->seq);
    doubt->offset = taking->state->offset;
    memcpy(doubt->other, taking->stated, DIGEST_BYTES);
}

/* It has come before: the same once more, or something else in its name. */
static void take_again(struct chains *chains, struct taking *taking)
{
    const uint8_t *before = taking->seq > 1 ? recent_get(chains, taking->state, taking->seq - 1) : NULL;
    const uint8_t *own = taking->seq == taking->state->seq ? taking->state->chain
                                                           : recent_get(chains, taking->state, taking->seq);

    if (!own || (!before && taking->seq > 1)) {
        taking->entry->is_repeat = true;
        chains->counts.late++;
        late_add(chains, taking);
        return;
    }
    if (taking->has_stated && follows(chains, taking, before)) {
        if (memcmp(own, taking->stated, DIGEST_BYTES) != 0) {
            take_conflict(chains, taking);
            return;
        }
        taking->entry->is_repeat = true;
        chains->counts.repeats++;
        if (taking->header)
            tell_header(chains, taking, taking->header);
        return;
    }
    if (!memcmp(own, taking->computed, DIGEST_BYTES))
        tell_header(chains, taking, record_attribute_name(RECORD_CHAIN));
    else if (taking->has_stated && !memcmp(own, taking->stated, DIGEST_BYTES))
        tell(chains, taking, FINDING_CHANGED, "the event is there twice, and the second time it is changed");
    else
        tell(chains, taking, FINDING_INSERTED, "a second event has that number, and another content");
}

static void take_old(struct chains *chains, struct taking *taking)
{
    struct doubt *doubt = doubt_find(chains, taking->state, DOUBT_GAP, taking->seq);

    if (!doubt)
        doubt = doubt_find(chains, taking->state, DOUBT_MISSING, taking->seq);
    if (doubt)
        take_late(chains, taking, doubt);
    else
        take_again(chains, taking);
}

/* --- a record ----------------------------------------------------------------------------------------- */

static void take_event(struct chains *chains, struct taking *taking)
{
    struct state *state = taking->state;

    if (taking->seq == state->seq + 1)
        take_next(chains, taking);
    else if (taking->seq > state->seq)
        take_ahead(chains, taking);
    else
        take_old(chains, taking);
    state->is_seen = true;
}

static int take_foreign(struct chains *chains, struct taking *taking)
{
    struct finding_place place = place_of(taking);

    place.id = NULL;
    place.seq = 0;
    taking->entry->is_found = true;
    finding_tell(chains->findings, FINDING_FOREIGN, &place, NULL);
    return 0;
}

/* As the one who made the checkpoint has counted it. */
static void entry_begin(struct chains *chains, struct taking *taking)
{
    struct chain_link link;
    bool is_event = chain_link_of(taking->record, &taking->event, &link);

    chain_mark(chains->digest, taking->record, is_event ? &link : NULL, taking->entry->mark);
    taking->entry->offset = taking->record->offset;
    taking->entry->id[0] = '\0';
    taking->entry->seq = 0;
    taking->entry->is_repeat = taking->entry->is_found = false;
}

/* The ce_id that it should have is what the chain was taken over. */
static void id_mend(struct taking *taking)
{
    if (taking->header != record_attribute_name(RECORD_ID))
        return;
    snprintf(taking->id_text, sizeof(taking->id_text), "%s.%lld", taking->id, (long long)taking->seq);
    taking->event.attributes[RECORD_ID] = taking->id_text;
}

int chains_take(struct chains *chains, const struct record *record, const char *topic, enum chains_gone gone,
                struct chains_entry *ret, struct err *err)
{
    struct taking taking;
    struct names names;
    const char *id;
    int r;

    taking.record = record;
    taking.topic = topic;
    taking.entry = ret;
    taking.gone = gone;
    record_event(record, &taking.event);
    entry_begin(chains, &taking);
    names_read(record, &taking.event, &names);
    chains->counts.events++;
    id = names_vote(&names);
    if (!id)
        return take_foreign(chains, &taking);
    r = states_get(chains->states, id, &taking.state, err);
    if (r < 0)
        return r;
    memcpy(taking.id, taking.state->id, sizeof(taking.id));
    taking.seq = names_number(&names, taking.state);
    taking.has_stated = taking.event.has_chain;
    memcpy(taking.stated, taking.event.chain, DIGEST_BYTES);
    taking.header = headers_check(&taking, &names);
    id_mend(&taking);
    memcpy(ret->id, taking.id, sizeof(ret->id));
    ret->seq = taking.seq;
    take_event(chains, &taking);
    return chains->doubt_count > DOUBTS_MAX ? chains_finish(chains, err) : 0;
}

/* --- heads -------------------------------------------------------------------------------------------- */

int chains_is_at(struct chains *chains, const struct checkpoint_head *head, bool *ret, struct err *err)
{
    const uint8_t *chain;
    struct state *state;
    int r = states_find(chains->states, head->id, &state, err);

    if (r < 0)
        return r;
    *ret = false;
    if (!state || state->is_doubted || state->seq < head->seq)
        return 0;
    chain = state->seq == head->seq ? state->chain : recent_get(chains, state, head->seq);
    *ret = !chain || !memcmp(chain, head->chain, DIGEST_BYTES);
    return 0;
}

static void state_follow_head(struct chains *chains, struct state *state, const struct checkpoint_head *head)
{
    state_set(chains, state, head->seq, head->chain);
}

static bool state_is_head(const struct chains *chains, const struct state *state, const struct checkpoint_head *head)
{
    const uint8_t *chain = state->seq == head->seq ? state->chain : recent_get(chains, state, head->seq);

    return chain && !memcmp(chain, head->chain, DIGEST_BYTES);
}

/* The head tells which of two branches was right. Returns whether it told anything. An event that does not follow from
 * the one before was changed itself where the window has the chains that it should; else the one before was. */
static bool settle_by_head(struct chains *chains, struct state *state, const struct checkpoint_head *head,
                           const struct chains_scope *scope)
{
    struct doubts *doubts = state->is_doubted ? doubts_of(chains, state->id) : NULL;
    struct doubt *next;
    bool told = false;

    for (struct doubt *doubt = doubts ? doubts->first : NULL; doubt; doubt = next) {
        bool is_at = doubt->to == head->seq, is_other = is_at && !memcmp(doubt->other, head->chain, DIGEST_BYTES);
        bool is_right = is_at && state_is_head(chains, state, head);

        next = doubt->next;
        if (doubt->to > head->seq)
            continue;
        if (doubt->kind == DOUBT_MISMATCH && is_other)
            tell_chain_header(chains, doubt);
        else if (doubt->kind == DOUBT_MISMATCH)
            tell_mismatch(chains, doubt, scope->is_whole || doubt->from == 1 || (is_at && !is_right));
        else if (doubt->kind == DOUBT_CONFLICT && is_at) {
            doubt->place.offset = is_other ? doubt->offset : doubt->place.offset;
            tell_doubt(chains, doubt, FINDING_INSERTED, doubt->from, doubt->to, NULL);
        } else if (doubt->kind == DOUBT_EARLY && (is_other || doubt->is_gone_on)) {
            tell_doubt(chains, doubt, FINDING_REORDERED, doubt->from, doubt->to,
                       "the event stands before the place that it had");
        } else {
            continue;
        }
        told = true;
        if (is_other)
            state_follow_head(chains, state, head);
        doubt_drop(chains, state, doubt);
        if (!state->is_doubted)
            break; /* the list is gone with its last one */
    }
    return told;
}

static struct finding_place scope_place(const struct chains_scope *scope, const struct chains_entry *entry)
{
    struct finding_place place = FINDING_NOWHERE;

    place.topic = scope->topic;
    place.partition = scope->partition;
    place.offset = entry ? entry->offset : -1;
    place.checkpoint = scope->checkpoint;
    return place;
}

/* The chain was written anew, and fits in itself. Once that was told, it may go on. */
static void head_differs(struct chains *chains, struct state *state, const struct checkpoint_head *head,
                         const struct chains_entry *top, const struct chains_scope *scope)
{
    struct finding_place place = scope_place(scope, top);
    struct doubt *doubt = doubt_find(chains, state, DOUBT_REWRITTEN, top->seq);

    if (!doubt) {
        doubt = doubt_add(chains, state, DOUBT_REWRITTEN, &place, top->seq, top->seq);
        if (!top->is_found) {
            place.id = head->id;
            place.seq = head->seq;
            finding_tell(chains->findings, FINDING_CHANGED, &place,
                         "its chain was computed anew: it is not the one that the checkpoint states");
        }
    }
    memcpy(doubt->other, top->mark, DIGEST_BYTES);
    if (state->seq <= head->seq) {
        state_follow_head(chains, state, head);
        return;
    }
    doubt->to = state->seq; /* it was read on already */
    memcpy(doubt->other, state->chain, DIGEST_BYTES);
}

/* Events up to the head have not come. They may yet, in another place. */
static void head_is_missed(struct chains *chains, struct state *state, const struct checkpoint_head *head,
                           const struct chains_scope *scope)
{
    struct finding_place place = scope_place(scope, NULL);
    struct doubt *doubt = doubt_find(chains, state, DOUBT_MISSING, state->seq);

    if (doubt && doubt->to == state->seq) {
        doubt->to = head->seq; /* the same, and more of it */
    } else {
        doubt = doubt_add(chains, state, DOUBT_MISSING, &place, state->seq + 1, head->seq);
        doubt_before(doubt, state);
    }
    memcpy(doubt->other, head->chain, DIGEST_BYTES);
    state_follow_head(chains, state, head);
}

/* The chain has come to the head, though not where the checkpoint says: what is missing there was found by a gap, or it
 * stands behind. */
static void head_is_elsewhere(struct chains *chains, const struct state *state, const struct checkpoint_head *head,
                              const struct chains_entry *top, struct chains_entry *behind,
                              const struct chains_scope *scope)
{
    struct finding_place place = scope_place(scope, behind);

    for (int64_t seq = top ? top->seq + 1 : 1; seq <= head->seq; seq++)
        if (doubt_find(chains, state, DOUBT_GAP, seq) || doubt_find(chains, state, DOUBT_MISSING, seq))
            return;
    place.id = head->id;
    place.seq = behind ? behind->seq : head->seq;
    if (behind)
        behind->is_found = true;
    finding_tell(chains->findings, FINDING_REORDERED, &place, "the event does not stand where the checkpoint says");
}

int chains_head(struct chains *chains, const struct checkpoint_head *head, const struct chains_entry *top,
                struct chains_entry *behind, const struct chains_scope *scope, bool *found, struct err *err)
{
    struct state *state;
    int r = states_get(chains->states, head->id, &state, err);
    bool told;

    if (r < 0)
        return r;
    *found = state->is_doubted || (top && top->is_found);
    told = settle_by_head(chains, state, head, scope);
    if (top && top->seq == head->seq && !memcmp(top->mark, head->chain, DIGEST_BYTES)) {
        if (state->seq < head->seq || (state->seq == head->seq && memcmp(state->chain, head->chain, DIGEST_BYTES) != 0))
            state_follow_head(chains, state, head);
        return 0;
    }
    if (top && top->seq > head->seq)
        return 0; /* chains_extra() has seen to it */
    *found = true;
    if (top && top->seq == head->seq)
        head_differs(chains, state, head, top, scope);
    else if (state->seq < head->seq)
        head_is_missed(chains, state, head, scope);
    else if (!told && !(behind && behind->is_found))
        head_is_elsewhere(chains, state, head, top, behind, scope);
    return 0;
}

/* Whether the chain, which was read on already, has gone on from an entry. */
static bool is_behind(const struct chains *chains, const struct state *state, const struct chains_entry *entry)
{
    const uint8_t *chain = recent_get(chains, state, entry->seq);

    return state->seq > entry->seq && chain && !memcmp(chain, entry->mark, DIGEST_BYTES);
}

int chains_extra(struct chains *chains, const struct chains_entry *entry, const struct checkpoint_head *head,
                 const struct chains_scope *scope, struct err *err)
{
    struct finding_place place = scope_place(scope, entry);
    struct doubt *doubt;
    struct state *state;
    int r = states_get(chains->states, entry->id, &state, err);

    if (r < 0)
        return r;
    doubt = doubt_find(chains, state, DOUBT_SETTLED, entry->seq);
    if (doubt && doubt->offset == entry->offset)
        return 0;
    doubt = doubt_find(chains, state, DOUBT_EARLY, entry->seq - 1);
    if (doubt && doubt->to == entry->seq - 1) {
        doubt->to = entry->seq;
    } else {
        doubt = doubt_add(chains, state, DOUBT_EARLY, &place, entry->seq, entry->seq);
        doubt_before(doubt, state);
    }
    memcpy(doubt->other, entry->mark, DIGEST_BYTES);
    doubt->is_gone_on = is_behind(chains, state, entry);
    if (head && head->seq < state->seq)
        state_follow_head(chains, state, head);
    else if (!head && entry->seq > 1 && recent_get(chains, state, doubt->from - 1))
        state_set(chains, state, doubt->from - 1, recent_get(chains, state, doubt->from - 1));
    return 0;
}

int chains_adopt(struct chains *chains, const struct checkpoint_head *head, struct err *err)
{
    struct state *state;
    int r = states_get(chains->states, head->id, &state, err);

    if (r == 0 && state->seq < head->seq)
        state_follow_head(chains, state, head);
    return r;
}

int chains_forgive(struct chains *chains, const char *id, struct err *err)
{
    struct doubt *doubt;
    struct state *state;
    int r = states_get(chains->states, id, &state, err);

    if (r == 0 && (doubt = doubt_find(chains, state, DOUBT_MISSING, state->seq)))
        doubt_drop(chains, state, doubt);
    return r;
}

/* --- repeats that came late --------------------------------------------------------------------------- */

bool chains_is_late(const struct chains *chains, const char *topic, int32_t partition)
{
    for (const struct late *late = chains->late; late; late = late->hh.next)
        if (late->partition == partition && !strcmp(late->topic, topic))
            return true;
    return false;
}

/* Over all that a repeat must have in common with what it repeats. */
static bool record_hash(struct chains *chains, const struct record *record, uint8_t ret[DIGEST_BYTES])
{
    buf_clear(&chains->text);
    for (int i = 0; i < record->header_count; i++) {
        buf_adds(&chains->text, record->headers[i].name);
        buf_addc(&chains->text, '\0');
        buf_add(&chains->text, record->headers[i].value, record->headers[i].length);
        buf_addc(&chains->text, '\n');
    }
    buf_add(&chains->text, record->key, record->key_length);
    buf_addc(&chains->text, '\n');
    buf_add(&chains->text, record->value, record->value_length);
    digest_of(chains->digest, chains->text.data ? chains->text.data : "", chains->text.length, ret);
    return !chains->text.overflow;
}

int chains_compare(struct chains *chains, const struct record *record, const char *topic, struct err *err)
{
    struct finding_place place = FINDING_NOWHERE;
    struct record_event event;
    uint8_t hash[DIGEST_BYTES];
    char id[CHAIN_ID_MAX + 1];
    struct late *late = NULL;

    (void)err;
    record_event(record, &event);
    if (event.attributes[RECORD_ID])
        HASH_FIND_STR(chains->late, event.attributes[RECORD_ID], late);
    if (!late || !record_hash(chains, record, hash))
        return 0;
    if (!late->is_known || !memcmp(late->hash, hash, DIGEST_BYTES)) {
        memcpy(late->hash, hash, DIGEST_BYTES);
        late->is_known = true;
        return 0;
    }
    place.topic = topic;
    place.partition = record->partition;
    place.offset = record->offset;
    place.seq = id_read(late->id, id);
    place.id = id;
    finding_tell(chains->findings, FINDING_CHANGED, &place, "the event is there twice, and the second time it is changed");
    return 0;
}
