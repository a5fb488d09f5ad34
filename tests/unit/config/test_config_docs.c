#include "common/custom.h"
#include "tests/unit/config/config_help.h"

#define DOC MR_SOURCE_ROOT "/docs/configuration.md"

static char *slurp(FILE *f)
{
    char *text = calloc(1, 1 << 18);

    CHECK(text);
    CHECK(fread(text, 1, (1 << 18) - 1, f) > 0);
    return text;
}

static char *printed(const struct mr_config *config)
{
    FILE *f = tmpfile();

    CHECK(f);
    CHECK_INT(config ? mr_config_print(config, f) : mr_config_print_reference(f), 0);
    rewind(f);
    char *text = slurp(f);
    fclose(f);
    return text;
}

static void reference_is_current(void)
{
    char *text = printed(NULL);

    if (getenv("MILLRACE_UPDATE_DOCS"))
        put_file(DOC, text);
    FILE *f = fopen(DOC, "re");
    CHECK(f);
    char *checked_in = slurp(f);
    fclose(f);
    if (strcmp(text, checked_in) != 0) {
        fprintf(stderr, "# out of date: MILLRACE_UPDATE_DOCS=1 meson test config_docs\n");
        abort();
    }
    free(checked_in);
    free(text);
}

static void printed_configuration_loads_again(void)
{
    struct mr_config *a =
        load_text("broker: { hosts = [\"x.example:1\"]; password_env = \"PW\"; };\n"
                  "worker: { grace = \"1500ms\"; extract_max_bytes = 5000; };\n"
                  "money: { ceiling_input = \"0.000001\"; };\n"
                  "models: ({ alias = \"m\"; provider = \"local\"; model = \"x\\\"\\\\y\"; params "
                  "= { t = 0.1; big = 5000000000L; u = 2.0; l = (1, \"two\", { a = true; }); "
                  "}; });\n"
                  "pipelines: ({ name = \"p\"; steps = ({ name = \"s\"; kind = \"chat\"; model = "
                  "\"m\"; prompt = \"a\\tb\\nc \\\"d\\\" {{input.text}} é\"; }); });");
    char *first = printed(a);
    struct mr_config *b = load_text(first);
    char *second = printed(b);

    CHECK_STR(first, second);
    CHECK(strstr(first, "password_env = \"PW\"; # holds: ***"));
    CHECK(strstr(first, "grace = \"1500ms\";"));
    CHECK(strstr(first, "t = 0.1; "));
    const struct mr_pipeline *p = mr_config_pipeline(b, "p", 0);
    CHECK_STR(p->steps[0].prompt, "a\tb\nc \"d\" {{input.text}} é");
    CHECK(json_equal(
        p->steps[0].model->params, mr_config_pipeline(a, "p", 0)->steps[0].model->params));
    free(first);
    free(second);
    mr_config_unref(a);
    mr_config_unref(b);
}

