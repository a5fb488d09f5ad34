#include "producer/serve_body.h"
#include "tests/unit/test.h"

#include <errno.h>

static struct mr_config *config;
static json_t *none;
static struct mr_body body;
static struct mr_fault fault;

static struct mr_job_plan plan(void)
{
    struct mr_err err;
    CHECK_INT(mr_config_load("/dev/null", &config, &err), 0);
    none = json_object();
    return (struct mr_job_plan){.config = config,
        .clock = mr_clock_system(),
        .random = mr_random_system(),
        .tenant = "default",
        .pipeline = "document",
        .priority = 5,
        .metadata = none};
}

static int read_body(enum mr_body_kind kind, const char *text, const char *key)
{
    static struct mr_job_plan p;
    if (!config)
        p = plan();
    mr_body_deinit(&body);
    mr_fault_deinit(&fault);
    return mr_body_read(&p, kind, text, strlen(text), 5, key, &body, &fault);
}

static void done(void)
{
    mr_body_deinit(&body);
    mr_fault_deinit(&fault);
    json_decref(none);
    config = mr_config_unref(config);
}

#define HAS(text, part)                                                                            \
    do {                                                                                           \
        if (!(text) || !strstr(text, part))                                                        \
            fprintf(stderr, "# no \"%s\" in \"%s\"\n", part, (text) ? (text) : "(null)");          \
        CHECK((text) && strstr(text, part));                                                       \
    } while (0)

static void kinds(void)
{
    enum mr_body_kind kind;
    CHECK(mr_body_kind("application/json", &kind) == 0 && kind == MR_BODY_JSON);
    CHECK(mr_body_kind("Application/JSON;charset=utf-8", &kind) == 0 && kind == MR_BODY_JSON);
    CHECK(mr_body_kind("application/x-ndjson ; a=b", &kind) == 0 && kind == MR_BODY_NDJSON);
    CHECK(mr_body_kind("application/jsonl", &kind) == 0 && kind == MR_BODY_NDJSON);
    static const char *const other[] = {NULL, "", "application", "application/jso",
        "application/jsonx", "text/plain", "application/x-www-form-urlencoded",
        ";application/json"};
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        CHECK_INT(mr_body_kind(other[i], &kind), -EINVAL);
}

static void one_and_many(void)
{
    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"a\"}}", NULL), 0);
    CHECK(body.single && body.count == 1 && body.entries[0].shipment);
    CHECK_INT(strlen(body.entries[0].id), MR_UUID_LEN - 1);
    CHECK_INT(read_body(MR_BODY_JSON, "[{\"input\":{\"text\":\"a\"}}]", NULL), 0);
    CHECK(!body.single && body.count == 1);
    CHECK_INT(read_body(MR_BODY_NDJSON,
                  "\n {\"input\":{\"text\":\"a\"}} \r\n\r\n{\"input\":{\"text\":\"b\"}}", NULL),
        0);
    CHECK(!body.single && body.count == 2 && body.entries[1].shipment);
    done();
}

