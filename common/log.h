/* One JSON object a line on a descriptor. Values are typed fields; there is no way to pass a
 * secret, and callers never pass document text or prompts. Control characters and invalid UTF-8 are
 * escaped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum mr_level { MR_DEBUG, MR_INFO, MR_WARN, MR_ERROR };

struct mr_log {
    int fd;
    _Atomic enum mr_level level; /* below it nothing is written; may change while threads log */
    const char *program;         /* "millrace-worker" */
};

struct mr_field {
    const char *key;
    enum { MR_FIELD_STR, MR_FIELD_INT, MR_FIELD_BOOL } type;
    const char *s; /* NULL: the field is left out */
    int64_t i;
};

#define MR_STR(k, v) ((struct mr_field){.key = (k), .type = MR_FIELD_STR, .s = (v)})
#define MR_INT(k, v) ((struct mr_field){.key = (k), .type = MR_FIELD_INT, .i = (v)})
#define MR_BOOL(k, v) ((struct mr_field){.key = (k), .type = MR_FIELD_BOOL, .i = (v)})

/* mr_log(log, MR_INFO, "job.done", MR_STR("job", id), MR_INT("cost_pico", cost));
 * event is a fixed dotted word. Lines over 8 KiB are cut inside the longest string, and stay valid
 * JSON. */
#define mr_log(log, level, event, ...)                                                             \
    mr_log_fields(log, level, event, (struct mr_field[]){__VA_ARGS__ __VA_OPT__(, ){NULL}})

void mr_log_fields(const struct mr_log *log, enum mr_level level, const char *event,
    const struct mr_field *fields);

/* "debug" | "info" | "warn" | "error"; returns -1 for anything else. */
int mr_level_parse(const char *name);
