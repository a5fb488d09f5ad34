#include "common/embed.h"
#include "common/envelope.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/test.h"

#include <errno.h>

#define ID "019357ab-cdef-7123-89ab-0123456789ab"
#define NAME_64 "a123456789a123456789a123456789a123456789a123456789a123456789abcd"

/* The smallest good envelope with one key set to this JSON, or taken away (NULL). */
struct variant {
    const char *key, *json;
    const char *says; /* part of the error; NULL: the envelope is good */
};

static const struct variant corpus[] = {
    {"v", "1", NULL},
    {"v", "1.0", NULL},
    {"v", "2", "v: envelope version 2 is not understood, this build understands version 1"},
    {"v", "0", "this build understands version 1"},
    {"v", "\"1\"", "v: must be the integer 1"},
    {"v", "1.5", "v: must be the integer 1"},
    {"v", "null", "v: must be the integer 1"},
    {"v", NULL, "v: is missing"},
    {"id", "\"019357AB-CDEF-7123-89AB-0123456789AB\"", NULL},
    {"id", "\"019357abcdef712389ab0123456789ab\"", "id: must be a UUID"},
    {"id", "\"" ID "\\n\"", "id: must be a UUID"},
    {"id", "7", "id: must be a UUID"},
    {"id", NULL, "id: is missing"},
    {"tenant", "\"A.b_c-9\"", NULL},
    {"tenant", "\"" NAME_64 "\"", NULL},
    {"tenant", "\"" NAME_64 "e\"", "tenant: longer than 64 characters"},
    {"tenant", "\"\"", "tenant: must not be empty"},
    {"tenant", "\"a\\\"b\"", "tenant: '\"' at position 2"},
    {"tenant", "\"a\\nb\"", "tenant: byte 0x0a at position 2"},
    {"tenant", "\"a\\n\"", "tenant: byte 0x0a at position 2"},
    {"tenant", "\"a'; drop table jobs\"", "tenant: ''' at position 2"},
    {"tenant", "\"caf\xc3\xa9\"", "tenant: byte 0xc3 at position 4"},
    {"tenant", "[\"a\"]", "tenant: must be a string"},
    {"tenant", NULL, "tenant: is missing"},
    {"pipeline", "\"-x\"", "pipeline: '-' at position 1"},
    {"pipeline", "null", "pipeline: must be a string"},
    {"pipeline", NULL, "pipeline: is missing"},
    {"priority", "1", NULL},
    {"priority", "10", NULL},
    {"priority", "7.0", NULL},
    {"priority", "11", "priority: must be an integer from 1 to 10"},
    {"priority", "0", "priority: must be"},
    {"priority", "-1", "priority: must be"},
    {"priority", "5.5", "priority: must be"},
    {"priority", "1e300", "priority: must be"},
    {"priority", "\"5\"", "priority: must be"},
    {"priority", "null", "priority: must be"},
    {"created_at", "\"2026-11-20T18:00:00.123Z\"", NULL},
    {"created_at", "\"2026-11-20 18:00:00+02:00\"", NULL},
    {"created_at", "\"2024-02-29t18:00:00z\"", NULL},
    {"created_at", "\"1999-11-20T18:00:00Z\"", "created_at: the year must be 2000 to 2999"},
    {"created_at", "\"2000-01-01T00:00:00Z\"", NULL},
    {"created_at", "\"2999-12-31T23:59:59.999Z\"", NULL},
    {"created_at", "\"1970-01-01T00:00:00Z\"", "created_at: the year must be 2000 to 2999"},
    {"created_at", "\"3000-01-01T00:00:00Z\"", "created_at: the year must be 2000 to 2999"},
    {"created_at", "\"2026-11-31T18:00:00Z\"", "created_at: must be a time"},
    {"created_at", "\"2026-13-01T18:00:00Z\"", "created_at: must be a time"},
    {"created_at", "1795197600", "created_at: must be a time"},
    {"deadline", "\"2026-11-20T18:00:00Z\"", NULL},
    {"deadline", "\"2026-11-20\"", "deadline: must be a time"},
    {"deadline", "\"2026-11-20T24:00:00Z\"", "deadline: must be a time"},
    {"deadline", "\"2026-11-20T18:00:00Z\\n\"", "deadline: must be a time"},
    {"deadline", "\"2026-11-20T18:00:00\"", "deadline: must be a time"},
    {"idempotency_key", "\"invoice 17 / M\xc3\xbcller\"", NULL},
    {"idempotency_key", "\"\"", "idempotency_key: must not be empty"},
    {"idempotency_key", "\"a\\tb\"", "idempotency_key: control characters"},
    {"idempotency_key", "\"a\\u007f\"", "idempotency_key: control characters"},
    {"idempotency_key", "17", "idempotency_key: must be a string"},
    {"metadata", "{}", NULL},
    {"metadata", "{\"a\":\"\",\"b\":1,\"c\":-2.5,\"d\":false,\"e f\":\"x\\ny\"}", NULL},
    {"metadata", "{\"a\":null}", "metadata.a: must be a string, a number or a boolean"},
    {"metadata", "{\"a\":{}}", "metadata.a: must be"},
    {"metadata", "{\"a\":[1]}", "metadata.a: must be"},
    {"metadata", "{\"\":1}", "metadata: a key must not be empty"},
    {"metadata", "{\"" NAME_64 "\":1}", NULL},
    {"metadata", "{\"" NAME_64 "e\":1}", "metadata: the key \"" NAME_64},
    {"metadata", "[]", "metadata: must be an object"},
    {"metadata", "null", "metadata: must be an object"},
    {"metadata", "{\"a\":[[[[[[[[[1]]]]]]]]]}", "nested deeper than 8 levels"},
    {"watch", "true", NULL},
    {"watch", "1", "watch: must be true or false"},
    {"input", "{\"text\":\"hello\"}", NULL},
    {"input", "{\"text\":\"hello\",\"name\":\"a.md\",\"media_type\":\"text/markdown\"}", NULL},
    {"input", "{\"text\":\"\"}", "input.text: the document is empty"},
    {"input", "{\"text\":7}", "input.text: must be a string"},
    {"input", "{\"text\":\"a\\u0000b\"}", "not valid JSON"},
    {"input", "{\"text\":\"a\xff\"}", "not valid JSON"},
    {"input", "{\"text\":\"a\",\"url\":\"https://a/\"}", "input: holds more than one of"},
    {"input", "{\"text\":\"a\",\"base64\":\"QQ==\"}", "input: holds more than one of"},
    {"input", "{\"text\":\"a\",\"text\":\"b\"}", "not valid JSON: duplicate"},
    {"input", "{\"text\":\"a\",\"path\":\"/etc/passwd\"}", "input: the key \"path\" is not known"},
    {"input", "{}", "input: must hold one of text, base64 and url"},
    {"input", "{\"name\":\"x\"}", "input: must hold one of"},
    {"input", "\"hello\"", "input: must be an object"},
    {"input", NULL, "input: is missing"},
    {"input", "{\"base64\":\"JVBERg==\",\"name\":\"a.pdf\",\"media_type\":\"application/pdf\"}",
        NULL},
    {"input", "{\"base64\":\"AAAA\"}", NULL},
    {"input", "{\"base64\":\"\"}", "input.base64: the document is empty"},
    {"input", "{\"base64\":\"JVBERg=\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":\"JVBERg\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":\"JVBE Rg==\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":\"JVBERg==\\n\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":\"JVBE_w==\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":\"====\"}", "input.base64: not valid base64"},
    {"input", "{\"base64\":false}", "input.base64: must be a string"},
    {"input", "{\"url\":\"https://example.org/a?b=c#d\"}", NULL},
    {"input", "{\"url\":\"HTTP://example.org\"}", NULL},
    {"input", "{\"url\":\"\"}", "input.url: the document is empty"},
    {"input", "{\"url\":\"file:///etc/passwd\"}", "input.url: must begin with https://"},
    {"input", "{\"url\":\"https://\"}", "input.url: must begin with https://"},
    {"input", "{\"url\":\"https://a b/\"}", "input.url: spaces"},
    {"input", "{\"url\":\"https://a/\\r\\nX: y\"}", "input.url: spaces"},
    {"input", "{\"url\":\"https://caf\xc3\xa9/\"}", "input.url: spaces"},
    {"input", "{\"text\":\"a\",\"name\":\"\"}", "input.name: must not be empty"},
    {"input", "{\"text\":\"a\",\"name\":\"../a\"}", "input.name: must be a file name"},
    {"input", "{\"text\":\"a\",\"name\":\"..\"}", "input.name: must be a file name"},
    {"input", "{\"text\":\"a\",\"name\":\".\"}", "input.name: must be a file name"},
    {"input", "{\"text\":\"a\",\"name\":\"..a\"}", NULL},
    {"input", "{\"text\":\"a\",\"name\":\"R\xc3\xa9sum\xc3\xa9 1.txt\"}", NULL},
    {"input", "{\"text\":\"a\",\"name\":\"a\\nb\"}", "input.name: control characters"},
    {"input", "{\"text\":\"a\",\"name\":null}", "input.name: must be a string"},
    {"input", "{\"text\":\"a\",\"media_type\":\"text/html; charset=utf-8\"}", NULL},
    {"input", "{\"text\":\"a\",\"media_type\":\"html\"}", "input.media_type: must look like"},
    {"input", "{\"text\":\"a\",\"media_type\":\"\"}", "input.media_type: must look like"},
    {"input", "{\"text\":\"a\",\"media_type\":\"text/\"}", "input.media_type: must look like"},
    {"input", "{\"text\":\"a\",\"media_type\":\"text/a\\nb\"}", "input.media_type: must look like"},
    {"input", "{\"text\":\"a\",\"media_type\":\"text/a;\\nb\"}",
        "input.media_type: only printable"},
    {"tenent", "\"acme\"", "the key \"tenent\" is not known"},
    {"", "1", "the key \"\" is not known"},
    {"V", "1", "the key \"V\" is not known"},
};