static void whole_bodies_that_are_wrong(void)
{
    static const struct {
        enum mr_body_kind kind;
        const char *text;
        unsigned status;
        const char *detail;
    } cases[] = {
        {MR_BODY_JSON, "", 400, "JSON"},
        {MR_BODY_JSON, "{", 400, "line 1 column 1"},
        {MR_BODY_JSON, "{} {}", 400, "JSON"},
        {MR_BODY_JSON, "[[[[[[[[[[[[]]]]]]]]]]]]", 400, "deep"},
        {MR_BODY_JSON, "[]", 422, "no job"},
        {MR_BODY_JSON, "[1,2,3,4,5,6]", 413, "more than 5"},
        {MR_BODY_NDJSON, "", 422, "no job"},
        {MR_BODY_NDJSON, " \n\t\r\n\n", 422, "no job"},
        {MR_BODY_NDJSON, "1\n2\n3\n\n4\n5\n6\n", 413, "more than 5"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_INT(read_body(cases[i].kind, cases[i].text, NULL), 1);
        CHECK_INT(fault.status, cases[i].status);
        HAS(fault.detail, cases[i].detail);
        CHECK(!body.entries);
    }
    done();
}

static void fields_are_named(void)
{
    static const struct {
        const char *text, *field, *detail;
    } cases[] = {
        {"{}", "input", "is missing"},
        {"7", "", "must be a JSON object"},
        {"{\"input\":{\"text\":\"\"}}", "input.text", "is empty"},
        {"{\"input\":{\"txt\":\"\"}}", "input.txt", "not known"},
        {"{\"input\":{\"text\":\"a\"},\"colour\":1}", "colour", "not known"},
        {"{\"input\":{\"text\":\"a\"},\"a b\":1}", "", "not known"},
        {"{\"input\":{\"text\":\"a\"},\"tenant\":\"a b\"}", "tenant", "not allowed"},
        {"{\"input\":{\"text\":\"a\"},\"pipeline\":\"x\"}", "pipeline", "document"},
        {"{\"input\":{\"text\":\"a\"},\"metadata\":{\"k\":[]}}", "metadata.k", "must be"},
        {"{\"input\":{\"text\":\"a\"},\"metadata\":{\"a b\":[]}}", "metadata", "must be"},
        {"{\"input\":{\"text\":\"a\"},\"v\":2}", "v", "version"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_INT(read_body(MR_BODY_JSON, cases[i].text, NULL), 0);
        CHECK_INT(body.entries[0].fault.status, 422);
        CHECK_STR(body.entries[0].fault.field, cases[i].field);
        HAS(body.entries[0].fault.detail, cases[i].detail);
        CHECK(!body.entries[0].shipment && !body.entries[0].id[0]);
    }
    done();
}

static void too_large_a_document(void)
{
    size_t n = 2 << 20;
    char *text = malloc(n + 64);
    CHECK(text);
    int at = snprintf(text, 64, "{\"input\":{\"text\":\"");
    memset(text + at, 'x', n);
    memcpy(text + at + n, "\"}}", 4);
    CHECK_INT(read_body(MR_BODY_JSON, text, NULL), 0);
    CHECK_INT(body.entries[0].fault.status, 413);
    CHECK_STR(body.entries[0].fault.field, "input");
    HAS(body.entries[0].fault.detail, "input.url");
    free(text);
    done();
}

static void keys_make_ids(void)
{
    static const char job[] = "{\"input\":{\"text\":\"a\"}}";
    char id[MR_UUID_LEN];
    CHECK_INT(read_body(MR_BODY_JSON, job, "k"), 0);
    struct mr_uuid want = mr_id_of_key("default", "k");
    mr_uuid_format(&want, id);
    CHECK_STR(body.entries[0].id, id);
    HAS(body.entries[0].shipment->body, "\"idempotency_key\":\"k\"");
    CHECK_INT(read_body(MR_BODY_JSON, job, "\"k\""), 0);
    CHECK_STR(body.entries[0].id, id);
    CHECK_INT(
        read_body(MR_BODY_JSON, "[{\"input\":{\"text\":\"b\"},\"idempotency_key\":\"k\"}]", NULL),
        0);
    CHECK_STR(body.entries[0].id, id);
    CHECK_INT(
        read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"},\"idempotency_key\":\"k\"}", "k"), 0);
    CHECK_STR(body.entries[0].id, id);
    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"},\"tenant\":\"t\"}", "k"), 0);
    CHECK(strcmp(body.entries[0].id, id) != 0);
    CHECK_INT(
        read_body(MR_BODY_JSON,
            "{\"id\":\"01890000-0000-7000-8000-000000000001\",\"input\":{\"text\":\"b\"}}", "k"),
        0);
    CHECK_STR(body.entries[0].id, "01890000-0000-7000-8000-000000000001");
    done();
}

static void keys_that_are_wrong(void)
{
    static const char *const jobs[] = {"{\"input\":{\"text\":\"b\"},\"idempotency_key\":\"j\"}",
        "{\"input\":{\"text\":\"b\"},\"idempotency_key\":7}", "[{\"input\":{\"text\":\"b\"}}]"};
    for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
        CHECK_INT(read_body(MR_BODY_JSON, jobs[i], "k"), 1);
        CHECK_INT(fault.status, 422);
        CHECK_STR(fault.field, "Idempotency-Key");
    }
    CHECK_INT(read_body(MR_BODY_NDJSON, "{\"input\":{\"text\":\"b\"}}", "k"), 1);
    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"}}", "\xff"), 1);
    CHECK_INT(read_body(MR_BODY_JSON, "7", "k"), 0); /* no job, key or not */
    CHECK_INT(body.entries[0].fault.status, 422);
    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"}}", ""), 0);
    CHECK_STR(body.entries[0].fault.field, "idempotency_key");
    done();
}

