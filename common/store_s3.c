#include <curl/curl.h>
#include <json-c/json.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/schema.h"
#include "common/store_kind.h"

/*
 * A bucket over S3's REST interface, calls signed by libcurl. What is written goes in parts of PART_BYTES, of which
 * there may be 10,000 (80 GiB), or at once when it is smaller; what is read comes in ranges of as much, so that a slow
 * reader holds no connection.
 */
enum {
    PART_BYTES = 8 * 1024 * 1024,
    PARTS_MAX = 10000,
    ANSWER_BYTES = 64 * 1024,
    PARTS_LIST_BYTES = 4 * 1024 * 1024,
    WORD_BYTES = 256,
    URL_BYTES = 4096,
    RETRIES_MAX = 10,
    CONNECT_SECONDS = 10,
    CALL_SECONDS = 600,
    SLOW_BYTES = 1024, /* a second, for SLOW_SECONDS: taken for dead */
    SLOW_SECONDS = 30
};

DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)

struct s3 {
    CURL *easy;
    char url[URL_BYTES]; /* of the object */
    int retries;
    struct buf answer;
    long status;
    char words[CURL_ERROR_SIZE];
};

struct call {
    const char *method;
    const char *query; /* as the signature wants it: names in order, encoded, each with "=". NULL: none */
    const void *body;
    size_t length;
    const char *headers[2]; /* further ones */
    size_t answer_max;
};

/* --- where it is ------------------------------------------------------------------------------------------- */

static bool is_of(const char *text, const char *allowed, size_t max)
{
    size_t length = text ? strlen(text) : 0;

    return length && length <= max && strspn(text, allowed) == length;
}

static bool endpoint_is_usable(const char *endpoint)
{
    return !strpbrk(endpoint, " ?#@\"<>\\") && strlen(endpoint) < URL_BYTES / 2 &&
           (!strncmp(endpoint, "https://", 8) || !strncmp(endpoint, "http://", 7));
}

/* A bucket with dots has no certificate as a name of its own. */
static void object_url(struct s3 *s3, const char *endpoint, const char *region, const char *bucket,
                       const char *location)
{
    const char *domain = strncmp(region, "cn-", 3) ? "amazonaws.com" : "amazonaws.com.cn";

    if (endpoint)
        snprintf(s3->url, sizeof(s3->url), "%.*s/%s/%s",
                 (int)(strlen(endpoint) - (endpoint[strlen(endpoint) - 1] == '/')), endpoint, bucket, location);
    else if (strchr(bucket, '.'))
        snprintf(s3->url, sizeof(s3->url), "https://s3.%s.%s/%s/%s", region, domain, bucket, location);
    else
        snprintf(s3->url, sizeof(s3->url), "https://%s.s3.%s.%s/%s", bucket, region, domain, location);
}

