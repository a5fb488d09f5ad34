/* Endpoints, and the wire format of kind custom. */
#include "common/custom.h"
#include "tests/unit/config/config_help.h"

static void endpoints_have_the_providers_defaults(void)
{
    struct mr_config *c = load_text(
        "providers: ({ name = \"o\"; kind = \"openai\"; key_file = \"k\"; connect_timeout = "
        "\"2s\"; region = \"us\"; endpoints = (\n"
        "  { name = \"a\"; },\n"
        "  { name = \"b\"; base_url = \"https://eu.example/v1/\"; key_env = \"EU\"; region = "
        "\"eu\"; weight = 3; health = \"/models\"; connect_timeout = \"9s\"; }); });");
    const struct mr_provider *p = &c->providers[1];
    const struct mr_endpoint *a = &p->endpoints[0], *b = &p->endpoints[1];

    CHECK_INT(p->nendpoints, 2);
    CHECK(a->provider == p && b->provider == p);
    CHECK_STR(a->name, "a");
    CHECK_STR(a->base_url, "https://api.openai.com/v1");
    CHECK_STR(a->key_file, "./k");
    CHECK(!a->key_env && !a->health);
    CHECK_STR(a->region, "us");
    CHECK_INT(a->weight, 1);
    CHECK_INT(a->connect_timeout_ms, 2000);
    CHECK_STR(b->base_url, "https://eu.example/v1");
    CHECK(!b->key_file);
    CHECK_STR(b->key_env, "EU");
    CHECK_STR(b->region, "eu");
    CHECK_INT(b->weight, 3);
    CHECK_STR(b->health, "/models");
    CHECK_INT(b->connect_timeout_ms, 9000);
    CHECK_STR(c->providers[0].endpoints[0].name, "local");
    mr_config_unref(c);
}

#define ENDPOINTS(list) "providers: ({ name = \"o\"; kind = \"openai\"; endpoints = (" list "); });"

static void endpoints_are_checked(void)
{
    refuse_text(ENDPOINTS("{ name = \"a\"; },\n{ name = \"a\"; }"),
        "t.cfg:2: provider 'o': endpoint 'a' is there twice");
    refuse_text(ENDPOINTS("{ region = \"eu\"; }, { region = \"us\"; }"), "give each its own name");
    refuse_text(ENDPOINTS(""), "must have 1 to 32 endpoints, not 0");
    refuse_text(ENDPOINTS("3"), "must be a group");
    refuse_text(
        ENDPOINTS("{ name = \"a\"; kind = \"openai\"; }"), "unknown key 'kind' in endpoints");
    refuse_text(ENDPOINTS("{ wieght = 3; }"), "did you mean 'weight'?");
    refuse_text(ENDPOINTS("{ weight = 0; }"), "between 1 and 1000");
    refuse_text(ENDPOINTS("{ health = \"models\"; }"), "must begin with a slash");
    refuse_text(ENDPOINTS("{ key_env = \"K\"; key_file = \"k\"; }"), "exclude each other");
    refuse_text("providers: ({ name = \"o\"; kind = \"openai\"; base_ulr = \"x\"; });",
        "unknown key 'base_ulr' in providers; did you mean 'base_url'?");
    refuse_text("providers: ({ name = \"local\"; kind = \"local\"; endpoints = ({ }); });",
        "kind local has no endpoints");
}

static void keys_name_their_endpoint(void)
{
    struct mr_err err = {0};

    setenv("KEY_OF_A", "sk-a", 1);
    struct mr_config *c =
        load_text(ENDPOINTS("{ name = \"a\"; key_env = \"KEY_OF_A\"; }, { name = \"b\"; key_env = "
                            "\"KEY_OF_B\"; }"));
    CHECK(mr_config_load_keys(c, &err) < 0);
    CHECK(strstr(err.msg, "key of provider 'o': endpoint 'b': "));
    setenv("KEY_OF_B", "sk-b", 1);
    CHECK_INT(mr_config_load_keys(c, &err), 0);
    CHECK_STR(mr_secret_reveal(c->providers[1].endpoints[0].key), "sk-a");
    CHECK_STR(mr_secret_reveal(c->providers[1].endpoints[1].key), "sk-b");
    mr_config_unref(c);
}

#define BODY                                                                                       \
    "body = \"{\\\"m\\\":{{model}},\\\"s\\\":{{system}},\\\"u\\\":[{{user}}],\\\"n\\\":"           \
    "{{max_tokens}},\\\"f\\\":{{schema}}}\";"
#define CUSTOM_WITH(path, body, more)                                                              \
    "providers: ({ name = \"acme\"; kind = \"custom\"; base_url = \"https://a.example\"; key_env " \
    "= \"K\";\ncustom = { path = \"" path "\"; " body " text = \"out[0].text\"; " more " }; });"
#define CUSTOM(more) CUSTOM_WITH("/gen/{{model}}", BODY, more)

