/* Models and what they say of each other; the retry table; durations of steps. */
#include "common/expr.h"
#include "tests/unit/config/config_help.h"

#define CLOUD "providers: ({ name = \"o\"; kind = \"openai\"; key_env = \"K\"; });\n"
#define MODEL(alias, more)                                                                         \
    "{ alias = \"" alias "\"; provider = \"o\"; model = \"x-" alias "\"; " more " }"
#define MODELS(list) CLOUD "models: (" list ");"

static const struct mr_model *model_of(const struct mr_config *config, const char *alias)
{
    for (size_t i = 0; i < config->nmodels; i++)
        if (strcmp(config->models[i].alias, alias) == 0)
            return &config->models[i];
    abort();
}

static void limits_of_a_model(void)
{
    struct mr_config *c =
        load_text(MODELS(MODEL("a", "rpm = 500; tpm = 5000000000L; concurrency = 64;")));

    CHECK_INT(model_of(c, "a")->rpm, 500);
    CHECK_INT(model_of(c, "a")->tpm, 5000000000);
    CHECK_INT(model_of(c, "a")->concurrency, 64);
    CHECK_INT(model_of(c, "default")->rpm, 0);
    mr_config_unref(c);
    refuse_text(MODELS(MODEL("a", "rpm = -1;")), "models.rpm: must be between 0 and 10000000");
    refuse_text(MODELS(MODEL("a", "tpm = \"1M\";")), "models.tpm: must be a whole number");
}

/* What is named may stand further down, and two models may stand in for each other. */
static void fallbacks_are_resolved(void)
{
    struct mr_config *c = load_text(
        MODELS(MODEL("a", "fallback = [\"b\", \"local\"];") "," MODEL("b", "fallback = (\"a\");")));
    const struct mr_model *a = model_of(c, "a"), *b = model_of(c, "b");

    CHECK_INT(a->nfallback, 2);
    CHECK(a->fallback[0] == b);
    CHECK(a->fallback[1]->provider->kind == MR_PROVIDER_LOCAL);
    CHECK_INT(b->nfallback, 1);
    CHECK(b->fallback[0] == a);
    CHECK_INT(model_of(c, "default")->nfallback, 0);
    mr_config_unref(c);
}

static void fallbacks_are_checked(void)
{
    refuse_text(MODELS(MODEL("first", "") "," MODEL("b", "fallback = [\"frist\"];")),
        "model 'b': fallback names 'frist', which is no model; did you mean 'first'?");
    refuse_text(
        MODELS(MODEL("b", "fallback = [\"b\"];")), "t.cfg:2: model 'b': fallback names itself");
    refuse_text(MODELS(MODEL("a", "") "," MODEL("b", "fallback = [\"a\", \"a\"];")), "'a' twice");
    refuse_text(MODELS(MODEL("a", "") "," MODEL("b", "fallback = [\"local\", \"a\"];")),
        "nothing comes after 'local'");
    refuse_text("models: ({ alias = \"b\"; provider = \"local\"; model = \"summary\"; fallback = "
                "[\"default\"]; });",
        "nothing comes after 'b'");
    refuse_text(MODELS(MODEL("b", "fallback = \"local\";")), "must be a list of aliases");
    refuse_text(MODELS(MODEL("b", "fallback = [3];")), "must be the alias of a model");
    refuse_text(MODELS(MODEL("local", "")), "the name is the built-in provider's");
}

#define STEP(more)                                                                                 \
    "pipelines: ({ name = \"p\"; steps = ({ name = \"s\"; kind = \"chat\"; model = \"a\"; prompt " \
    "= \"x\"; " more " }); });"

static void local_must_know_what_to_do(void)
{
    static const char words[] = "pipeline 'p', step 's': its model 'a' falls back on the local";

    refuse_text(MODELS(MODEL("a", "fallback = [\"local\"];")) STEP(""), words);
    refuse_text(MODELS(MODEL("a", "choose = ({ when = \"true\"; use = \"b\"; });") "," MODEL(
                    "b", "fallback = [\"local\"];")) STEP(""),
        words);
    mr_config_unref(
        load_text(MODELS(MODEL("a", "fallback = [\"local\"];")) STEP("task = \"summary\";")));
}

static void rules_choose(void)
{
    struct mr_config *c = load_text(MODELS(
        MODEL("a", "choose = ({ when = \"prompt_bytes < 4000\"; use = \"small\"; },\n"
                   "  { when = \"metadata.tier == 'gold'\"; use = \"big\"; });") "," MODEL("small",
            "choose = ({ when = \"tenant == 'acme'\"; use = \"big\"; });") "," MODEL("big", "")));
    struct mr_expr_vars vars = {.prompt_bytes = 3999, .tenant = "other"};
    const struct mr_model *a = model_of(c, "a"), *big = model_of(c, "big");
    const struct mr_rule *rule;

    CHECK(mr_model_choose(a, &vars, &rule) == model_of(c, "small"));
    CHECK_STR(rule->when, "prompt_bytes < 4000");
    vars.tenant = "acme";
    CHECK(mr_model_choose(a, &vars, &rule) == big);
    CHECK_STR(rule->when, "tenant == 'acme'");
    vars.prompt_bytes = 4000;
    CHECK(mr_model_choose(a, &vars, &rule) == a);
    CHECK(!rule);
    json_t *metadata = json_pack("{s:s}", "tier", "gold");
    vars.metadata = metadata;
    CHECK(mr_model_choose(a, &vars, &rule) == big);
    CHECK(rule == &a->rules[1]);
    json_decref(metadata);
    mr_config_unref(c);
}

