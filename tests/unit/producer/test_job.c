#include "producer/job.h"
#include "tests/unit/test.h"

#include <errno.h>

static struct mr_job_plan plan(void)
{
    struct mr_err err;
    struct mr_config *config;
    unsetenv("MILLRACE_CONFIG");
    CHECK_INT(mr_config_load("/dev/null", &config, &err), 0);
    return (struct mr_job_plan){.config = config,
        .clock = mr_clock_system(),
        .random = mr_random_system(),
        .tenant = "acme",
        .pipeline = "document",
        .priority = 9,
        .metadata = json_pack("{s:s}", "k", "v")};
}

static void done(struct mr_job_plan *plan)
{
    json_decref(plan->metadata);
    mr_config_unref((struct mr_config *)(uintptr_t)plan->config);
}

/* The body of a shipment as a worker reads it; frees the shipment. */
static struct mr_envelope arrive(struct mr_shipment *shipment)
{
    struct mr_envelope envelope;
    struct mr_envelope_salvage salvage;
    struct mr_err err;
    CHECK(strncmp(shipment->body, "{\"v\":1,", 7) == 0);
    CHECK_INT(mr_envelope_parse(shipment->body, shipment->len, &envelope, &salvage, &err), 0);
    CHECK(mr_uuid_equal(&envelope.id, &shipment->id));
    mr_shipment_free(shipment);
    return envelope;
}

static void a_line_gets_what_it_lacks(void)
{
    struct mr_job_plan p = plan();
    struct mr_shipment *shipment;
    struct mr_err err;
    static const char line[] = "{\"input\":{\"text\":\"hi\"}}";
    p.watch = true;
    p.deadline_ms = mr_wall_ms(&p.clock) + 60000;
    CHECK_INT(mr_job_of_line(&p, "f:1", line, strlen(line), &shipment, &err), 0);
    CHECK_STR(shipment->pool, "main");
    CHECK_INT(shipment->lane, MR_LANE_HIGH);
    CHECK_STR(shipment->source, "f:1");
    struct mr_envelope envelope = arrive(shipment);
    CHECK_STR(envelope.tenant, "acme");
    CHECK_STR(envelope.pipeline, "document");
    CHECK_INT(envelope.priority, 9);
    CHECK_INT(envelope.deadline_ms, p.deadline_ms);
    CHECK(envelope.watch && envelope.created_ms > 0);
    CHECK_STR(json_string_value(json_object_get(envelope.metadata, "k")), "v");
    mr_envelope_deinit(&envelope);
    done(&p);
}

static void a_line_keeps_what_it_has(void)
{
    struct mr_job_plan p = plan();
    struct mr_shipment *shipment;
    struct mr_err err;
    char id[MR_UUID_LEN];
    static const char line[] = "{\"id\":\"0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000\",\"tenant\":\"x\","
                               "\"priority\":1,\"metadata\":{},\"input\":{\"text\":\"hi\"}}";
    CHECK_INT(mr_job_of_line(&p, "f:1", line, strlen(line), &shipment, &err), 0);
    CHECK_INT(shipment->lane, MR_LANE_LOW);
    struct mr_envelope envelope = arrive(shipment);
    mr_uuid_format(&envelope.id, id);
    CHECK_STR(id, "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000");
    CHECK_STR(envelope.tenant, "x");
    CHECK_INT(json_object_size(envelope.metadata), 0);
    mr_envelope_deinit(&envelope);
    done(&p);
}

