#include "common/schema.h"
#include "tests/unit/test.h"
#include "worker/steps/steps.h"

static int output(const char *text, const char *schema, json_t **ret, struct mr_err *err)
{
    struct mr_step_def step = {.name = (char *)"s", .schema_text = (char *)schema};
    struct mr_answer answer = {.text = (char *)text, .len = strlen(text)};
    if (schema)
        CHECK(mr_schema_compile(schema, strlen(schema), "test", &step.schema, err) == 0);
    int rc = mr_chat_output(&step, &answer, ret, err);
    mr_schema_free(step.schema);
    return rc;
}

static void text_is_trimmed(void)
{
    json_t *value;
    struct mr_err err;
    CHECK_INT(output("\n  Grüße \t", NULL, &value, &err), 0);
    CHECK_STR(json_string_value(json_object_get(value, "text")), "Grüße");
    CHECK(!json_object_get(value, "truncated"));
    json_decref(value);
}

static void long_text_is_cut(void)
{
    static char text[2 * 60000 + 1];
    for (size_t i = 0; i < 60000; i++)
        memcpy(text + 2 * i, "é", 2);
    json_t *value;
    struct mr_err err;
    CHECK_INT(output(text, NULL, &value, &err), 0);
    CHECK_INT(json_string_length(json_object_get(value, "text")), 100000);
    CHECK(json_is_true(json_object_get(value, "truncated")));
    json_decref(value);
}

static void bad_text(void)
{
    static const char *const texts[] = {"", " \n ", "a\xff z"};
    for (size_t i = 0; i < 3; i++) {
        json_t *value;
        struct mr_err err;
        CHECK_INT(output(texts[i], NULL, &value, &err), MR_BAD_OUTPUT);
        CHECK_INT(err.class, MR_CLASS_BAD_OUTPUT);
    }
}

#define SCHEMA                                                                                     \
    "{\"type\":\"object\",\"required\":[\"a\"],\"properties\":{\"a\":{\"type\":\"integer\"}}}"

static void json_conforms(void)
{
    static const char *const texts[] = {"{\"a\":1}", " {\"a\": 1}\n", "```json\n{\"a\":1}\n```",
        "```\n{\"a\":1}```", "```JSON {\"a\":1} ```"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        json_t *value;
        struct mr_err err;
        CHECK_INT(output(texts[i], SCHEMA, &value, &err), 0);
        CHECK_INT(json_integer_value(json_object_get(value, "a")), 1);
        json_decref(value);
    }
}

static void json_fails(void)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"Sure! {\"a\":1}", "the answer is not JSON: "},
        {"{\"a\":1", "the answer is not JSON: "},
        {"{\"a\":1} {\"a\":1}", "the answer is not JSON: "},
        {"``````", "the answer is not JSON: "},
        {"{\"a\":\"x\"}", "the answer fails the schema: "},
        {"{}", "the answer fails the schema: "},
        {"[]", "the answer fails the schema: "},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *value;
        struct mr_err err;
        CHECK_INT(output(rows[i].text, SCHEMA, &value, &err), MR_BAD_OUTPUT);
        CHECK_INT(err.class, MR_CLASS_BAD_OUTPUT);
        CHECK(strncmp(err.msg, rows[i].says, strlen(rows[i].says)) == 0);
    }
}

TEST_MAIN(TEST(text_is_trimmed), TEST(long_text_is_cut), TEST(bad_text), TEST(json_conforms),
    TEST(json_fails))
