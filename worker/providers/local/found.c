#include "worker/providers/local/found.h"

#include "worker/providers/wire.h"

#include <stdlib.h>
#include <string.h>

static const char *const entity_names[] = {
    [MR_ENTITY_PERSON] = "person",
    [MR_ENTITY_ORGANIZATION] = "organization",
    [MR_ENTITY_LOCATION] = "location",
    [MR_ENTITY_DATE] = "date",
    [MR_ENTITY_MONEY] = "money",
    [MR_ENTITY_PERCENT] = "percent",
    [MR_ENTITY_EMAIL] = "email",
    [MR_ENTITY_URL] = "url",
    [MR_ENTITY_PHONE] = "phone",
    [MR_ENTITY_IBAN] = "iban",
    [MR_ENTITY_CARD] = "card",
    [MR_ENTITY_OTHER] = "other",
};

static int by_position(const void *a, const void *b)
{
    const struct mr_span *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* Equal but for the kind and amount of white space: a name may be broken over two lines. */
static bool is_same(const char *a, const char *a_end, const char *b, const char *b_end)
{
    while (a < a_end && b < b_end) {
        if (is_blank(*a) && is_blank(*b)) {
            while (a < a_end && is_blank(*a))
                a++;
            while (b < b_end && is_blank(*b))
                b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return a == a_end && b == b_end;
}

static bool is_repeat(
    const struct mr_span *kept, size_t n, const struct mr_span *span, const char *bytes)
{
    const char *text = bytes + span->at;
    for (size_t i = 0; i < n; i++) {
        const char *other = bytes + kept[i].at;
        if (kept[i].entity == span->entity &&
            is_same(other, other + kept[i].len, text, text + span->len))
            return true;
    }
    return false;
}

static int put_entity(struct mr_buf *buf, const struct mr_span *span, const char *bytes)
{
    struct mr_buf tidy MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(4 * MR_ENTITY_BYTES_MAX);
    int rc = mr_local_text_tidy(&tidy, bytes + span->at, span->len);
    if (rc == 0)
        rc = mr_buf_puts(buf, "{\"type\":\"");
    if (rc == 0)
        rc = mr_buf_puts(buf, entity_names[span->entity]);
    if (rc == 0)
        rc = mr_buf_puts(buf, "\",\"text\":");
    if (rc == 0)
        rc = mr_wire_string(buf, tidy.data, tidy.len);
    return rc == 0 ? mr_buf_putc(buf, '}') : rc;
}

int mr_found_write(struct mr_found *found, const char *bytes, struct mr_buf *buf)
{
    qsort(found->spans, found->count, sizeof(found->spans[0]), by_position);
    size_t kept = 0;
    int rc = mr_buf_puts(buf, "{\"entities\":[");
    for (size_t i = 0; i < found->count && kept < MR_ENTITIES_MAX && rc == 0; i++) {
        const struct mr_span span = found->spans[i];
        if (is_repeat(found->spans, kept, &span, bytes))
            continue;
        found->spans[kept] = span;
        if (kept++ > 0)
            rc = mr_buf_putc(buf, ',');
        if (rc == 0)
            rc = put_entity(buf, &span, bytes);
    }
    found->count = kept;
    return rc == 0 ? mr_buf_puts(buf, "]}") : rc;
}