static void a_wrong_line_is_named(void)
{
    static const char *const cases[][2] = {
        {"{\"input\":{\"text\":\"a\"},\"priority\":11}", "priority"},
        {"{\"input\":{\"text\":\"a\"},\"tenant\":\"a\\nb\"}", "tenant"},
        {"{\"input\":{\"text\":\"a\"},\"pipeline\":\"nosuch\"}", "nosuch"},
        {"{\"input\":{\"text\":\"a\"},\"colour\":1}", "colour"},
        {"{\"input\":{}}", "input"},
        {"{\"input\":{\"text\":\"\"}}", "input.text"},
        {"{\"input\":[[[[[[[[[[1]]]]]]]]]]}", "deep"},
        {"{}", "input"},
        {"[]", "object"},
        {"{\"a\":1,\"a\":2}", "a"},
        {"", "JSON"},
        {"{\"input\":{\"text\":\"\xff\"}}", "f:7"},
        {"{\"input\":{\"text\":\"a\\u0000b\"}}", "the character \\u0000 is not allowed"},
    };
    struct mr_job_plan p = plan();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_shipment *shipment;
        struct mr_err err;
        const char *line = cases[i][0];
        CHECK_INT(mr_job_of_line(&p, "f:7", line, strlen(line), &shipment, &err), -EINVAL);
        if (!strstr(err.msg, cases[i][1]) || strncmp(err.msg, "f:7: ", 5) != 0)
            fprintf(stderr, "# %s: %s\n", line, err.msg);
        CHECK(strstr(err.msg, cases[i][1]) && strncmp(err.msg, "f:7: ", 5) == 0);
        CHECK(!strstr(err.msg, "JSON_"));
    }
    done(&p);
}

static void documents_travel_as_text_or_bytes(void)
{
    struct mr_job_plan p = plan();
    struct mr_shipment *shipment;
    struct mr_err err;
    CHECK_INT(mr_job_of_document(&p, "d/a.txt", "d/a.txt", "häl", 4, &shipment, &err), 0);
    struct mr_envelope text = arrive(shipment);
    CHECK_INT(text.input_kind, MR_INPUT_TEXT);
    CHECK_STR(text.input_name, "a.txt");
    mr_envelope_deinit(&text);

    CHECK_INT(mr_job_of_document(&p, "a.txt", "a.txt", "h\xe4l", 3, &shipment, &err), 0);
    struct mr_envelope latin = arrive(shipment);
    CHECK_INT(latin.input_kind, MR_INPUT_BYTES);
    CHECK_INT(latin.input_len, 3);
    CHECK_STR(latin.input_media_type, "text/plain");
    mr_envelope_deinit(&latin);

    CHECK_INT(mr_job_of_document(&p, "x", "odd\n\033.pdf", "%PDF-1", 6, &shipment, &err), 0);
    struct mr_envelope pdf = arrive(shipment);
    CHECK_INT(pdf.input_kind, MR_INPUT_BYTES);
    CHECK_STR(pdf.input_media_type, "application/pdf");
    CHECK_STR(pdf.input_name, "odd__.pdf");
    mr_envelope_deinit(&pdf);
    done(&p);
}

static void too_large_names_the_way_out(void)
{
    struct mr_job_plan p = plan();
    struct mr_shipment *shipment;
    struct mr_err err;
    size_t n = (size_t)p.config->producer.inline_max_bytes;
    char *text = malloc(n + 1);
    memset(text, 'x', n + 1);
    CHECK_INT(mr_job_of_text(&p, "--text", text, n + 1, &shipment, &err), -EMSGSIZE);
    CHECK(strstr(err.msg, "--url"));
    CHECK_INT(mr_job_of_text(&p, "--text", text, n, &shipment, &err), 0);
    mr_shipment_free(shipment);
    memset(text, '\x01', n); /* six bytes each in JSON */
    CHECK_INT(mr_job_of_text(&p, "--text", text, n, &shipment, &err), 0);
    mr_shipment_free(shipment);
    free(text);
    done(&p);
}

static void urls_are_checked(void)
{
    struct mr_job_plan p = plan();
    struct mr_shipment *shipment;
    struct mr_err err;
    CHECK_INT(mr_job_of_url(&p, "ftp://x", &shipment, &err), -EINVAL);
    CHECK(strstr(err.msg, "input.url"));
    CHECK_INT(mr_job_of_url(&p, "https://example.com/a", &shipment, &err), 0);
    mr_shipment_free(shipment);
    done(&p);
}

TEST_MAIN(TEST(a_line_gets_what_it_lacks), TEST(a_line_keeps_what_it_has),
    TEST(a_wrong_line_is_named), TEST(documents_travel_as_text_or_bytes),
    TEST(too_large_names_the_way_out), TEST(urls_are_checked))
