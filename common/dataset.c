#include "common/dataset.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/mask.h"

/* What a document looks like, level by level; dsr.md 1 has the table. What no table can say follows it in code. */

static const struct schema any = { .type = SCHEMA_ANY };
static const struct schema text = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX };
static const char *const redact_words[] = { "name", NULL };
static const char *const namespace_words[] = { "postgres", NULL };
static const char *const direction_words[] = { "from", "to", NULL };

#define TEXT(name) { name, .nullable = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } }
#define TEXTS(name) { name, .nullable = true, .schema = { SCHEMA_LIST, .item = &text, .max = DATASET_LIST_MAX } }
#define FLAG(name) { name, .nullable = true, .schema = { SCHEMA_BOOL } }
#define META(schema_fields) \
    { "fides_meta", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = (schema_fields) } }, \
    { "fidesops_meta", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = (schema_fields) } }
/* What every level may say of itself. */
#define DESCRIBED \
    { "description", .nullable = true, .schema = { SCHEMA_STRING } }, \
    TEXTS("data_categories"), TEXTS("data_uses"), TEXTS("data_subjects")
#define REDACT { "redact", .nullable = true, .schema = { SCHEMA_STRING, .words = redact_words } }

static const struct schema_field namespace_fields[] = {
    { "connection_type", .nullable = true, .schema = { SCHEMA_STRING, .words = namespace_words } },
    TEXT("database_name"),
    { "schema", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    { 0 },
};
static const struct schema_field dataset_meta[] = {
    TEXTS("after"),
    { "namespace", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = namespace_fields } },
    TEXT("resource_id"),
    REDACT,
    { 0 },
};
static const struct schema_field dataset_fields[] = {
    { "fides_key", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    { "name", .nullable = true, .schema = { SCHEMA_STRING } },
    TEXT("organization_fides_key"),
    DESCRIBED,
    TEXTS("tags"),
    { "meta", .nullable = true, .schema = { SCHEMA_OBJECT } },
    META(dataset_meta),
    { "collections", .required = true, .schema = { SCHEMA_LIST, .item = &any, .max = DATASET_COLLECTIONS_MAX } },
    { 0 },
};
static const struct schema dataset_schema = { SCHEMA_OBJECT, .fields = dataset_fields };

static const struct schema_field collection_meta[] = {
    TEXTS("after"),
    TEXTS("erase_after"),
    FLAG("skip_processing"),
    { "masking_strategy_override", .nullable = true, .schema = { SCHEMA_OBJECT } },
    REDACT,
    { 0 },
};
static const struct schema_field collection_fields[] = {
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    DESCRIBED,
    META(collection_meta),
    { "fields", .required = true, .schema = { SCHEMA_LIST, .item = &any, .max = DATASET_FIELDS_MAX } },
    { 0 },
};
static const struct schema collection_schema = { SCHEMA_OBJECT, .fields = collection_fields };

static const struct schema_field reference_fields[] = {
    { "dataset", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    { "field", .required = true, .schema = { SCHEMA_STRING, .max = DATASET_PATH_CHARS_MAX } },
    { "direction", .nullable = true, .schema = { SCHEMA_STRING, .words = direction_words } },
    { 0 },
};
static const struct schema reference_schema = { SCHEMA_OBJECT, .fields = reference_fields };
static const struct schema_field override_fields[] = {
    { "strategy", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    { "configuration", .nullable = true, .schema = { SCHEMA_OBJECT } },
    { 0 },
};
static const struct schema_field field_meta[] = {
    { "references", .nullable = true,
      .schema = { SCHEMA_LIST, .item = &reference_schema, .max = DATASET_LIST_MAX } },
    TEXT("identity"),
    FLAG("primary_key"),
    TEXT("data_type"),
    { "length", .nullable = true, .schema = { SCHEMA_INT, .min = INT_MIN, .max = INT_MAX } },
    FLAG("return_all_elements"),
    FLAG("read_only"),
    TEXT("custom_request_field"),
    { "masking_strategy_override", .nullable = true, .schema = { SCHEMA_OBJECT, .fields = override_fields } },
    REDACT,
    { 0 },
};
static const struct schema_field field_fields[] = {
    { "name", .required = true, .schema = { SCHEMA_STRING, .min = 1, .max = DATASET_NAME_CHARS_MAX } },
    DESCRIBED,
    META(field_meta),
    { "fields", .nullable = true, .schema = { SCHEMA_LIST, .item = &any, .max = DATASET_FIELDS_MAX } },
    { 0 },
};
static const struct schema field_schema = { SCHEMA_OBJECT, .fields = field_fields };

static const struct {
    const char *word;
    enum dataset_type type;
} types[] = {
    { "string", DATASET_STRING },   { "integer", DATASET_INTEGER },     { "float", DATASET_FLOAT },
    { "boolean", DATASET_BOOLEAN }, { "object_id", DATASET_OBJECT_ID }, { "object", DATASET_OBJECT },
};

/* Reading. What does not fit its table is told and left out, so that the rest is still looked at. */

struct reading {
    bool (*category_known)(const char *category);
    struct arena *arena;
    struct schema_errors errors;
    const char *dataset, *collection; /* in which we are */
    int fields;                       /* so far, of the whole dataset */
};

/* A part of a list and where it stood, as lists are kept sorted. */
struct element {
    json_object *object;
    const char *name;
    int index;
};

#define refuse(reading, loc, ...) schema_error(&(reading)->errors, loc, "value_error", "Value error, " __VA_ARGS__)

/* fides_meta, or what it was called before. */
static json_object *read_meta(json_object *object, const char **name)
{
    *name = schema_get(object, "fides_meta") ? "fides_meta" : "fidesops_meta";
    return schema_get(object, *name);
}

static const char *keep_text(struct reading *reading, json_object *object, const char *name)
{
    return arena_strdup(reading->arena, schema_text(object, name));
}

static struct dataset_texts keep_texts(struct reading *reading, json_object *object, const char *name)
{
    json_object *list = schema_get(object, name);
    int count = list ? (int)json_object_array_length(list) : 0;
    const char **texts = arena_array(reading->arena, const char *, (size_t)count);

    for (int i = 0; i < count; i++)
        texts[i] = arena_strdup(reading->arena, json_object_get_string(json_object_array_get_idx(list, (size_t)i)));
    return (struct dataset_texts){ texts, count };
}

static struct dataset_texts read_categories(struct reading *reading, json_object *object, const struct schema_loc *loc)
{
    const struct schema_loc list = { .parent = loc, .name = "data_categories" };
    struct dataset_texts categories = keep_texts(reading, object, "data_categories");

    for (int i = 0; i < categories.count && reading->category_known; i++) {
        const struct schema_loc place = { .parent = &list, .index = i };

        if (!reading->category_known(categories.texts[i]))
            refuse(reading, &place, "The data category %s is not supported.", categories.texts[i]);
    }
    return categories;
}

/* Collections are named "dataset.collection" in `after` and `erase_after`. */
static struct dataset_texts read_order(struct reading *reading, json_object *meta, const char *name,
                                       const struct schema_loc *meta_loc)
{
    const struct schema_loc list = { .parent = meta_loc, .name = name };
    struct dataset_texts order = keep_texts(reading, meta, name);

    for (int i = 0; i < order.count; i++) {
        const struct schema_loc place = { .parent = &list, .index = i };
        const char *dot = strchr(order.texts[i], '.');

        if (!dot || dot == order.texts[i] || !dot[1])
            refuse(reading, &place, "FidesCollection must be specified in the form 'FidesKey.FidesKey'");
    }
    return order;
}

static int elements_compare(const void *a, const void *b)
{
    const struct element *one = a, *other = b;
    int order = strcmp(one->name, other->name);

    return order ? order : one->index - other->index;
}

static void refuse_duplicates(struct reading *reading, const struct element *elements, int count,
                              const struct schema_loc *list)
{
    for (int i = 1; i < count; i++) {
        const struct schema_loc place = { .parent = list, .index = elements[i].index };
        const struct schema_loc name = { .parent = &place, .name = "name" };

        if (!strcmp(elements[i - 1].name, elements[i].name))
            refuse(reading, &name, "The name '%s' is used more than once.", elements[i].name);
    }
}

/* The list's elements that fit `schema`, sorted by name. */
static struct element *read_list(struct reading *reading, json_object *list, const struct schema *schema,
                                 const struct schema_loc *loc, int *ret)
{
    int count = list ? (int)json_object_array_length(list) : 0, kept = 0;
    struct element *elements = arena_array(reading->arena, struct element, (size_t)count);

    for (int i = 0; i < count; i++) {
        const struct schema_loc place = { .parent = loc, .index = i };
        json_object *object = json_object_array_get_idx(list, (size_t)i);

        if (schema_check(schema, object, &place, &reading->errors))
            elements[kept++] = (struct element){ object, schema_text(object, "name"), i };
    }
    qsort(elements, (size_t)kept, sizeof(*elements), elements_compare);
    refuse_duplicates(reading, elements, kept, loc);
    *ret = kept;
    return elements;
}

/* "collection.column[.sub]" */
static void read_target(struct reading *reading, struct dataset_reference *reference, const char *target,
                        const struct schema_loc *loc)
{
    const struct schema_loc place = { .parent = loc, .name = "field" };
    size_t length = strcspn(target, ".");

    if (!length || !target[length] || !target[length + 1]) {
        refuse(reading, &place, "References must be in the form 'collection.column'.");
        return;
    }
    reference->collection = arena_strndup(reading->arena, target, length);
    reference->path = arena_strdup(reading->arena, target + length + 1);
    if (!strcmp(reference->dataset, reading->dataset) && !strcmp(reference->collection, reading->collection))
        refuse(reading, &place, "collection self-reference not allowed");
}

static enum dataset_direction read_direction(const char *word)
{
    if (!word)
        return DATASET_BOTH;
    return !strcmp(word, "to") ? DATASET_TO : DATASET_FROM;
}

static void read_references(struct reading *reading, struct dataset_field *field, json_object *list,
                            const struct schema_loc *meta_loc)
{
    const struct schema_loc list_loc = { .parent = meta_loc, .name = "references" };
    int count = list ? (int)json_object_array_length(list) : 0;
    struct dataset_reference *references = arena_array(reading->arena, struct dataset_reference, (size_t)count);

    for (int i = 0; i < count; i++) {
        const struct schema_loc loc = { .parent = &list_loc, .index = i };
        json_object *object = json_object_array_get_idx(list, (size_t)i);

        references[i].dataset = keep_text(reading, object, "dataset");
        references[i].direction = read_direction(schema_text(object, "direction"));
        read_target(reading, &references[i], schema_text(object, "field"), &loc);
    }
    field->references = references;
    field->reference_count = count;
}

/* "integer", "string[]" ... */
static void read_type(struct reading *reading, struct dataset_field *field, const char *word,
                      const struct schema_loc *meta_loc)
{
    const struct schema_loc loc = { .parent = meta_loc, .name = "data_type" };
    size_t length = word ? strlen(word) : 0;

    if (!word)
        return;
    field->is_array = length > 2 && !strcmp(word + length - 2, "[]");
    if (field->is_array)
        length -= 2;
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (strlen(types[i].word) == length && !strncmp(types[i].word, word, length))
            field->type = types[i].type;
    if (field->type == DATASET_NONE)
        refuse(reading, &loc, "The data type %s is not supported.", word);
}

static void read_length(struct reading *reading, struct dataset_field *field, json_object *meta,
                        const struct schema_loc *meta_loc)
{
    const struct schema_loc loc = { .parent = meta_loc, .name = "length" };

    if (!schema_get(meta, "length"))
        return;
    field->length = (int)schema_int(meta, "length", 0);
    if (field->length <= 0)
        refuse(reading, &loc, "Illegal length (%d). Only positive non-zero values are allowed.", field->length);
}

static void read_override(struct reading *reading, struct dataset_field *field, json_object *override,
                          const struct schema_loc *meta_loc)
{
    const struct schema_loc loc = { .parent = meta_loc, .name = "masking_strategy_override" };
    json_object *configuration = schema_get(override, "configuration");
    struct err err;

    if (!override)
        return;
    field->strategy = keep_text(reading, override, "strategy");
    if (configuration)
        field->strategy_configuration = arena_strdup(
            reading->arena, json_object_to_json_string_ext(configuration, JSON_C_TO_STRING_PLAIN));
    if (mask_check(field->strategy, field->strategy_configuration, &err) < 0)
        refuse(reading, &loc, "%s", err.text);
    else if (mask_needs_secrets(field->strategy))
        refuse(reading, &loc, "Masking strategy '%s' with required secrets not allowed as an override.",
               field->strategy);
}

static void read_field_meta(struct reading *reading, struct dataset_field *field, json_object *object,
                            const struct schema_loc *loc)
{
    struct schema_loc meta_loc = { .parent = loc }, elements = { .parent = &meta_loc, .name = "return_all_elements" };
    json_object *meta = read_meta(object, &meta_loc.name);

    field->identity = keep_text(reading, meta, "identity");
    field->custom_request_field = keep_text(reading, meta, "custom_request_field");
    field->primary_key = schema_bool(meta, "primary_key", false);
    field->read_only = schema_bool(meta, "read_only", false);
    field->return_all_elements = schema_bool(meta, "return_all_elements", false);
    field->redact = schema_get(meta, "redact");
    read_type(reading, field, schema_text(meta, "data_type"), &meta_loc);
    read_length(reading, field, meta, &meta_loc);
    read_references(reading, field, schema_get(meta, "references"), &meta_loc);
    read_override(reading, field, schema_get(meta, "masking_strategy_override"), &meta_loc);
    if (field->return_all_elements && !field->is_array)
        refuse(reading, &elements, "The 'return_all_elements' attribute can only be specified on array fields.");
}

static bool may_have_fields(struct reading *reading, const struct dataset_field *field, int depth,
                            const struct schema_loc *loc)
{
    if (depth >= DATASET_FIELD_DEPTH_MAX) {
        refuse(reading, loc, "Fields should be at most %d levels deep.", DATASET_FIELD_DEPTH_MAX);
        return false;
    }
    if (field->type == DATASET_NONE || field->type == DATASET_OBJECT)
        return true;
    refuse(reading, loc, "The data type '%s' on field '%s' is not compatible with specified sub-fields. "
           "Convert to an 'object' field.", types[field->type - 1].word, field->name);
    return false;
}

static const struct dataset_field *read_fields(struct reading *reading, json_object *list,
                                               const struct dataset_field *parent, int depth,
                                               const struct schema_loc *loc, int *ret);

static void read_field(struct reading *reading, const struct element *element, struct dataset_field *field, int depth,
                       const struct schema_loc *list)
{
    const struct schema_loc loc = { .parent = list, .index = element->index };
    const struct schema_loc below = { .parent = &loc, .name = "fields" };
    json_object *fields = schema_get(element->object, "fields");

    field->name = arena_strdup(reading->arena, element->name);
    field->path = field->parent ? arena_printf(reading->arena, "%s.%s", field->parent->path, field->name) : field->name;
    field->column = field->parent ? field->parent->column : field->name;
    field->categories = read_categories(reading, element->object, &loc);
    read_field_meta(reading, field, element->object, &loc);
    if (fields && json_object_array_length(fields) && may_have_fields(reading, field, depth, &below))
        field->fields = read_fields(reading, fields, field, depth + 1, &below, &field->field_count);
}

static const struct dataset_field *read_fields(struct reading *reading, json_object *list,
                                               const struct dataset_field *parent, int depth,
                                               const struct schema_loc *loc, int *ret)
{
    struct dataset_field *fields;
    struct element *elements;

    if ((int)json_object_array_length(list) > DATASET_FIELDS_MAX - reading->fields) {
        refuse(reading, loc, "A dataset should have at most %d fields.", DATASET_FIELDS_MAX);
        return NULL;
    }
    elements = read_list(reading, list, &field_schema, loc, ret);
    reading->fields += *ret;
    fields = arena_array(reading->arena, struct dataset_field, (size_t)*ret);
    for (int i = 0; i < *ret; i++) {
        fields[i].parent = parent;
        read_field(reading, &elements[i], &fields[i], depth, loc);
    }
    return fields;
}

/* Of every depth. Returns where the next goes. */
static int gather(const struct dataset_field *fields, int count, const struct dataset_field **ret, int at)
{
    for (int i = 0; i < count; i++) {
        ret[at++] = &fields[i];
        at = gather(fields[i].fields, fields[i].field_count, ret, at);
    }
    return at;
}

static int paths_compare(const void *a, const void *b)
{
    return strcmp((*(const struct dataset_field *const *)a)->path, (*(const struct dataset_field *const *)b)->path);
}

/* A column may be called "a.b", and be taken for the b of a column a. */
static void index_paths(struct reading *reading, struct dataset_collection *collection, int count,
                        const struct schema_loc *loc)
{
    const struct dataset_field **all = arena_array(reading->arena, const struct dataset_field *, (size_t)count);

    collection->all_count = gather(collection->fields, collection->field_count, all, 0);
    qsort(all, (size_t)collection->all_count, sizeof(*all), paths_compare);
    for (int i = 1; i < collection->all_count; i++)
        if (!strcmp(all[i - 1]->path, all[i]->path) && all[i - 1]->parent != all[i]->parent)
            refuse(reading, loc, "The path '%s' is used more than once.", all[i]->path);
    collection->all = all;
}

static void read_collection(struct reading *reading, const struct element *element,
                            struct dataset_collection *collection, const struct schema_loc *list)
{
    const struct schema_loc loc = { .parent = list, .index = element->index };
    const struct schema_loc fields = { .parent = &loc, .name = "fields" };
    struct schema_loc meta_loc = { .parent = &loc };
    json_object *meta = read_meta(element->object, &meta_loc.name);
    int before = reading->fields;

    collection->name = reading->collection = arena_strdup(reading->arena, element->name);
    collection->categories = read_categories(reading, element->object, &loc);
    collection->after = read_order(reading, meta, "after", &meta_loc);
    collection->erase_after = read_order(reading, meta, "erase_after", &meta_loc);
    collection->skip_processing = schema_bool(meta, "skip_processing", false);
    collection->redact = schema_get(meta, "redact");
    collection->fields = read_fields(reading, schema_get(element->object, "fields"), NULL, 1, &fields,
                                     &collection->field_count);
    index_paths(reading, collection, reading->fields - before, &fields);
}

static void read_key(struct reading *reading, json_object *document, const struct schema_loc *loc)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.<>-";
    const struct schema_loc place = { .parent = loc, .name = "fides_key" };

    reading->dataset = keep_text(reading, document, "fides_key");
    if (reading->dataset[strspn(reading->dataset, allowed)])
        refuse(reading, &place, "FidesKeys must only contain alphanumeric characters, '.', '_', '<', '>' or '-'. "
               "Value provided: %s", reading->dataset);
}

static void read_dataset(struct reading *reading, json_object *document, struct dataset *dataset,
                         const struct schema_loc *loc)
{
    const struct schema_loc list = { .parent = loc, .name = "collections" };
    const char *meta_name;
    json_object *meta = read_meta(document, &meta_name), *namespace = schema_get(meta, "namespace");
    struct dataset_collection *collections;
    struct element *elements;

    read_key(reading, document, loc);
    read_categories(reading, document, loc);
    dataset->key = reading->dataset;
    dataset->name = keep_text(reading, document, "name");
    dataset->schema = keep_text(reading, namespace, "schema");
    dataset->database = keep_text(reading, namespace, "database_name");
    dataset->after = keep_texts(reading, meta, "after");
    dataset->redact = schema_get(meta, "redact");
    elements = read_list(reading, schema_get(document, "collections"), &collection_schema, &list,
                         &dataset->collection_count);
    collections = arena_array(reading->arena, struct dataset_collection, (size_t)dataset->collection_count);
    for (int i = 0; i < dataset->collection_count; i++)
        read_collection(reading, &elements[i], &collections[i], &list);
    dataset->collections = collections;
}

/* Telling. */

static bool is_part(json_object *loc, size_t at, const char *name)
{
    json_object *part = json_object_array_get_idx(loc, at);

    return json_object_is_type(part, json_type_string) && !strcmp(json_object_get_string(part), name);
}

/* The name of the element that two parts of `loc` point to: ["fields", 3]. NULL: they don't, or it has none. */
static const char *part_name(json_object **object, json_object *loc, size_t at, const char *list)
{
    json_object *elements, *index = json_object_array_get_idx(loc, at + 1), *name;

    if (!is_part(loc, at, list) || !json_object_is_type(index, json_type_int))
        return NULL;
    elements = schema_get(*object, list);
    *object = json_object_array_get_idx(elements, (size_t)json_object_get_int(index));
    name = json_object_is_type(*object, json_type_object) ? schema_get(*object, "name") : NULL;
    return json_object_is_type(name, json_type_string) ? json_object_get_string(name) : "?";
}

/* ", collection 'customer', field 'address.city'". Returns the parts of `loc` that were said with it. */
static size_t tell_place(struct buf *buf, json_object *document, json_object *loc, size_t at)
{
    json_object *object = document;
    const char *name = part_name(&object, loc, at, "collections"), *lead = ", field '";

    if (!name)
        return at;
    buf_printf(buf, ", collection '%s'", name);
    at += 2;
    for (; (name = part_name(&object, loc, at, "fields")); at += 2) {
        buf_printf(buf, "%s%s", lead, name);
        lead = ".";
    }
    if (*lead == '.')
        buf_adds(buf, "'");
    return at;
}

static int loc_length(const struct schema_loc *loc)
{
    return loc ? 1 + loc_length(loc->parent) : 0;
}

/* In one line: "Dataset 'shop', collection 'customer', field 'id': fides_meta.length: Illegal length (0). ..." */
static int tell(json_object *document, const struct schema_loc *loc, json_object *error, struct err *err)
{
    static const char lead[] = "Value error, ";
    _cleanup_(buf_free) struct buf buf = BUF_INIT(64 * 1024);
    json_object *parts = schema_get(error, "loc"), *key = NULL;
    const char *reason = schema_text(error, "msg");
    size_t at;

    if (json_object_is_type(document, json_type_object))
        key = schema_get(document, "fides_key");
    buf_printf(&buf, "Dataset '%s'", json_object_is_type(key, json_type_string) ? json_object_get_string(key) : "?");
    at = tell_place(&buf, document, parts, (size_t)loc_length(loc));
    for (size_t i = at; i < json_object_array_length(parts); i++)
        buf_printf(&buf, "%s%s", i == at ? ": " : ".", json_object_get_string(json_object_array_get_idx(parts, i)));
    if (!strncmp(reason, lead, strlen(lead)))
        reason += strlen(lead);
    return err_set(err, ERR_BAD_REQUEST, "%s: %s", buf.data, reason);
}

/* Those of one document to those of the call. */
static void hand_over(json_object *list, struct schema_errors *errors)
{
    if (!errors)
        return;
    if (!errors->list)
        errors->list = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(list); i++)
        if (json_object_array_length(errors->list) < SCHEMA_ERRORS_MAX)
            json_object_array_add(errors->list, json_object_get(json_object_array_get_idx(list, i)));
}

int dataset_read(json_object *document, const struct schema_loc *loc, bool (*category_known)(const char *category),
                 struct arena *arena, const struct dataset **ret, struct schema_errors *errors, struct err *err)
{
    struct reading reading = { .category_known = category_known, .arena = arena };
    struct dataset *dataset = arena_new_of(arena, struct dataset);
    int r;

    if (schema_check(&dataset_schema, document, loc, &reading.errors))
        read_dataset(&reading, document, dataset, loc);
    if (!reading.errors.list) {
        *ret = dataset;
        return 0;
    }
    r = tell(document, loc, json_object_array_get_idx(reading.errors.list, 0), err);
    hand_over(reading.errors.list, errors);
    schema_errors_free(&reading.errors);
    return r;
}

/* Asking. */

static int by_collection_name(const void *name, const void *element)
{
    return strcmp(name, ((const struct dataset_collection *)element)->name);
}

const struct dataset_collection *dataset_collection(const struct dataset *dataset, const char *name)
{
    return dataset->collection_count ? bsearch(name, dataset->collections, (size_t)dataset->collection_count,
                                               sizeof(*dataset->collections), by_collection_name)
                                     : NULL;
}

static int by_path(const void *path, const void *element)
{
    return strcmp(path, (*(const struct dataset_field *const *)element)->path);
}

const struct dataset_field *dataset_field(const struct dataset_collection *collection, const char *path)
{
    const struct dataset_field *const *found =
        collection->all_count
            ? bsearch(path, collection->all, (size_t)collection->all_count, sizeof(*collection->all), by_path)
            : NULL;

    return found ? *found : NULL;
}

bool dataset_category_in(const char *category, const char *target)
{
    size_t length = strlen(target);

    return !strncmp(category, target, length) && (!category[length] || category[length] == '.');
}

bool dataset_field_in(const struct dataset_field *field, const struct dataset_texts *targets)
{
    for (int i = 0; i < field->categories.count; i++)
        for (int j = 0; j < targets->count; j++)
            if (dataset_category_in(field->categories.texts[i], targets->texts[j]))
                return true;
    return false;
}
