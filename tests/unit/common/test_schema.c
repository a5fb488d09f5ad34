#include "common/embed.h"
#include "common/json.h"
#include "common/schema.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>

static struct mr_schema *compile(const char *text)
{
    struct mr_schema *schema = NULL;
    struct mr_err err = {.msg = ""};
    if (mr_schema_compile(text, strlen(text), "test.json", &schema, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    return schema;
}

static void says_what_is_wrong_and_where(void)
{
    static const char text[] =
        "{\"type\":\"object\",\"required\":[\"people\"],\"additionalProperties\":false,"
        "\"properties\":{\"people\":{\"type\":\"array\",\"maxItems\":3,\"uniqueItems\":true,"
        "\"items\":{\"type\":[\"string\",\"null\"],\"minLength\":2,\"maxLength\":4,"
        "\"pattern\":\"^[a-z]+$\"}},\"n\":{\"minimum\":1,\"exclusiveMaximum\":5,"
        "\"multipleOf\":0.5,\"not\":{\"const\":2}},\"kind\":{\"enum\":[\"a\",\"b\"]}},"
        "\"propertyNames\":{\"maxLength\":6},\"dependencies\":{\"n\":[\"kind\"]}}";
    static const char *const cases[][2] = {
        {"{\"people\":[\"ada\"]}", NULL},
        {"{\"people\":[null],\"n\":1.5,\"kind\":\"a\"}", NULL},
        {"[]", "document: expected object, found array"},
        {"{}", "document: the key \"people\" is missing"},
        {"{\"people\":[7]}", "/people/0: expected null or string, found integer"},
        {"{\"people\":[\"a\"]}", "/people/0: is shorter than 2 characters"},
        {"{\"people\":[\"ad\",\"abcde\"]}", "/people/1: is longer than 4 characters"},
        {"{\"people\":[\"ADA\"]}", "/people/0: does not match the pattern ^[a-z]+$"},
        {"{\"people\":[\"ada\\n\"]}", "/people/0: does not match the pattern ^[a-z]+$"},
        {"{\"people\":[\"ada\",\"ada\"]}", "/people: items 0 and 1 are equal"},
        {"{\"people\":[null,\"aa\",\"bb\",\"cc\"]}", "/people: has more than 3 items"},
        {"{\"people\":[],\"more\":1}", "document: the key \"more\" is not allowed"},
        {"{\"people\":[],\"n\":1}", "document: the key \"kind\" is missing"},
        {"{\"people\":[],\"n\":0,\"kind\":\"a\"}", "/n: is less than the minimum"},
        {"{\"people\":[],\"n\":5,\"kind\":\"a\"}", "/n: is not less than the exclusive maximum"},
        {"{\"people\":[],\"n\":1.2,\"kind\":\"a\"}",
            "/n: is not a multiple of the number required"},
        {"{\"people\":[],\"n\":2,\"kind\":\"a\"}", "/n: has a form that is forbidden (not)"},
        {"{\"people\":[],\"kind\":\"c\"}", "/kind: is none of the values allowed"},
        {"{\"people\":[}", "not valid JSON"},
    };
    struct mr_schema *schema = compile(text);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_err err = {.msg = ""};
        int r = mr_schema_validate(schema, cases[i][0], strlen(cases[i][0]), &err);
        if (!cases[i][1]) {
            CHECK_INT(r, 0);
            continue;
        }
        CHECK_INT(r, -EINVAL);
        CHECK_INT(err.class, MR_CLASS_INVALID);
        if (!strstr(err.msg, cases[i][1])) {
            fprintf(stderr, "# %s -> %s\n", cases[i][0], err.msg);
            abort();
        }
    }
    CHECK_INT(mr_schema_validate(schema, "7", 1, NULL), -EINVAL);
    CHECK(!mr_schema_free(schema));
    CHECK(!mr_schema_free(NULL));
}

static void refuses_schemas_it_does_not_understand(void)
{
    static const char *const cases[][2] = {
        {"", "test.json: the JSON document is empty"},
        {"7", "a schema must be an object, true or false"},
        {"{\"minLenght\":1}", "test.json: minLenght: this keyword is not supported"},
        {"{\"$defs\":{}}", "$defs: this keyword is not supported"},
        {"{\"prefixItems\":[]}", "prefixItems: this keyword is not supported"},
        {"{\"properties\":{\"a\":{\"unevaluatedProperties\":false}}}", "unevaluatedProperties"},
        {"{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\"}", "$schema: only"},
        {"{\"$ref\":\"http://example.org/a.json\"}", "$ref: only references within"},
        {"{\"$ref\":\"other.json#/a\"}", "$ref: only references within"},
        {"{\"$ref\":7}", "$ref: only references within"},
        {"{\"$ref\":\"#/definitions/a\"}", "$ref: there is no \"#/definitions/a\""},
        {"{\"$ref\":\"#name\"}", "$ref: there is no \"#name\""},
        {"{\"properties\":{\"a\":{\"$id\":\"x\"}}}", "$id: is understood at the root"},
        {"{\"pattern\":\"(\"}", "pattern: \"(\": missing closing parenthesis"},
        {"{\"patternProperties\":{\"[\":true}}", "patternProperties: \"[\""},
        {"{\"type\":\"text\"}", "type: must be the name of a JSON type"},
        {"{\"type\":[]}", "type: must not be empty"},
        {"{\"type\":7}", "type: must be"},
        {"{\"enum\":[]}", "enum: must be a non-empty array"},
        {"{\"required\":\"a\"}", "required: must be an array of strings"},
        {"{\"minLength\":-1}", "minLength: must be a non-negative integer"},
        {"{\"maxItems\":1.5}", "maxItems: must be a non-negative integer"},
        {"{\"multipleOf\":0}", "multipleOf: must be greater than 0"},
        {"{\"minimum\":\"1\"}", "minimum: must be a number"},
        {"{\"anyOf\":[]}", "anyOf: must be a non-empty array"},
        {"{\"properties\":[]}", "properties: must be an object"},
        {"{\"not\":7}", "a schema must be"},
        {"{\"uniqueItems\":1}", "uniqueItems: must be true or false"},
        {"{\"definitions\":{\"a\":{\"minLenght\":1}}}", "minLenght"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_schema *schema = NULL;
        struct mr_err err = {.msg = ""};
        int r = mr_schema_compile(cases[i][0], strlen(cases[i][0]), "test.json", &schema, &err);
        if (r != -EINVAL || schema || !strstr(err.msg, cases[i][1])) {
            fprintf(stderr, "# %s -> %d %s\n", cases[i][0], r, err.msg);
            abort();
        }
    }
}

static void refuses_endless_recursion(void)
{
    static const char *const bad[] = {"{\"$ref\":\"#\"}", "{\"allOf\":[{\"$ref\":\"#\"}]}",
        "{\"$ref\":\"#/definitions/a\",\"definitions\":{\"a\":{\"$ref\":\"#\"}}}",
        "{\"anyOf\":[true,{\"not\":{\"if\":true,\"then\":{\"$ref\":\"#\"}}}]}",
        "{\"dependencies\":{\"a\":{\"$ref\":\"#\"}}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct mr_schema *schema = NULL;
        struct mr_err err = {.msg = ""};
        CHECK_INT(mr_schema_compile(bad[i], strlen(bad[i]), "t", &schema, &err), -EINVAL);
        CHECK(strstr(err.msg, "without end"));
    }
    /* Recursion that goes down with the document ends with it. */
    struct mr_schema *tree = compile(
        "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"},\"not\":{\"contains\":{\"$ref\":\"#\"}}}");
    mr_schema_free(tree);
    tree = compile("{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}");
    CHECK_INT(mr_schema_validate(tree, "[[],[[[]]]]", 11, NULL), 0);
    CHECK_INT(mr_schema_validate(tree, "[[],[[[7]]]]", 12, NULL), -EINVAL);
    mr_schema_free(tree);
}

/* Runs a validation that must end quickly with this text. */
static void must_stop(const char *schema_text, const char *json, size_t n, const char *says)
{
    struct mr_schema *schema = compile(schema_text);
    struct mr_err err = {.msg = ""};
    CHECK_INT(mr_schema_validate(schema, json, n, &err), -EINVAL);
    if (!strstr(err.msg, says)) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
    mr_schema_free(schema);
}

static void hostile_documents_do_not_stall_it(void)
{
    size_t n = 4000000;
    char *text = malloc(n + 3);
    CHECK(text);
    memset(text, 'a', n + 2);
    text[0] = text[n + 1] = '"';
    text[n] = '!';
    must_stop("{\"pattern\":\"^(a+)+$\"}", text, n + 2, "too costly to match");
    must_stop("{\"pattern\":\"^(a|b)*$\"}", text, n + 2, "too costly to match");
    must_stop("{\"pattern\":\"^[ab]*c\"}", text, n + 2, "document: ");
    text[n] = 'b';
    struct mr_schema *easy = compile("{\"pattern\":\"^[ab]*$\",\"maxLength\":5000000}");
    CHECK_INT(mr_schema_validate(easy, text, n + 2, NULL), 0);
    mr_schema_free(easy);
    /* Many different numbers in a list of unique items. */
    size_t len = 1;
    text[0] = '[';
    for (int i = 100000; i < 400000; i++)
        len += (size_t)snprintf(text + len, n - len, "%d,", i);
    text[len - 1] = ']';
    must_stop("{\"uniqueItems\":true}", text, len, "too costly to check");
    /* Alternatives that double with every level. */
    len = 0;
    for (int i = 0; i < 60; i++)
        text[len++] = '[';
    for (int i = 0; i < 60; i++)
        text[len++] = ']';
    must_stop(
        "{\"not\":{\"definitions\":{}},\"anyOf\":[{\"items\":{\"$ref\":\"#\"},\"not\":true},"
        "{\"items\":{\"$ref\":\"#\"},\"maxItems\":0},{\"items\":{\"$ref\":\"#\"},\"not\":true}]}",
        "7", 1, "document");
    must_stop("{\"definitions\":{\"a\":{\"anyOf\":[{\"items\":{\"$ref\":\"#/definitions/a\"},"
              "\"maxItems\":1,\"contains\":false},{\"items\":{\"$ref\":\"#/definitions/a\"},"
              "\"type\":\"array\",\"not\":true}]}},\"allOf\":[{\"$ref\":\"#/definitions/a\"}]}",
        text, len, "");
    memset(text, '[', 100);
    memset(text + 100, ']', 100);
    must_stop("true", text, 200, "nested deeper than 64 levels");
    free(text);
}

static void counts_characters_not_bytes(void)
{
    struct mr_schema *schema = compile("{\"minLength\":2,\"maxLength\":2}");
    CHECK_INT(mr_schema_validate(schema, "\"\xc3\xa9\xf0\x9f\x98\x80\"", 8, NULL), 0);
    CHECK_INT(mr_schema_validate(schema, "\"\xf0\x9f\x98\x80\"", 6, NULL), -EINVAL);
    mr_schema_free(schema);
}

static void reads_patterns_as_ecmascript(void)
{
    static const char *const cases[][3] = {{"^\\\\u0041$", "\"A\"", "\"u0041\""},
        {"^a$", "\"a\"", "\"a\\n\""}, {"^\\\\d$", "\"7\"", "\"\xd9\xa7\""},
        {"^.$", "\"\xf0\x9f\x98\x80\"", "\"ab\""}, {"b", "\"abc\"", "\"ac\""}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"pattern\":\"%s\"}", cases[i][0]);
        struct mr_schema *schema = compile(text);
        CHECK_INT(mr_schema_validate(schema, cases[i][1], strlen(cases[i][1]), NULL), 0);
        CHECK_INT(mr_schema_validate(schema, cases[i][2], strlen(cases[i][2]), NULL), -EINVAL);
        mr_schema_free(schema);
    }
}

