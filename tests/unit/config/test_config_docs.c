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

static void sample_loads(void)
{
    struct mr_config *c = NULL;
    struct mr_err err = {0};

    int rc = mr_config_load(MR_SOURCE_ROOT "/ops/config/millrace.sample.cfg", &c, &err);
    if (rc < 0)
        fprintf(stderr, "# %s\n", err.msg);
    CHECK_INT(rc, 0);
    CHECK(c->nproviders > 1);
    mr_config_unref(c);
}

TEST_MAIN(TEST(reference_is_current), TEST(printed_configuration_loads_again), TEST(sample_loads))