static void same_json(json_t *value, const char *want)
{
    json_t *wanted = json_loads(want, 0, NULL);
    if (!json_equal(value, wanted))
        fprintf(stderr, "# %s\n", json_dumps(value, 0));
    CHECK(json_equal(value, wanted));
    json_decref(value);
    json_decref(wanted);
}

/* Ids are random: they are replaced. */
static void name_ids(void)
{
    for (size_t i = 0; i < body.count; i++)
        if (body.entries[i].id[0])
            snprintf(body.entries[i].id, MR_UUID_LEN, "id%zu", i);
}

static void verdicts_of_one(void)
{
    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"}}", NULL), 0);
    name_ids();
    struct mr_verdict verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 202 && !verdict.fault && !verdict.retry);
    same_json(verdict.json, "{\"job\":\"id0\"}");

    mr_entry_decide(&body.entries[0], MR_POST_NOT, "it is down");
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 503 && verdict.retry);
    CHECK_STR(verdict.fault->detail, "not accepted: it is down");
    same_json(verdict.json, "{}");

    mr_entry_decide(&body.entries[0], MR_POST_UNKNOWN, "it is silent");
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 503 && verdict.retry);
    HAS(verdict.fault->detail, "may run all the same: it is silent");
    same_json(verdict.json, "{\"job\":\"id0\"}");

    CHECK_INT(read_body(MR_BODY_JSON, "{\"input\":{\"text\":\"b\"},\"priority\":0}", NULL), 0);
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 422 && !verdict.retry && verdict.fault);
    same_json(verdict.json, "{\"field\":\"priority\"}");
    done();
}

static void verdicts_of_many(void)
{
    static const char three[] = "[{\"input\":{\"text\":\"b\"}},{\"input\":{\"text\":\"b\"}},"
                                "{\"input\":{\"text\":\"b\"}}]";
    CHECK_INT(read_body(MR_BODY_JSON, three, NULL), 0);
    name_ids();
    struct mr_verdict verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 202 && !verdict.fault && !verdict.retry);
    same_json(verdict.json, "{\"jobs\":[{\"status\":202,\"job\":\"id0\"},{\"status\":202,\"job\":"
                            "\"id1\"},{\"status\":202,\"job\":\"id2\"}]}");

    mr_entry_decide(&body.entries[1], MR_POST_NOT, "full");
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 207 && !verdict.fault && verdict.retry);
    same_json(verdict.json,
        "{\"jobs\":[{\"status\":202,\"job\":\"id0\"},{\"status\":503,\"detail\":\"not accepted: "
        "full\"},{\"status\":202,\"job\":\"id2\"}]}");

    mr_entry_decide(&body.entries[0], MR_POST_NOT, "full");
    mr_entry_decide(&body.entries[2], MR_POST_NOT, "full");
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 503 && verdict.fault && verdict.retry);
    CHECK_INT(json_array_size(json_object_get(verdict.json, "jobs")), 3);
    json_decref(verdict.json);

    CHECK_INT(read_body(MR_BODY_NDJSON, "{\n7\n{\"input\":{\"text\":\"b\"}}\n", NULL), 0);
    CHECK_INT(body.entries[0].fault.status, 400);
    HAS(body.entries[0].fault.detail, "line 1 of the body");
    verdict = mr_body_verdict(&body);
    CHECK(verdict.status == 207 && !verdict.fault && !verdict.retry);
    json_decref(verdict.json);
    done();
}

TEST_MAIN(TEST(kinds), TEST(one_and_many), TEST(whole_bodies_that_are_wrong),
    TEST(fields_are_named), TEST(too_large_a_document), TEST(keys_make_ids),
    TEST(keys_that_are_wrong), TEST(verdicts_of_one), TEST(verdicts_of_many))