static void rules_are_checked(void)
{
    refuse_text(MODELS(MODEL("a", "choose = (\n{ when = \"priority <\"; use = \"default\"; });")),
        "t.cfg:3: model 'a': when: column 11: expected a name, a value or '(', found the end");
    refuse_text(MODELS(MODEL("a", "choose = ({ when = \"true\"; use = \"b\"; });")),
        "model 'a': use names 'b', which is no model");
    refuse_text(
        MODELS(MODEL("a", "choose = ({ when = \"true\"; use = \"a\"; });")), "use names itself");
    refuse_text(MODELS(MODEL("a", "choose = ({ when = \"true\"; });")), "choose: 'use' is missing");
    refuse_text(MODELS(MODEL("a", "choose = ({ if = \"true\"; });")), "unknown key 'if' in choose");
    refuse_text(MODELS(MODEL("a", "choose = ({ when = \"true\"; use = \"b\"; });") "," MODEL(
                    "b", "choose = ({ when = \"false\"; use = \"a\"; });")),
        "model 'a': choose goes in a circle: the rules of 'b' lead back here");
}

#define RETRY(text) "retry: ({ " text " });"

static void retries_are_replaced_by_class(void)
{
    struct mr_config *c = load_text(RETRY("class = \"network\"; tries = 7; first = \"250ms\"; "
                                          "factor = 1.25; max = \"5s\"; }, { class = \"server\"; "
                                          "tries = 1;"));
    const struct mr_retry_rule *r = &c->retry[MR_CLASS_NETWORK];

    CHECK_INT(r->tries, 7);
    CHECK_INT(r->first_ms, 250);
    CHECK_INT(r->factor_percent, 125);
    CHECK_INT(r->max_ms, 5000);
    CHECK_INT(c->retry[MR_CLASS_SERVER].tries, 1);
    CHECK_INT(c->retry[MR_CLASS_OVERLOADED].tries, 4);
    CHECK_INT(c->retry[MR_CLASS_OVERLOADED].factor_percent, 150);
    CHECK_INT(c->retry[MR_CLASS_BAD_OUTPUT].tries, 2);
    CHECK_INT(c->retry[MR_CLASS_BAD_OUTPUT].max_ms, 0);
    CHECK_INT(c->retry[MR_CLASS_AUTH].tries, 0);
    mr_config_unref(c);
}

static void retries_are_checked(void)
{
    refuse_text(RETRY("class = \"auth\"; tries = 2;"),
        "t.cfg:1: retry: the class 'auth' is never repeated at the same place; those that can be "
        "are rate_limited|overloaded");
    refuse_text(RETRY("class = \"capped\"; tries = 2;"), "never repeated");
    refuse_text(
        RETRY("class = \"netwrok\"; tries = 2;"), "retry.class: must be one of rate_limited");
    refuse_text(RETRY("class = \"network\";"), "'tries' is missing");
    refuse_text(RETRY("tries = 2;"), "retry: 'class' is missing");
    refuse_text(RETRY("class = \"network\"; tries = 0;"), "between 1 and 20");
    refuse_text(RETRY("class = \"network\"; tries = 2; factor = 0.5;"), "between 1.0 and 10.0");
    refuse_text(RETRY("class = \"network\"; tries = 2; factor = 1.555;"), "a number such as 1.5");
    refuse_text(RETRY("class = \"network\"; tries = 2; factor = \"2\";"), "a number such as 1.5");
    refuse_text(RETRY("class = \"network\"; tries = 2; first = \"9s\"; max = \"1s\";"),
        "retry of 'network': max must not be less than first");
    refuse_text(RETRY("class = \"network\"; tries = 2; }, { class = \"network\"; tries = 3;"),
        "retry 'network' is there twice");
    refuse_text(RETRY("class = \"network\"; tires = 2;"), "did you mean 'tries'?");
}

static void steps_have_patience_and_a_cache(void)
{
    struct mr_config *c =
        load_text(MODELS(MODEL("a", "")) STEP("patience = \"30d\"; cache = \"36h\";"));
    const struct mr_step_def *step = &mr_config_pipeline(c, "p", 0)->steps[0];

    CHECK_INT(step->patience_ms, INT64_C(30) * 24 * 3600 * 1000);
    CHECK_INT(step->cache_ttl_ms, 36 * 3600 * 1000);
    step = &mr_config_pipeline(c, "document", 0)->steps[1];
    CHECK_INT(step->patience_ms, 24 * 3600 * 1000);
    CHECK_INT(step->cache_ttl_ms, 0);
    mr_config_unref(c);
    refuse_text(MODELS(MODEL("a", "")) STEP("patience = \"31d\";"), "between 0s and 30d");
    refuse_text(MODELS(MODEL("a", "")) STEP("cache = 5;"), "must be a duration");
    refuse_text("pipelines: ({ name = \"p\"; steps = ({ name = \"s\"; kind = \"extract\"; cache = "
                "\"1h\"; }); });",
        "'cache' is for chat steps");
}

static void breaker_and_region(void)
{
    struct mr_config *c = load_text("breaker: { open = \"10s\"; };\nworker: { region = \"eu\"; };");

    CHECK_INT(c->breaker.failures, 5);
    CHECK_INT(c->breaker.open_ms, 10000);
    CHECK_INT(c->breaker.successes, 3);
    CHECK_INT(c->breaker.probes, 3);
    CHECK_STR(c->worker.region, "eu");
    mr_config_unref(c);
    refuse_text("breaker: { probes = 0; };", "between 1 and 1000");
}

TEST_MAIN(TEST(limits_of_a_model), TEST(fallbacks_are_resolved), TEST(fallbacks_are_checked),
    TEST(local_must_know_what_to_do), TEST(rules_choose), TEST(rules_are_checked),
    TEST(retries_are_replaced_by_class), TEST(retries_are_checked),
    TEST(steps_have_patience_and_a_cache), TEST(breaker_and_region))