static void custom_is_read(void)
{
    struct mr_config *c = load_text(
        CUSTOM("key_header = \"x-api-key\"; headers = [\"x-version: 3\"]; finish = \"out[0].why\"; "
               "ok = [\"stop\"]; length = [\"len\"]; input = \"u.in\"; output = \"u.out\"; "
               "usage_inclusive = false;"));
    const struct mr_custom *custom = c->providers[1].custom;

    CHECK(c->providers[1].kind == MR_PROVIDER_CUSTOM);
    CHECK(!c->providers[0].custom);
    CHECK_STR(custom->path, "/gen/{{model}}");
    CHECK_STR(custom->key_header, "x-api-key: ");
    CHECK_STR(custom->headers.items[0], "x-version: 3");
    CHECK_STR(custom->length.items[0], "len");
    CHECK_INT(custom->refused.count, 0);
    CHECK(!custom->usage_inclusive && !custom->error);
    mr_config_unref(c);
    c = load_text(CUSTOM(""));
    CHECK_STR(c->providers[1].custom->key_header, "Authorization: Bearer ");
    CHECK(c->providers[1].custom->usage_inclusive);
    mr_config_unref(c);
    put_file("body.json", "{\n  \"prompt\": {{user}}, \"n\": {{max_tokens}}\n}\n");
    c = load_text(CUSTOM_WITH("/g", "body_file = \"body.json\";", ""));
    CHECK_STR(
        c->providers[1].custom->body, "{\n  \"prompt\": {{user}}, \"n\": {{max_tokens}}\n}\n");
    mr_config_unref(c);
}

#define BODY_OF(text) CUSTOM_WITH("/", "body = \"" text "\";", "")

static void custom_is_checked(void)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {CUSTOM_WITH("gen", BODY, ""), "t.cfg:2: provider 'acme': custom: path: must begin with /"},
        {CUSTOM_WITH("/{{user}}", BODY, ""), "path: may hold no {{...}} but {{model}}"},
        {CUSTOM_WITH("/g?a b", BODY, ""), "path: must not hold a blank or a fragment"},
        {BODY_OF("{\\\"a\\\": \\\"{{user}}\\\", \\\"n\\\": {{max_tokens}}}"), "body: is no JSON"},
        {BODY_OF("[{{user}}, {{max_tokens}}]"), "body: must be a JSON object"},
        {BODY_OF("{\\\"a\\\": {{prompt}}}"), "is none of {{model}}"},
        {BODY_OF("{\\\"a\\\": {{user}"), "is none of {{model}}"},
        {BODY_OF("{\\\"a\\\": {{user}}}"), "body: must hold {{user}} and {{max_tokens}}"},
        {CUSTOM_WITH("/", "", ""), "body: is missing"},
        {CUSTOM("body_file = \"x\";"), "body and body_file exclude each other"},
        {CUSTOM("headers = [\"x\"];"), "is not \"Name: value\""},
        {CUSTOM("headers = [\"a b: c\"];"), "is not \"Name: value\""},
        {CUSTOM("headers = [\"x: a\\x0d\\x0ab: c\"];"), "is not \"Name: value\""},
        {CUSTOM("headers = [\"Content-Length: 3\"];"), "'content-length' is not yours to set"},
        {CUSTOM(
             "headers = [\"a: 1\", \"a: 1\", \"a: 1\", \"a: 1\", \"a: 1\", \"a: 1\", \"a: 1\"];"),
            "headers: more than 6"},
        {CUSTOM("key_header = \"x api\";"), "key_header: must be"},
        {CUSTOM("served_model = \"a..b\";"), "served_model: \"a..b\" is no path"},
        {CUSTOM("served_model = \"a[b]\";"), "is no path"},
        {CUSTOM("served_model = \"a[1\";"), "is no path"},
        {CUSTOM("served_model = \"a[1]b\";"), "is no path"},
        {CUSTOM("served_model = \"a.\";"), "is no path"},
        {CUSTOM("input = \"a\";"), "input and output go together"},
        {CUSTOM("finish = \"a\";"), "ok: the words of finish"},
        {CUSTOM("ok = [\"a\"];"), "finish: is missing"},
        {CUSTOM("finnish = \"a\";"), "unknown key 'finnish' in custom; did you mean 'finish'?"},
        {"providers: ({ name = \"a\"; kind = \"custom\"; base_url = \"https://x\"; });",
            "provider 'a': kind custom needs custom = { ... }"},
        {"providers: ({ name = \"a\"; kind = \"openai\"; custom = { }; });", "is for kind custom"},
        {"providers: ({ name = \"a\"; kind = \"custom\"; custom = { text = \"t\"; " BODY " }; });",
            "kind custom needs a base_url"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refuse_text(cases[i].text, cases[i].words);
}

TEST_MAIN(TEST(endpoints_have_the_providers_defaults), TEST(endpoints_are_checked),
    TEST(keys_name_their_endpoint), TEST(custom_is_read), TEST(custom_is_checked))