static void shipped_schemas_compile(void)
{
    size_t count, schemas = 0;
    const struct mr_embedded *files = mr_embedded_all(&count);
    for (size_t i = 0; i < count; i++) {
        if (strncmp(files[i].name, "schemas/", 8) != 0)
            continue;
        mr_schema_free(compile(files[i].text));
        schemas++;
    }
    CHECK(schemas >= 3);
}

static void an_event_conforms_to_its_schema(void)
{
    static const char *const good[] = {
        "{\"v\":1,\"event\":\"step.done\",\"job\":\"019357ab-cdef-7123-89ab-0123456789ab\","
        "\"tenant\":\"a\",\"pipeline\":\"p\",\"step\":\"s\",\"state\":\"skipped\","
        "\"spent_usd\":\"0.054399\",\"at\":\"2026-11-20T18:00:00.123Z\"}",
        "{\"v\":1,\"event\":\"job.dead\",\"job\":\"019357ab-cdef-7123-89ab-0123456789ab\","
        "\"tenant\":\"a\",\"pipeline\":\"p\",\"state\":\"dead\",\"spent_usd\":\"0.000000\","
        "\"at\":\"2026-11-20T18:00:00.123Z\",\"new\":1}",
        "{\"v\":1,\"event\":\"cap.reached\",\"tenant\":\"a\",\"period\":\"day\",\"job\":"
        "\"019357ab-cdef-7123-89ab-0123456789ab\",\"pipeline\":\"p\","
        "\"at\":\"2026-11-20T18:00:00.123Z\"}"};
    static const char *const bad[] = {
        "{\"v\":1,\"event\":\"step.done\",\"job\":\"019357ab-cdef-7123-89ab-0123456789ab\","
        "\"tenant\":\"a\",\"pipeline\":\"p\",\"state\":\"done\",\"at\":\"2026-11-20T18:00:00."
        "123Z\"}",
        "{\"v\":1,\"event\":\"job.done\",\"job\":\"019357ab-cdef-7123-89ab-0123456789ab\","
        "\"tenant\":\"a\",\"pipeline\":\"p\",\"state\":\"skipped\",\"spent_usd\":\"0.000000\","
        "\"at\":\"2026-11-20T18:00:00.123Z\"}",
        "{\"v\":1,\"event\":\"cap.warning\",\"tenant\":\"a\",\"job\":"
        "\"019357ab-cdef-7123-89ab-0123456789ab\",\"pipeline\":\"p\","
        "\"at\":\"2026-11-20T18:00:00.123Z\"}"};
    struct mr_schema *schema = compile(mr_embedded_find("schemas/event.schema.json")->text);
    for (size_t i = 0; i < 3; i++) {
        CHECK_INT(mr_schema_validate(schema, good[i], strlen(good[i]), NULL), 0);
        CHECK_INT(mr_schema_validate(schema, bad[i], strlen(bad[i]), NULL), -EINVAL);
    }
    mr_schema_free(schema);
}