static const char *const others[] = {"", " ", "{", "[]", "null", "\"x\"", "7", "not json", "{}",
    "\xff\xfe{", "[[[[[[[[[]]]]]]]]]", "{\"v\":1}"};

static void write_variant(const struct variant *variant, struct mr_buf *buf)
{
    static const char *const base[][2] = {{"v", "1"}, {"id", "\"" ID "\""}, {"tenant", "\"acme\""},
        {"pipeline", "\"document\""}, {"input", "{\"text\":\"hello\"}"}};
    bool done = false;
    mr_buf_reset(buf);
    CHECK_INT(mr_buf_putc(buf, '{'), 0);
    for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++) {
        bool here = strcmp(base[i][0], variant->key) == 0;
        const char *json = here ? variant->json : base[i][1];
        done |= here;
        if (json)
            CHECK_INT(
                mr_buf_printf(buf, "%s\"%s\":%s", buf->len > 1 ? "," : "", base[i][0], json), 0);
    }
    if (!done)
        CHECK_INT(mr_buf_printf(buf, ",\"%s\":%s", variant->key, variant->json), 0);
    CHECK_INT(mr_buf_putc(buf, '}'), 0);
}

static int parse(const char *body, size_t n, struct mr_err *err)
{
    struct mr_envelope envelope = {.priority = 77};
    struct mr_envelope_salvage salvage;
    int r = mr_envelope_parse(body, n, &envelope, &salvage, err);
    if (r < 0)
        CHECK_INT(envelope.priority, 77);
    else
        mr_envelope_deinit(&envelope);
    return r;
}

