#include "producer/serve_body.h"

#include "common/json.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BAD_JSON 400
#define TOO_LARGE 413
#define BAD_JOB 422
#define NO_MEMORY 500
#define NOT_NOW 503

int mr_body_kind(const char *type, enum mr_body_kind *ret)
{
    static const struct {
        const char *name;
        enum mr_body_kind kind;
    } kinds[] = {{"application/json", MR_BODY_JSON}, {"application/x-ndjson", MR_BODY_NDJSON},
        {"application/ndjson", MR_BODY_NDJSON}, {"application/jsonl", MR_BODY_NDJSON}};
    size_t n = type ? strcspn(type, "; \t") : 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strlen(kinds[i].name) == n && strncasecmp(kinds[i].name, type, n) == 0) {
            *ret = kinds[i].kind;
            return 0;
        }
    return -EINVAL;
}

/* ---- faults ---- */

void mr_fault_deinit(struct mr_fault *fault)
{
    free(fault->detail);
    *fault = (struct mr_fault){0};
}

MR_PRINTF(4, 5)
static void set_fault(
    struct mr_fault *fault, unsigned status, const char *field, const char *fmt, ...)
{
    va_list args;
    mr_fault_deinit(fault);
    fault->status = status;
    snprintf(fault->field, sizeof(fault->field), "%s", field);
    va_start(args, fmt);
    if (vasprintf(&fault->detail, fmt, args) < 0)
        fault->detail = NULL;
    va_end(args);
}

static size_t word(const char *s)
{
    size_t n = 0;
    while (isalnum((unsigned char)s[n]) || (s[n] && strchr("_.-", s[n])))
        n++;
    return n;
}

/* Messages about jobs begin with their field: "input.url: longer than ...". Of a key that is not
 * known the message holds the name. */
static void blame(struct mr_fault *fault, unsigned status, const char *msg)
{
    static const char unknown[] = "the key \"";
    char field[MR_FIELD_MAX] = "";
    size_t n = word(msg);
    if (n > 0 && n < sizeof(field) && strncmp(msg + n, ": ", 2) == 0) {
        snprintf(field, sizeof(field), "%.*s", (int)n, msg);
        msg += n + 2;
    } else if (strncmp(msg, "metadata", 8) == 0) {
        snprintf(field, sizeof(field), "metadata");
    }
    if (strncmp(msg, unknown, strlen(unknown)) == 0) {
        const char *key = msg + strlen(unknown);
        size_t used = strlen(field), len = word(key);
        if (len > 0 && key[len] == '"' && used + len + 1 < sizeof(field))
            snprintf(field + used, sizeof(field) - used, "%s%.*s", used ? "." : "", (int)len, key);
    }
    set_fault(fault, status, field, "%s", msg);
}

static unsigned status_of(int r)
{
    return r == -EMSGSIZE ? TOO_LARGE : r == -EINVAL ? BAD_JOB : NO_MEMORY;
}

/* ---- jobs ---- */