/* Every list, and every key of kind custom. */
static void lists_load_again(void)
{
    struct mr_config *a = load_text(
        "breaker: { failures = 9; };\nworker: { region = \"eu-west\"; };\n"
        "retry: ({ class = \"ambiguous\"; tries = 2; first = \"90s\"; factor = 1.25; max = "
        "\"90s\"; });\n"
        "providers: ({ name = \"o\"; kind = \"openai\"; key_env = \"K\"; endpoints = ({ name = "
        "\"a\"; region = \"eu-west\"; weight = 2; health = \"/models\"; }, { name = \"b\"; "
        "key_file "
        "= \"/k\"; ca_file = \"/ca\"; }); },\n"
        "  { name = \"c\"; kind = \"custom\"; base_url = \"https://c.example\"; custom = { path = "
        "\"/g/{{model}}\"; key_header = \"x-key\"; headers = [\"a: \\\"b\\\"\", \"c: d\"]; body = "
        "\"{\\n\\t\\\"q\\\": {{user}}, \\\"n\\\": {{max_tokens}}}\"; text = \"[0].t\"; finish = "
        "\"f\"; ok = [\"s\"]; "
        "length = [\"l\"]; refused = [\"r\"]; served_model = \"m\"; input = "
        "\"i\"; cached = \"c\"; cache_write = \"w\"; output = \"o\"; "
        "usage_inclusive = false; error = \"e\"; }; });\n"
        "models: ({ alias = \"m\"; provider = \"o\"; model = \"x\"; rpm = 5; tpm = 6000000000L; "
        "concurrency = 7; fallback = [\"n\", \"local\"]; choose = ({ when = \"tenant == 'a''b' && "
        "metadata['k\\\"'] != 1\"; use = \"n\"; }, { when = \"priority > 7\"; use = \"default\"; "
        "}); "
        "},\n  { alias = \"n\"; provider = \"c\"; model = \"y\"; });\n"
        "pipelines: ({ name = \"p\"; steps = ({ name = \"s\"; kind = \"chat\"; model = \"m\"; task "
        "= \"class\"; prompt = \"x\"; patience = \"90m\"; cache = \"3d\"; }); });");
    char *first = printed(a);
    struct mr_config *b = load_text(first);
    char *second = printed(b);

    CHECK_STR(first, second);
    CHECK(strstr(first, "tpm = 6000000000L;"));
    CHECK(strstr(first, "factor = 1.25;"));
    CHECK(strstr(first, "patience = \"90m\";"));
    CHECK(strstr(first, "cache = \"3d\";"));
    CHECK(strstr(first, "fallback = [\"n\", \"local\"];"));
    CHECK_STR(b->providers[2].custom->body, "{\n\t\"q\": {{user}}, \"n\": {{max_tokens}}}");
    CHECK_STR(b->providers[1].endpoints[1].ca_file, "/ca");
    CHECK_INT(b->breaker.failures, 9);
    CHECK_INT(b->retry[MR_CLASS_AMBIGUOUS].factor_percent, 125);
    free(first);
    free(second);
    mr_config_unref(a);
    mr_config_unref(b);
}

static void fail_on_warning(void *ctx, const char *warning)
{
    fprintf(stderr, "# %s: %s\n", (const char *)ctx, warning);
    abort();
}

static struct mr_config *load_sample(const char *path)
{
    struct mr_config *c = NULL;
    struct mr_err err = {0};

    int rc = mr_config_load(path, &c, &err);
    if (rc < 0)
        fprintf(stderr, "# %s\n", err.msg);
    CHECK_INT(rc, 0);
    mr_config_warn(c, fail_on_warning, (void *)path);
    return c;
}

static void samples_load(void)
{
    struct mr_config *c = load_sample(MR_SOURCE_ROOT "/ops/config/millrace.sample.cfg");

    CHECK(c->nproviders > 1);
    mr_config_unref(c);
    c = load_sample(MR_SOURCE_ROOT "/ops/config/providers.cfg");
    const struct mr_model *model = mr_config_pipeline(c, "document", 0)->steps[1].model;
    CHECK_STR(model->provider->endpoints[0].region, c->worker.region);
    CHECK_INT(model->nfallback, 2);
    CHECK_INT(model->nrules, 2);
    CHECK(model->rules[0].use->provider->custom);
    mr_config_unref(c);
}

/* What the README says to write. */
static void readme_loads(void)
{
    FILE *f = fopen(MR_SOURCE_ROOT "/README.md", "re");
    CHECK(f);
    char *text = slurp(f);
    fclose(f);
    char *begin = strstr(text, "```\nproviders: (");
    CHECK(begin);
    char *end = strstr(begin + 4, "```");
    CHECK(end);
    *end = '\0';
    struct mr_config *c = load_text(begin + 4);
    CHECK_STR(mr_config_pipeline(c, "document", 0)->steps[1].model->provider->name, "openai");
    mr_config_unref(c);
    free(text);
}

TEST_MAIN(TEST(reference_is_current), TEST(printed_configuration_loads_again),
    TEST(lists_load_again), TEST(samples_load), TEST(readme_loads))