static void easy_setup(struct s3 *s3, const char *region, json_object *secrets)
{
    char scheme[WORD_BYTES];

    snprintf(scheme, sizeof(scheme), "aws:amz:%s:s3", region);
    curl_easy_setopt(s3->easy, CURLOPT_AWS_SIGV4, scheme);
    curl_easy_setopt(s3->easy, CURLOPT_USERNAME, schema_text(secrets, "aws_access_key_id"));
    curl_easy_setopt(s3->easy, CURLOPT_PASSWORD, schema_text(secrets, "aws_secret_access_key"));
    curl_easy_setopt(s3->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(s3->easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(s3->easy, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(s3->easy, CURLOPT_TIMEOUT, (long)CALL_SECONDS);
    curl_easy_setopt(s3->easy, CURLOPT_LOW_SPEED_LIMIT, (long)SLOW_BYTES);
    curl_easy_setopt(s3->easy, CURLOPT_LOW_SPEED_TIME, (long)SLOW_SECONDS);
    curl_easy_setopt(s3->easy, CURLOPT_ERRORBUFFER, s3->words);
}

static int unusable(const char *what, const struct store_target *target, struct err *err)
{
    return err_set(err, ERR_REFUSED, "The storage '%s' has no usable %s.", target->key, what);
}

static int s3_setup(struct s3 *s3, const struct store_target *target, json_object *details, json_object *secrets,
                    const char *location, struct err *err)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    const char *bucket = schema_text(details, "bucket"), *endpoint = schema_text(details, "endpoint_url");
    const char *region = schema_text(secrets, "region_name");
    long long retries = schema_int(details, "max_retries", 0);

    region = region ? region : schema_text(details, "region");
    region = region ? region : "us-east-1";
    if (!is_of(bucket, letters, 63))
        return unusable("bucket", target, err);
    if (!is_of(region, letters, 63))
        return unusable("region", target, err);
    if (endpoint && !endpoint_is_usable(endpoint))
        return unusable("endpoint_url", target, err);
    if (!schema_text(secrets, "aws_access_key_id") || !schema_text(secrets, "aws_secret_access_key"))
        return unusable("secrets", target, err);
    s3->retries = retries < 0 ? 0 : retries > RETRIES_MAX ? RETRIES_MAX : (int)retries;
    object_url(s3, endpoint, region, bucket, location);
    s3->easy = curl_easy_init();
    if (!s3->easy)
        abort();
    easy_setup(s3, region, secrets);
    return 0;
}

static void s3_close(struct s3 *s3)
{
    curl_easy_cleanup(s3->easy);
    buf_free(&s3->answer);
}

static int s3_open(struct s3 *s3, const struct store_target *target, const char *location, struct err *err)
{
    _cleanup_(json_object_putp) json_object *details = json_tokener_parse(target->details ? target->details : "{}");
    _cleanup_(json_object_putp) json_object *secrets = json_tokener_parse(target->secrets ? target->secrets : "{}");

    if (!json_object_is_type(details, json_type_object))
        return unusable("details", target, err);
    if (!json_object_is_type(secrets, json_type_object))
        return unusable("secrets", target, err);
    return s3_setup(s3, target, details, secrets, location, err);
}

/* --- one call ------------------------------------------------------------------------------------------------ */

static size_t answer_take(char *bytes, size_t one, size_t length, void *context)
{
    struct buf *answer = context;

    (void)one;
    buf_add(answer, bytes, length);
    return answer->overflow ? 0 : length;
}

/* What stands in the answer's first element of this name, if it is words that may be repeated; else "". */
static const char *element(const struct buf *answer, const char *name, char text[WORD_BYTES])
{
    char open[64];
    const char *start;
    size_t length;

    snprintf(open, sizeof(open), "<%s>", name);
    start = answer->data ? strstr(answer->data, open) : NULL;
    start = start ? start + strlen(open) : "";
    length = strcspn(start, "<& \r\n\"");
    snprintf(text, WORD_BYTES, "%.*s", (int)length, start[length] == '<' && length < WORD_BYTES ? start : "");
    return text;
}

static enum err_code code_of(long status, const char *word)
{
    static const struct {
        const char *word;
        enum err_code code;
    } words[] = {
        { "NoSuchKey", ERR_NOT_FOUND },       { "RequestTimeout", ERR_UNAVAILABLE },
        { "SlowDown", ERR_UNAVAILABLE },      { "InternalError", ERR_UNAVAILABLE },
        { "NoSuchBucket", ERR_REFUSED },      { "PreconditionFailed", ERR_UNAVAILABLE },
        { "NoSuchUpload", ERR_UNAVAILABLE },  { "OperationAborted", ERR_UNAVAILABLE },
    };

    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (!strcmp(words[i].word, word))
            return words[i].code;
    if (status == 404)
        return ERR_NOT_FOUND;
    return status >= 500 || status == 408 || status == 412 || status == 429 ? ERR_UNAVAILABLE : ERR_REFUSED;
}

/* An answer of 200 may hold an error all the same: what completes an upload begins to answer before it is done. */
static int s3_judge(const struct s3 *s3, struct err *err)
{
    char word[WORD_BYTES];
    enum err_code code;

    if (s3->status / 100 == 2 && !(s3->answer.length < ANSWER_BYTES && s3->answer.data &&
                                   strstr(s3->answer.data, "<Error>")))
        return 0;
    element(&s3->answer, "Code", word);
    code = code_of(s3->status / 100 == 2 ? 503 : s3->status, word);
    err_set(err, code, "The bucket answered %ld%s%s.", s3->status, *word ? " " : "", word);
    snprintf(err->cause, sizeof(err->cause), "s3: %ld %s", s3->status, word);
    return -(int)code;
}

static void header_add(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*list, header);

    if (!longer)
        abort();
    *list = longer;
}

static struct curl_slist *call_headers(const struct call *call)
{
    unsigned char hash[crypto_hash_sha256_BYTES];
    char hex[crypto_hash_sha256_BYTES * 2 + 1], line[WORD_BYTES];
    struct curl_slist *list = NULL;

    crypto_hash_sha256(hash, call->body ? call->body : (const unsigned char *)"", call->length);
    snprintf(line, sizeof(line), "x-amz-content-sha256: %s", sodium_bin2hex(hex, sizeof(hex), hash, sizeof(hash)));
    header_add(&list, line);
    if (call->body)
        header_add(&list, "Content-Type: application/octet-stream");
    for (size_t i = 0; i < COUNT_OF(call->headers) && call->headers[i]; i++)
        header_add(&list, call->headers[i]);
    return list;
}

static void call_setup(struct s3 *s3, const struct call *call, const char *url, struct curl_slist *headers)
{
    /* Bodies go as a POST's fields, whatever the method: so they are in memory, and sent again where one must. */
    curl_easy_setopt(s3->easy, CURLOPT_HTTPGET, 1L);
    if (call->body) {
        curl_easy_setopt(s3->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(s3->easy, CURLOPT_POSTFIELDS, call->body);
        curl_easy_setopt(s3->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->length);
    }
    curl_easy_setopt(s3->easy, CURLOPT_CUSTOMREQUEST, call->method);
    curl_easy_setopt(s3->easy, CURLOPT_URL, url);
    curl_easy_setopt(s3->easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(s3->easy, CURLOPT_WRITEFUNCTION, answer_take);
    curl_easy_setopt(s3->easy, CURLOPT_WRITEDATA, &s3->answer);
}

static int s3_try(struct s3 *s3, struct err *err)
{
    CURLcode code;

    buf_clear(&s3->answer);
    s3->words[0] = '\0';
    code = curl_easy_perform(s3->easy);
    if (code != CURLE_OK) {
        const char *words = *s3->words ? s3->words : curl_easy_strerror(code);

        err_set(err, ERR_UNAVAILABLE, "The bucket can't be reached: %s", curl_easy_strerror(code));
        snprintf(err->cause, sizeof(err->cause), "s3: %.*s", (int)sizeof(err->cause) - 8, words);
        return -ERR_UNAVAILABLE;
    }
    curl_easy_getinfo(s3->easy, CURLINFO_RESPONSE_CODE, &s3->status);
    return s3_judge(s3, err);
}

static int s3_call(struct s3 *s3, const struct call *call, struct err *err)
{
    _cleanup_(curl_slist_free_allp) struct curl_slist *headers = call_headers(call);
    char url[URL_BYTES + WORD_BYTES * 4];
    int r = -ERR_UNAVAILABLE;

    snprintf(url, sizeof(url), "%s%s%s", s3->url, call->query ? "?" : "", call->query ? call->query : "");
    s3->answer.max = call->answer_max ? call->answer_max : ANSWER_BYTES;
    call_setup(s3, call, url, headers);
    for (int i = 0; i <= s3->retries && r == -ERR_UNAVAILABLE; i++)
        r = s3_try(s3, err);
    curl_easy_setopt(s3->easy, CURLOPT_HTTPHEADER, NULL);
    return r;
}

/* A header of the last answer; "" when there is none, or it is longer than any that we ask for. */
static const char *s3_header(struct s3 *s3, const char *name, char text[WORD_BYTES])
{
    struct curl_header *header;
    bool there = curl_easy_header(s3->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK;

    snprintf(text, WORD_BYTES, "%s", there && strlen(header->value) < WORD_BYTES ? header->value : "");
    return text;
}

/* --- writing -------------------------------------------------------------------------------------------------- */

struct upload {
    struct s3 s3;
    char *id; /* of an upload in parts, encoded for a query; NULL: none begun */
    int parts;
    struct buf list; /* of parts, for the end */
    size_t length;
    uint8_t part[PART_BYTES];
};

static void upload_free(struct upload *upload)
{
    s3_close(&upload->s3);
    buf_free(&upload->list);
    curl_free(upload->id);
    free(upload);
}

static int s3_begin(const struct store_target *target, const char *location, void **handle, struct err *err)
{
    struct upload *upload = calloc(1, sizeof(*upload));
    int r;

    if (!upload)
        abort();
    upload->list = BUF_INIT(PARTS_LIST_BYTES);
    r = s3_open(&upload->s3, target, location, err);
    if (r < 0)
        upload_free(upload);
    else
        *handle = upload;
    return r;
}

static int parts_begin(struct upload *upload, struct err *err)
{
    const struct call call = { .method = "POST", .query = "uploads=", .body = "" };
    char id[WORD_BYTES];
    int r = s3_call(&upload->s3, &call, err);

    if (r < 0)
        return r;
    if (!*element(&upload->s3.answer, "UploadId", id))
        return err_set(err, ERR_REFUSED, "The bucket begins no upload in parts.");
    upload->id = curl_easy_escape(upload->s3.easy, id, 0);
    if (!upload->id)
        abort();
    buf_adds(&upload->list, "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    return 0;
}

static int part_note(struct upload *upload, struct err *err)
{
    char etag[WORD_BYTES];

    s3_header(&upload->s3, "etag", etag);
    if (!*etag || strpbrk(etag, "<>&"))
        return err_set(err, ERR_REFUSED, "The bucket names no part that it took.");
    buf_printf(&upload->list, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", upload->parts, etag);
    return 0;
}

static int part_put(struct upload *upload, struct err *err)
{
    char query[WORD_BYTES * 3 + 32];
    struct call call = { .method = "PUT", .query = query, .body = upload->part, .length = upload->length };
    int r = upload->id ? 0 : parts_begin(upload, err);

    if (r < 0)
        return r;
    if (++upload->parts > PARTS_MAX)
        return err_set(err, ERR_REFUSED, "A package has more than %d parts of %d bytes.", PARTS_MAX, PART_BYTES);
    snprintf(query, sizeof(query), "partNumber=%d&uploadId=%s", upload->parts, upload->id);
    r = s3_call(&upload->s3, &call, err);
    upload->length = 0;
    return r < 0 ? r : part_note(upload, err);
}

static int s3_put(void *handle, const void *bytes, size_t length, struct err *err)
{
    struct upload *upload = handle;
    const uint8_t *at = bytes;
    int r = 0;

    while (r == 0 && length) {
        size_t some = PART_BYTES - upload->length < length ? PART_BYTES - upload->length : length;

        if (!some) {
            r = part_put(upload, err);
            continue;
        }
        memcpy(upload->part + upload->length, at, some);
        upload->length += some;
        at += some;
        length -= some;
    }
    return r;
}

static int parts_finish(struct upload *upload, struct err *err)
{
    char query[WORD_BYTES * 3 + 32];
    struct call call = { .method = "POST", .query = query };
    int r = part_put(upload, err);

    if (r < 0)
        return r;
    buf_adds(&upload->list, "</CompleteMultipartUpload>");
    if (upload->list.overflow)
        return err_cause(err, ERR_INTERNAL, "s3: the list of parts is too long");
    snprintf(query, sizeof(query), "uploadId=%s", upload->id);
    call.body = upload->list.data;
    call.length = upload->list.length;
    return s3_call(&upload->s3, &call, err);
}

/* Best effort: a bucket's lifecycle rule for incomplete uploads takes what is left all the same. */
static void s3_abandon(void *handle)
{
    struct upload *upload = handle;
    char query[WORD_BYTES * 3 + 32];
    const struct call call = { .method = "DELETE", .query = query };
    struct err err;

    if (upload->id) {
        snprintf(query, sizeof(query), "uploadId=%s", upload->id);
        (void)!s3_call(&upload->s3, &call, &err);
    }
    upload_free(upload);
}

static int s3_finish(void *handle, struct err *err)
{
    struct upload *upload = handle;
    const struct call whole = { .method = "PUT", .body = upload->part, .length = upload->length };
    int r = upload->id ? parts_finish(upload, err) : s3_call(&upload->s3, &whole, err);

    if (r < 0)
        s3_abandon(upload);
    else
        upload_free(upload);
    return r;
}

/* --- reading --------------------------------------------------------------------------------------------------- */

struct download {
    struct s3 s3;         /* the answer is the range that was read last */
    char etag[WORD_BYTES]; /* so that all ranges are of one object; "" before the first */
    size_t at;             /* in the range */
    long long next, total; /* of the object; total -1: not known yet */
};

static void s3_close_read(void *handle)
{
    struct download *download = handle;

    s3_close(&download->s3);
    free(download);
}

/* "bytes 0-99/1234"; a bucket that gives all at once instead has given all. */
static int range_note(struct download *download, struct err *err)
{
    char text[WORD_BYTES];
    const char *slash = strrchr(s3_header(&download->s3, "content-range", text), '/');
    long long length = (long long)download->s3.answer.length;

    if (download->s3.status == 206 && slash)
        download->total = strtoll(slash + 1, NULL, 10);
    else
        download->total = length;
    download->at = 0;
    download->next += length;
    s3_header(&download->s3, "etag", download->etag);
    if (download->next > download->total || (!length && download->next < download->total))
        return err_set(err, ERR_UNAVAILABLE, "The bucket gives another range than it was asked for.");
    return 0;
}

static int range_get(struct download *download, struct err *err)
{
    char range[WORD_BYTES], match[WORD_BYTES + 16];
    const struct call call = { .method = "GET",
                               .headers = { range, *download->etag ? match : NULL },
                               .answer_max = PART_BYTES };
    int r;

    snprintf(range, sizeof(range), "Range: bytes=%lld-%lld", download->next, download->next + PART_BYTES - 1);
    snprintf(match, sizeof(match), "If-Match: %s", download->etag);
    r = s3_call(&download->s3, &call, err);
    return r < 0 ? r : range_note(download, err);
}

static int s3_open_read(const struct store_target *target, const char *location, void **handle, struct err *err)
{
    struct download *download = calloc(1, sizeof(*download));
    int r;

    if (!download)
        abort();
    download->total = -1;
    r = s3_open(&download->s3, target, location, err);
    if (r == 0)
        r = range_get(download, err);
    if (r < 0)
        s3_close_read(download);
    else
        *handle = download;
    return r;
}

static int64_t s3_get(void *handle, void *buffer, size_t size, struct err *err)
{
    struct download *download = handle;
    size_t length = 0;

    while (length < size) {
        size_t left = download->s3.answer.length - download->at;
        size_t some = left < size - length ? left : size - length;
        int r = 0;

        if (!left && download->next == download->total)
            break;
        if (!left)
            r = range_get(download, err);
        if (r < 0)
            return r;
        if (some)
            memcpy((char *)buffer + length, download->s3.answer.data + download->at, some);
        download->at += some;
        length += some;
    }
    return (int64_t)length;
}

static int s3_remove(const struct store_target *target, const char *location, struct err *err)
{
    const struct call call = { .method = "DELETE" };
    struct s3 s3 = { 0 };
    int r = s3_open(&s3, target, location, err);

    if (r == 0)
        r = s3_call(&s3, &call, err);
    s3_close(&s3);
    return r == -ERR_NOT_FOUND ? 0 : r;
}

const struct store_kind store_s3 = {
    .type = "s3",
    .begin = s3_begin,
    .put = s3_put,
    .finish = s3_finish,
    .abandon = s3_abandon,
    .open = s3_open_read,
    .get = s3_get,
    .close = s3_close_read,
    .remove = s3_remove,
};