struct mr_uuid mr_id_of_key(const char *tenant, const char *key)
{
    char text[MR_NAME_MAX + 4 * MR_IDEMPOTENCY_KEY_MAX + 32];
    /* No name has a blank. What is longer than this is refused anyway. */
    int n = snprintf(text, sizeof(text), "idempotency %s %s", tenant, key);
    return mr_uuid_of_bytes(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

/* 0 or -ENOMEM. Values of a wrong type are found later, by who checks them all. */
static int add_id_of_key(const struct mr_job_plan *plan, json_t *object)
{
    const char *key = json_string_value(json_object_get(object, "idempotency_key"));
    const char *tenant = json_string_value(json_object_get(object, "tenant"));
    char text[MR_UUID_LEN];
    if (!key || json_object_get(object, "id"))
        return 0;
    struct mr_uuid id = mr_id_of_key(tenant ? tenant : plan->tenant, key);
    mr_uuid_format(&id, text);
    return json_object_set_new(object, "id", json_string(text)) < 0 ? -ENOMEM : 0;
}

static void make_job(const struct mr_job_plan *plan, json_t *object, struct mr_entry *entry)
{
    struct mr_err err;
    int r = json_is_object(object) ? add_id_of_key(plan, object) : 0;
    if (r == 0)
        r = mr_job_of_object(plan, "", object, &entry->shipment, &err);
    else
        mr_err_set(&err, r, MR_CLASS_INTERNAL, "out of memory");
    if (r < 0)
        blame(&entry->fault, status_of(r), err.msg);
    else
        mr_uuid_format(&entry->shipment->id, entry->id);
}

static int no_memory(struct mr_fault *ret_fault)
{
    set_fault(ret_fault, NO_MEMORY, "", "out of memory");
    return 1;
}

/* The header's key, unless the job has the same one. `"a"`, as the header's grammar wants it, is
 * the key a. 0, or 1 with the fault. */
static int add_key(json_t *object, const char *header, struct mr_fault *ret_fault)
{
    size_t n = strlen(header);
    bool quoted = n >= 2 && header[0] == '"' && header[n - 1] == '"';
    MR_CLEANUP(mr_json_decrefp) json_t *key = json_stringn(header + quoted, n - 2 * quoted);
    json_t *own = json_object_get(object, "idempotency_key");
    if (!key)
        set_fault(ret_fault, BAD_JOB, "Idempotency-Key", "not valid UTF-8");
    else if (own && !json_equal(own, key))
        set_fault(ret_fault, BAD_JOB, "Idempotency-Key", "the job has another idempotency_key");
    else if (!json_is_object(object) || json_object_set(object, "idempotency_key", key) == 0)
        return 0;
    else
        return no_memory(ret_fault);
    return 1;
}

/* ---- bodies ---- */

void mr_body_deinit(struct mr_body *body)
{
    for (size_t i = 0; i < body->count; i++) {
        mr_shipment_free(body->entries[i].shipment);
        mr_fault_deinit(&body->entries[i].fault);
    }
    free(body->entries);
    *body = (struct mr_body){NULL};
}

static int too_many(size_t max_jobs, struct mr_fault *ret_fault)
{
    set_fault(
        ret_fault, TOO_LARGE, "", "more than %zu jobs; send them in several requests", max_jobs);
    return 1;
}

static int read_json(const struct mr_job_plan *plan, const char *bytes, size_t n, size_t max_jobs,
    const char *key, struct mr_body *body, struct mr_fault *ret_fault)
{
    struct mr_err err;
    MR_CLEANUP(mr_json_decrefp) json_t *root = NULL;
    if (mr_json_parse(bytes, n, MR_ENVELOPE_MAX_DEPTH + 1, &root, &err) < 0) {
        set_fault(ret_fault, BAD_JSON, "", "%s", err.msg);
        return 1;
    }
    body->single = !json_is_array(root);
    size_t count = body->single ? 1 : json_array_size(root);
    if (count > max_jobs)
        return too_many(max_jobs, ret_fault);
    if (body->single && key && add_key(root, key, ret_fault) != 0)
        return 1;
    body->entries = calloc(count + 1, sizeof(body->entries[0]));
    if (!body->entries)
        return no_memory(ret_fault);
    for (; body->count < count; body->count++)
        make_job(plan, body->single ? root : json_array_get(root, body->count),
            &body->entries[body->count]);
    return 0;
}

static void read_line(const struct mr_job_plan *plan, const char *line, size_t n, size_t number,
    struct mr_entry *entry)
{
    struct mr_err err;
    MR_CLEANUP(mr_json_decrefp) json_t *object = NULL;
    if (mr_json_parse(line, n, MR_ENVELOPE_MAX_DEPTH, &object, &err) < 0)
        set_fault(&entry->fault, BAD_JSON, "", "line %zu of the body: %s", number, err.msg);
    else
        make_job(plan, object, entry);
}

static bool is_blank(const char *line, size_t n)
{
    return strspn(line, " \t\r") >= n;
}

/* The bytes are NUL-terminated, and is_blank stops at the line's end. */
static int read_lines(const struct mr_job_plan *plan, const char *bytes, size_t n, size_t max_jobs,
    struct mr_body *body, struct mr_fault *ret_fault)
{
    size_t room = 0, number = 0;
    for (const char *line = bytes, *end = bytes + n, *next; line < end; line = next) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        next = stop ? stop + 1 : end;
        number++;
        if (is_blank(line, len))
            continue;
        if (body->count == max_jobs)
            return too_many(max_jobs, ret_fault);
        if (body->count == room) {
            room = room ? 2 * room : 64;
            struct mr_entry *entries = reallocarray(body->entries, room, sizeof(entries[0]));
            if (!entries)
                return no_memory(ret_fault);
            body->entries = entries;
        }
        body->entries[body->count] = (struct mr_entry){.id = ""};
        read_line(plan, line, len, number, &body->entries[body->count++]);
    }
    return 0;
}

int mr_body_read(const struct mr_job_plan *plan, enum mr_body_kind kind, const char *bytes,
    size_t n, size_t max_jobs, const char *key, struct mr_body *ret, struct mr_fault *ret_fault)
{
    struct mr_body body = {NULL};
    int r = kind == MR_BODY_NDJSON ? read_lines(plan, bytes, n, max_jobs, &body, ret_fault)
                                   : read_json(plan, bytes, n, max_jobs, key, &body, ret_fault);
    if (r == 0 && body.count == 0) {
        set_fault(ret_fault, BAD_JOB, "", "there is no job in it");
        r = 1;
    }
    if (r == 0 && key && !body.single) {
        set_fault(ret_fault, BAD_JOB, "Idempotency-Key",
            "is for one job: give each of several its own \"idempotency_key\"");
        r = 1;
    }
    if (r != 0)
        mr_body_deinit(&body);
    else
        *ret = body;
    return r;
}

/* ---- answers ---- */

void mr_entry_decide(struct mr_entry *entry, enum mr_post_fate fate, const char *why)
{
    switch (fate) {
    case MR_POST_CONFIRMED:
        return;
    case MR_POST_NOT:
        set_fault(&entry->fault, NOT_NOW, "", "not accepted: %s", why);
        return;
    case MR_POST_UNKNOWN:
        entry->unknown = true;
        set_fault(&entry->fault, NOT_NOW, "",
            "not confirmed, and may run all the same: %s; sent again with this id, or with an "
            "idempotency key, it runs once",
            why);
        return;
    }
}

static void add_text(json_t *object, const char *key, const char *text)
{
    if (text && *text)
        json_object_set_new(object, key, json_string(text));
}

static json_t *entry_json(const struct mr_entry *entry)
{
    json_t *object = json_object();
    json_object_set_new(
        object, "status", json_integer(entry->fault.status ? entry->fault.status : 202));
    if (entry->fault.status == 0 || entry->unknown)
        add_text(object, "job", entry->id);
    add_text(object, "field", entry->fault.field);
    add_text(object, "detail", entry->fault.detail);
    return object;
}

static struct mr_verdict verdict_of_one(const struct mr_entry *entry)
{
    const struct mr_fault *fault = &entry->fault;
    struct mr_verdict verdict = {.status = 202, .json = json_object()};
    if (fault->status) {
        verdict.status = fault->status;
        verdict.fault = fault;
        verdict.retry = fault->status == NOT_NOW;
        add_text(verdict.json, "field", fault->field);
    }
    if (!fault->status || entry->unknown)
        add_text(verdict.json, "job", entry->id);
    return verdict;
}

struct mr_verdict mr_body_verdict(const struct mr_body *body)
{
    if (body->single)
        return verdict_of_one(&body->entries[0]);
    const struct mr_fault *first = &body->entries[0].fault;
    struct mr_verdict verdict = {.status = first->status ? first->status : 202};
    json_t *jobs = json_array();
    for (size_t i = 0; i < body->count; i++) {
        const struct mr_entry *entry = &body->entries[i];
        if (entry->fault.status != first->status)
            verdict.status = 207;
        verdict.retry |= entry->fault.status == NOT_NOW;
        json_array_append_new(jobs, entry_json(entry));
    }
    if (verdict.status != 202 && verdict.status != 207)
        verdict.fault = first;
    verdict.json = json_pack("{s:o}", "jobs", jobs);
    return verdict;
}