static void judges_every_field(void)
{
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(10000);
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        struct mr_err err = {.msg = ""};
        write_variant(&corpus[i], &body);
        int r = parse(body.data, body.len, &err);
        if (r != (corpus[i].says ? -EINVAL : 0) || (r < 0 && !strstr(err.msg, corpus[i].says))) {
            fprintf(stderr, "# %s -> %d %s\n", body.data, r, err.msg);
            abort();
        }
        if (r < 0)
            CHECK_INT(err.class, MR_CLASS_INVALID);
    }
}

static void refuses_what_is_no_envelope(void)
{
    struct mr_err err;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        CHECK_INT(parse(others[i], strlen(others[i]), &err), -EINVAL);
    CHECK_INT(parse("", 0, &err), -EINVAL);
    CHECK_STR(err.msg, "the JSON document is empty");
    CHECK_INT(parse("[]", 2, &err), -EINVAL);
    CHECK_STR(err.msg, "the envelope must be a JSON object");
}

/* A JSON string of n characters in a body; `pattern` says where (%s). */
static void write_long(struct mr_buf *body, const char *before, size_t n, const char *after)
{
    mr_buf_reset(body);
    CHECK_INT(mr_buf_printf(body,
                  "{\"v\":1,\"id\":\"" ID "\",\"tenant\":\"a\",\"pipeline\":\"p\",%s\"", before),
        0);
    for (size_t i = 0; i < n; i++)
        CHECK_INT(mr_buf_puts(body, "\xc3\xa9"), 0);
    CHECK_INT(mr_buf_printf(body, "\"%s}", after), 0);
}

