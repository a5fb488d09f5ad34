#include "common/amqp.h"
#include "tests/unit/test.h"

static amqp_table_entry_t text(const char *key, const char *value)
{
    return (amqp_table_entry_t){.key = amqp_cstring_bytes(key),
        .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes(value)}};
}

static amqp_table_entry_t number(const char *key, int64_t value)
{
    return (amqp_table_entry_t){
        .key = amqp_cstring_bytes(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value.i64 = value}};
}

static void round_trip(void)
{
    struct mr_headers out = {.id = mr_uuid_of_bytes("x", 1),
        .tenant = "acme",
        .pipeline = "document",
        .priority = 7,
        .hops = 2,
        .replay = 1,
        .step = "summarize",
        .class = "server",
        .message = "Überlastet",
        .worker = "host.1",
        .attempts = 4,
        .died_ms = 1795200000123,
        .spent_usd = "0.054399",
        .origin = "main.normal.3"};
    struct mr_properties properties;
    struct mr_headers_copy in = {0};
    mr_headers_encode(&out, &properties);
    CHECK_INT(properties.props.headers.num_entries, MR_HEADERS_COUNT);
    CHECK_INT(properties.props.delivery_mode, 2);
    CHECK_INT(mr_header_number(&properties.props, MR_HEADER_HOPS), 2);

    CHECK_INT(mr_headers_decode(&properties.props, &in), 0);
    CHECK(in.has_id && mr_uuid_equal(&in.headers.id, &out.id));
    CHECK_STR(in.headers.tenant, "acme");
    CHECK_STR(in.headers.pipeline, "document");
    CHECK_INT(in.headers.priority, 7);
    CHECK_INT(in.headers.hops, 2);
    CHECK_INT(in.headers.replay, 1);
    CHECK_STR(in.headers.step, "summarize");
    CHECK_STR(in.headers.class, "server");
    CHECK_STR(in.headers.message, "Überlastet");
    CHECK_STR(in.headers.worker, "host.1");
    CHECK_INT(in.headers.attempts, 4);
    CHECK_INT(in.headers.died_ms, 1795200000123);
    CHECK_STR(in.headers.spent_usd, "0.054399");
    CHECK_STR(in.headers.origin, "main.normal.3");
    mr_headers_copy_deinit(&in);
}

static void nothing_to_say(void)
{
    struct mr_headers none = {0};
    struct mr_properties properties;
    struct mr_headers_copy in = {0};
    mr_headers_encode(&none, &properties);
    CHECK(!(properties.props._flags & (AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG)));
    mr_headers_encode(NULL, &properties);
    CHECK_INT(mr_headers_decode(&properties.props, &in), 0);
    CHECK(!in.has_id && !in.headers.tenant && in.headers.hops == 0);
    mr_headers_copy_deinit(&in);
}

/* Anybody who may publish may write any header. */
static void hostile(void)
{
    char *huge = malloc(100001);
    memset(huge, 'a', 100000);
    huge[100000] = '\0';
    amqp_table_entry_t entries[] = {
        number("x-millrace-tenant", 5),
        text("x-millrace-hops", "many"),
        number("x-millrace-replay", -3),
        number("x-millrace-attempts", INT64_MAX),
        text("x-millrace-error", huge),
        text("x-millrace-died-at", "yesterday"),
        text("x-millrace-stepp", "no"),
    };
    amqp_basic_properties_t props = {._flags = AMQP_BASIC_HEADERS_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG,
        .message_id = amqp_cstring_bytes("not-a-uuid"),
        .headers = {.num_entries = 7, .entries = entries}};
    struct mr_headers_copy in = {0};
    CHECK_INT(mr_headers_decode(&props, &in), 0);
    CHECK(!in.has_id && !in.headers.tenant && !in.headers.step);
    CHECK_INT(in.headers.hops, 0);
    CHECK_INT(in.headers.replay, 0);
    CHECK_INT(in.headers.attempts, INT32_MAX);
    CHECK_INT(in.headers.died_ms, 0);
    CHECK_INT(strlen(in.headers.message), 1024);
    mr_headers_copy_deinit(&in);
    free(huge);
}

static void given_up_by_the_broker(void)
{
    amqp_table_entry_t entries[] = {
        text("x-first-death-reason", "delivery_limit"),
        text("x-first-death-queue", "millrace.main.low.5"),
    };
    amqp_basic_properties_t props = {
        ._flags = AMQP_BASIC_HEADERS_FLAG, .headers = {.num_entries = 2, .entries = entries}};
    struct mr_headers_copy in = {0};
    CHECK_INT(mr_headers_decode(&props, &in), 0);
    CHECK_STR(in.headers.class, "redelivered");
    CHECK_STR(in.headers.message, "delivery_limit");
    CHECK_STR(in.headers.origin, "main.low.5");
    mr_headers_copy_deinit(&in);
}

TEST_MAIN(TEST(round_trip), TEST(nothing_to_say), TEST(hostile), TEST(given_up_by_the_broker))