static void *check_often(void *ctx)
{
    static const char good[] = "{\"entities\":[{\"type\":\"person\",\"text\":\"Ada\"}]}";
    static const char bad[] = "{\"entities\":[{\"type\":\"nobody\",\"text\":\"Ada\"}]}";
    for (int i = 0; i < 2000; i++) {
        CHECK_INT(mr_schema_validate(ctx, good, sizeof(good) - 1, NULL), 0);
        CHECK_INT(mr_schema_validate(ctx, bad, sizeof(bad) - 1, NULL), -EINVAL);
    }
    return NULL;
}

static void threads_share_a_schema(void)
{
    struct mr_schema *schema = compile(mr_embedded_find("schemas/entities.schema.json")->text);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(pthread_create(&threads[i], NULL, check_often, schema), 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_INT(pthread_join(threads[i], NULL), 0);
    mr_schema_free(schema);
}

static void narrows_what_providers_can_enforce(void)
{
    static const char *const rows[][2] = {
        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\",\"type\":\"object\","
         "\"additionalProperties\":false,\"required\":[\"kind\",\"names\"],\"properties\":{"
         "\"kind\":{\"enum\":[\"a\",\"b\"]},\"names\":{\"type\":\"array\",\"maxItems\":5,"
         "\"description\":\"All\",\"items\":{\"type\":[\"string\",\"null\"],\"minLength\":1}},"
         "\"n\":{\"anyOf\":[{\"type\":\"integer\",\"minimum\":0},{\"const\":true}]}}}",
            "{\"type\":\"object\",\"properties\":{\"kind\":{\"type\":\"string\",\"enum\":[\"a\","
            "\"b\"]},\"names\":{\"description\":\"All; maxItems: 5\",\"type\":\"array\",\"items\":{"
            "\"description\":\"minLength: 1\",\"type\":[\"string\",\"null\"]}},\"n\":{\"anyOf\":["
            "{\"description\":\"minimum: 0\",\"type\":\"integer\"},{\"type\":\"boolean\",\"enum\":["
            "true]}]}},\"required\":[\"kind\",\"names\"],\"additionalProperties\":false}"},
        {"{\"type\":\"object\",\"additionalProperties\":false}",
            "{\"type\":\"object\",\"properties\":{},\"required\":[],\"additionalProperties\":"
            "false}"},
        {"true", NULL},
        {"{\"type\":\"object\"}", NULL},
        {"{\"type\":\"array\",\"items\":{\"type\":\"string\"}}", NULL},
        {"{\"type\":[\"object\",\"null\"],\"additionalProperties\":false}", NULL},
        {"{\"$ref\":\"#/definitions/a\",\"definitions\":{\"a\":{\"type\":\"object\"}}}", NULL},
#define INSIDE(schema)                                                                             \
    "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{\"a\":" schema "}}"
        {INSIDE("{}"), NULL},
        {INSIDE("{\"type\":\"object\"}"), NULL},
        {INSIDE("{\"type\":\"array\"}"), NULL},
        {INSIDE("{\"enum\":[\"a\",1]}"), NULL},
        {INSIDE("{\"const\":[]}"), NULL},
        {INSIDE("{\"type\":\"string\",\"not\":{\"const\":\"b\"}}"), NULL},
        {INSIDE("{\"oneOf\":[{\"type\":\"string\"}]}"), NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mr_schema *schema = compile(rows[i][0]);
        bool all_required = true;
        const char *narrow = mr_schema_narrow(schema, &all_required);
        CHECK(!all_required || i == 1);
        CHECK((narrow == NULL) == (rows[i][1] == NULL));
        if (narrow)
            CHECK_STR(narrow, rows[i][1]);
        mr_schema_free(schema);
    }
    struct mr_schema *schema = compile(mr_embedded_find("schemas/entities.schema.json")->text);
    bool all_required = false;
    CHECK(mr_schema_narrow(schema, &all_required) && all_required);
    mr_schema_free(schema);
}

TEST_MAIN(TEST(narrows_what_providers_can_enforce), TEST(says_what_is_wrong_and_where),
    TEST(refuses_schemas_it_does_not_understand), TEST(refuses_endless_recursion),
    TEST(hostile_documents_do_not_stall_it), TEST(counts_characters_not_bytes),
    TEST(reads_patterns_as_ecmascript), TEST(shipped_schemas_compile),
    TEST(an_event_conforms_to_its_schema), TEST(threads_share_a_schema))