/* Judges the body; also that the schema file says the same, when there is a schema. */
static void check_both(const struct mr_schema *schema, const struct mr_buf *body, bool good)
{
    struct mr_err err = {.msg = ""}, schema_err = {.msg = ""};
    int r = parse(body->data, body->len, &err);
    int s = mr_schema_validate(schema, body->data, body->len, &schema_err);
    if ((r == 0) != good || (s == 0) != good) {
        fprintf(stderr, "# %.300s -> envelope %d %s, schema %d %s\n", body->data, r, err.msg, s,
            schema_err.msg);
        abort();
    }
}

static struct mr_schema *job_schema(void)
{
    const struct mr_embedded *file = mr_embedded_find("schemas/job.schema.json");
    CHECK(file);
    struct mr_schema *schema = NULL;
    struct mr_err err;
    if (mr_schema_compile(file->text, file->len, file->name, &schema, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    return schema;
}

static void agrees_with_the_schema_file(void)
{
    struct mr_schema *schema = job_schema();
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100000);
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        write_variant(&corpus[i], &body);
        check_both(schema, &body, !corpus[i].says);
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        mr_buf_reset(&body);
        CHECK_INT(mr_buf_puts(&body, others[i]), 0);
        check_both(schema, &body, false);
    }
    mr_schema_free(schema);
}

static void agrees_with_the_schema_file_on_lengths(void)
{
    static const struct {
        const char *before, *after;
        size_t max;
    } strings[] = {{"\"input\":{\"text\":\"x\"},\"idempotency_key\":", "", MR_IDEMPOTENCY_KEY_MAX},
        {"\"input\":{\"text\":\"x\"},\"metadata\":{\"k\":", "}", MR_METADATA_VALUE_MAX},
        {"\"input\":{\"text\":\"x\"},\"metadata\":{", ":1}", MR_METADATA_KEY_MAX},
        {"\"input\":{\"text\":\"x\",\"name\":", "}", MR_INPUT_NAME_MAX}};
    struct mr_schema *schema = job_schema();
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100000);
    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++) {
        size_t max = strings[i].max;
        write_long(&body, strings[i].before, max, strings[i].after);
        check_both(schema, &body, true);
        write_long(&body, strings[i].before, max + 1, strings[i].after);
        check_both(schema, &body, false);
    }
    for (int entries = MR_METADATA_MAX; entries <= MR_METADATA_MAX + 1; entries++) {
        write_long(&body, "\"input\":{\"text\":", 1, "},\"metadata\":{\"k\":1");
        body.len--;
        for (int i = 1; i < entries; i++)
            CHECK_INT(mr_buf_printf(&body, ",\"k%d\":1", i), 0);
        CHECK_INT(mr_buf_puts(&body, "}}"), 0);
        check_both(schema, &body, entries == MR_METADATA_MAX);
    }
    for (int n = MR_URL_MAX; n <= MR_URL_MAX + 1; n++) {
        mr_buf_reset(&body);
        CHECK_INT(mr_buf_printf(&body,
                      "{\"v\":1,\"id\":\"" ID "\",\"tenant\":\"a\",\"pipeline\":\"p\","
                      "\"input\":{\"url\":\"https://%0*d\"}}",
                      n - 8, 1),
            0);
        check_both(schema, &body, n == MR_URL_MAX);
    }
    mr_schema_free(schema);
}

static void reads_every_field(void)
{
    const char *body =
        "{\"v\":1,\"id\":\"" ID "\",\"tenant\":\"acme\",\"pipeline\":\"document\",\"priority\":9,"
        "\"created_at\":\"2026-11-20T18:00:00.123Z\",\"deadline\":\"2026-11-20T20:00:00+01:00\","
        "\"input\":{\"base64\":\"AAEC/w==\",\"name\":\"a.pdf\",\"media_type\":\"application/pdf\"},"
        "\"metadata\":{\"k\":\"v\"},\"idempotency_key\":\"once\",\"watch\":true}";
    struct mr_envelope e;
    CHECK_INT(mr_envelope_parse(body, strlen(body), &e, NULL, NULL), 0);
    char id[MR_UUID_LEN];
    mr_uuid_format(&e.id, id);
    CHECK_STR(id, ID);
    CHECK_STR(e.tenant, "acme");
    CHECK_STR(e.pipeline, "document");
    CHECK_INT(e.priority, 9);
    CHECK_INT(e.created_ms, 1795197600123);
    CHECK_INT(e.deadline_ms, 1795201200000);
    CHECK_STR(e.idempotency_key, "once");
    CHECK(e.watch);
    CHECK_INT(e.input_kind, MR_INPUT_BYTES);
    CHECK_INT(e.input_len, 4);
    CHECK(memcmp(e.input, "\x00\x01\x02\xff", 5) == 0);
    CHECK_STR(e.input_name, "a.pdf");
    CHECK_STR(e.input_media_type, "application/pdf");
    CHECK_STR(json_string_value(json_object_get(e.metadata, "k")), "v");
    mr_envelope_deinit(&e);
}

static void fills_in_defaults(void)
{
    const char *body = "{\"v\":1,\"id\":\"" ID "\",\"tenant\":\"a\",\"pipeline\":\"p\","
                       "\"input\":{\"url\":\"https://a/\"}}";
    struct mr_envelope e;
    CHECK_INT(mr_envelope_parse(body, strlen(body), &e, NULL, NULL), 0);
    CHECK_INT(e.priority, 5);
    CHECK_INT(e.created_ms, 0);
    CHECK_INT(e.deadline_ms, 0);
    CHECK(!e.idempotency_key && !e.watch && !e.input_name && !e.input_media_type);
    CHECK_INT(json_object_size(e.metadata), 0);
    CHECK_INT(e.input_kind, MR_INPUT_URL);
    CHECK_STR(e.input, "https://a/");
    mr_envelope_deinit(&e);
}

static void write_and_read(const char *body)
{
    struct mr_envelope e;
    struct mr_buf first MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100000);
    struct mr_buf second MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(100000);
    CHECK_INT(mr_envelope_parse(body, strlen(body), &e, NULL, NULL), 0);
    CHECK_INT(mr_envelope_write(&e, &first), 0);
    mr_envelope_deinit(&e);
    CHECK(strncmp(first.data, "{\"v\":1,", 7) == 0);
    CHECK_INT(mr_envelope_parse(first.data, first.len, &e, NULL, NULL), 0);
    CHECK_INT(mr_envelope_write(&e, &second), 0);
    CHECK_STR(second.data, first.data);
    first.max = first.len + 10;
    size_t before = first.len;
    CHECK_INT(mr_envelope_write(&e, &first), -EMSGSIZE);
    CHECK_INT(first.len, before);
    mr_envelope_deinit(&e);
}

static void writes_what_it_reads(void)
{
    struct mr_buf body MR_CLEANUP(mr_buf_deinit) = MR_BUF_INIT(10000);
    for (size_t i = 0; i < sizeof(corpus) / sizeof(corpus[0]); i++) {
        if (corpus[i].says)
            continue;
        write_variant(&corpus[i], &body);
        write_and_read(body.data);
    }
    write_and_read("{\"v\":1,\"id\":\"" ID "\",\"tenant\":\"a\",\"pipeline\":\"p\",\"watch\":true,"
                   "\"input\":{\"text\":\"\\\"\\\\\\n\\u0001\\u2028 \xc3\xa9\"}}");
}

static void salvages_what_a_dead_letter_needs(void)
{
    const char *body = "{\"v\":9,\"id\":\"" ID "\",\"tenant\":\"acme\",\"pipeline\":\"no good\"}";
    struct mr_envelope e;
    struct mr_envelope_salvage salvage;
    CHECK_INT(mr_envelope_parse(body, strlen(body), &e, &salvage, NULL), -EINVAL);
    char id[MR_UUID_LEN];
    mr_uuid_format(&salvage.id, id);
    CHECK_STR(id, ID);
    CHECK_STR(salvage.tenant, "acme");
    CHECK_STR(salvage.pipeline, "");
    static const char *const broken[] = {"{", "[]", "{\"id\":7,\"tenant\":{}}"};
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        CHECK_INT(mr_envelope_parse(broken[i], strlen(broken[i]), &e, &salvage, NULL), -EINVAL);
        struct mr_uuid want = mr_uuid_of_bytes(broken[i], strlen(broken[i]));
        CHECK(mr_uuid_equal(&salvage.id, &want));
        CHECK_STR(salvage.tenant, "");
        CHECK_STR(salvage.pipeline, "");
    }
}

static void checks_one_built_by_hand(void)
{
    struct mr_err err;
    json_t *metadata MR_CLEANUP(mr_json_decrefp) = json_object();
    struct mr_envelope e = {.tenant = "acme",
        .pipeline = "document",
        .priority = 5,
        .metadata = metadata,
        .input_kind = MR_INPUT_TEXT,
        .input = (char *)"hello",
        .input_len = 5};
    CHECK_INT(mr_envelope_check(&e, &err), 0);
    e.priority = 11;
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    CHECK_STR(err.msg, "priority: must be an integer from 1 to 10");
    e.priority = 5;
    e.input = (char *)"a\0b";
    e.input_len = 3;
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    CHECK(strstr(err.msg, "input.text: holds a NUL"));
    e.input = (char *)"\xff";
    e.input_len = 1;
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    CHECK(strstr(err.msg, "input.text: not valid UTF-8"));
    e.input_kind = MR_INPUT_BYTES;
    CHECK_INT(mr_envelope_check(&e, &err), 0);
    e.input_len = 0;
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    e.input_len = 1;
    e.idempotency_key = (char *)"\xff";
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    e.idempotency_key = NULL;
    e.deadline_ms = INT64_MAX;
    CHECK_INT(mr_envelope_check(&e, &err), -EINVAL);
    CHECK_STR(err.msg, "deadline: the year must be 2000 to 2999");
}

static void chooses_lanes(void)
{
    static const char *const want[] = {
        "low", "low", "low", "normal", "normal", "normal", "normal", "high", "high", "high"};
    for (int priority = 1; priority <= 10; priority++)
        CHECK_STR(mr_lane_name(mr_lane_of_priority(priority)), want[priority - 1]);
}

TEST_MAIN(TEST(judges_every_field), TEST(refuses_what_is_no_envelope),
    TEST(agrees_with_the_schema_file), TEST(agrees_with_the_schema_file_on_lengths),
    TEST(reads_every_field), TEST(fills_in_defaults), TEST(writes_what_it_reads),
    TEST(salvages_what_a_dead_letter_needs), TEST(checks_one_built_by_hand), TEST(chooses_lanes))
