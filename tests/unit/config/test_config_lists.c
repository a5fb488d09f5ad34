#include "tests/unit/config/config_help.h"

#include <sys/stat.h>

#define CHAT(name, rest)                                                                           \
    "{ name = \"" name "\"; kind = \"chat\"; model = \"default\"; prompt = \"x\"; " rest " }"
#define PIPELINE(steps) "pipelines: ({ name = \"p\"; steps = (" steps "); });"

static void own_items_add_and_replace(void)
{
    struct mr_config *c = load_text(
        "providers: ({ name = \"ollama\"; kind = \"openai\"; "
        "base_url = \"http://127.0.0.1:11434/v1/\"; });\n"
        "models: ({ alias = \"summarizer\"; provider = \"ollama\"; model = \"qwen3:8b\";\n"
        "  params = { temperature = 0.25; stop = [\"a\", \"b\"]; seed = 7; think = false; };\n"
        "  accepts = [\"temperature\", \"seed\"]; });\n"
        "pipelines: ({ name = \"document\"; version = 2; steps = (" CHAT("one", "") "); });");

    CHECK_INT(c->nproviders, 2);
    CHECK_INT(c->nmodels, 4);
    CHECK_INT(c->npipelines, 3);
    const struct mr_pipeline *old = mr_config_pipeline(c, "document", 1);
    CHECK_INT(old->nsteps, 3);
    CHECK_INT(mr_config_pipeline(c, "document", 0)->version, 2);
    const struct mr_model *m = old->steps[1].model;
    CHECK_STR(m->model, "qwen3:8b");
    CHECK_STR(m->provider->endpoints[0].base_url, "http://127.0.0.1:11434/v1");
    CHECK(m->provider->kind == MR_PROVIDER_OPENAI);
    CHECK_INT(json_object_size(m->params), 4);
    CHECK(json_real_value(json_object_get(m->params, "temperature")) == 0.25);
    CHECK_INT(m->accepts.count, 2);
    mr_config_unref(c);
}

static void steps_are_sorted(void)
{
    struct mr_config *c = load_text(PIPELINE(
        CHAT("last", "after = [\"b\", \"a\"];") "," CHAT("a", "after = [];") "," CHAT("b", "")));
    const struct mr_pipeline *p = mr_config_pipeline(c, "p", 0);

    CHECK_STR(p->steps[0].name, "a");
    CHECK_STR(p->steps[1].name, "b");
    CHECK_STR(p->steps[2].name, "last");
    CHECK_INT(p->steps[0].after, 0);
    CHECK_INT(p->steps[1].after, 1);
    CHECK_INT(p->steps[2].after, 3);
    mr_config_unref(c);
}

static void pipelines_are_checked(void)
{
    refuse_text(PIPELINE(CHAT("a", "after = [\"c\"];") "," CHAT("b", "") "," CHAT("c", "")),
        "a -> c -> b -> a");
    refuse_text(PIPELINE(CHAT("a", "after = [\"a\"];")), "a -> a");
    refuse_text(PIPELINE(CHAT("first", "") "," CHAT("b", "after = [\"frist\"];")),
        "pipeline 'p', step 'b': after names 'frist', which is no step here; did you mean "
        "'first'?");
    refuse_text(PIPELINE(CHAT("a", "") "," CHAT("a", "")), "step 'a': is there twice");
    refuse_text(PIPELINE(CHAT("a.b", "")), "no dot");
    refuse_text(PIPELINE(CHAT("input", "")), "something else");
    refuse_text(PIPELINE(""), "1 to 32 steps");
    refuse_text(PIPELINE(CHAT("a", "timeout = \"11m\";")), "between 100ms and 10m");
    refuse_text(PIPELINE(CHAT("a", "on_error = \"ignore\";")), "fail|skip|degrade");
    refuse_text(PIPELINE(CHAT("a", "max_token = 1;")), "did you mean 'max_tokens'?");
    refuse_text(PIPELINE(CHAT("a", "schema = \"nope\";")), "built-in schema 'nope'");
    refuse_text(PIPELINE("{ name = \"e\"; kind = \"extract\"; prompt = \"x\"; }"), "'prompt'");
    refuse_text(PIPELINE("{ name = \"e\"; kind = \"chat\"; prompt = \"x\"; }"), "'model'");
    refuse_text(
        PIPELINE("{ name = \"e\"; kind = \"chat\"; model = \"default\"; }"), "'prompt_file'");
    refuse_text(
        PIPELINE("{ name = \"e\"; kind = \"chat\"; model = \"summariser\"; prompt = \"x\"; }"),
        "pipeline 'p', step 'e': unknown model 'summariser'; did you mean 'summarizer'?");
    refuse_text("pipelines: ({ name = \"p\"; });", "'steps' is missing");
    refuse_text("pipelines: ({ name = \"p\"; version = 1.5; steps = (" CHAT("a", "") "); });",
        "pipelines.version: must be a whole number");
    refuse_text(
        "pipelines: ({ name = \"p\"; steps = (" CHAT("a", "") "); },\n{ name = \"p\"; version = 1; "
                                                              "steps = (" CHAT("a", "") "); });",
        "t.cfg:2: pipelines 'p' is there twice, first in line 1");
}

static void references_are_checked(void)
{
    refuse_text("models: ({ alias = \"m\"; provider = \"locl\"; model = \"x\"; });",
        "t.cfg:1: model 'm': unknown provider 'locl'; did you mean 'local'?");
    refuse_text("models: ({ alias = \"m\"; model = \"x\"; });", "'provider' is missing");
    refuse_text("models: ({ alias = \"m\"; provider = \"local\"; model = \"x\"; params = { stream "
                "= true; }; });",
        "'stream'");
    refuse_text("providers: ({ name = \"a\"; kind = \"openai\"; key_file = \"k\"; key_env = \"K\"; "
                "});",
        "exclude");
    refuse_text("providers: ({ name = \"a\"; kind = \"local\"; });", "must be named 'local'");
    refuse_text("providers: ({ name = \"local\"; kind = \"local\"; key_env = \"K\"; });", "no key");
    refuse_text("providers: ({ name = \"a\"; kind = \"openapi\"; });", "local|openai");
    refuse_text("providers: ({ name = \"a\"; kind = \"openai\"; base_url = \"ftp://x\"; });",
        "must begin with http");
    refuse_text("providers: ({ kind = \"openai\"; });", "'name' is missing");
    refuse_text("providers = 3;", "must be a list");
    refuse_text("providers: (3);", "must be a group");
}

static void files_of_steps_are_read(void)
{
    put_file("prompt.txt", "Say {{input.text}}\nand no more.");
    put_file("s.json", "{\"type\":\"object\"}");
    put_file("bad.json", "{\"type\":");
    struct mr_config *c =
        load_text(PIPELINE("{ name = \"a\"; kind = \"chat\"; model = \"default\"; prompt_file = "
                           "\"prompt.txt\"; schema_file = \"s.json\"; }"));
    const struct mr_step_def *step = &mr_config_pipeline(c, "p", 0)->steps[0];
    CHECK_STR(step->prompt, "Say {{input.text}}\nand no more.");
    CHECK_STR(step->schema_text, "{\"type\":\"object\"}");
    CHECK(step->schema);
    CHECK_STR(step->schema_file, "./s.json");
    mr_config_unref(c);
    refuse_text(PIPELINE(CHAT("a", "prompt_file = \"prompt.txt\";")), "exclude");
    refuse_text(PIPELINE(CHAT("a", "schema_file = \"absent.json\";")), "absent.json");
    refuse_text(PIPELINE(CHAT("a", "schema_file = \"bad.json\";")), "t.cfg:1: ");
}

static void keys_are_loaded(void)
{
    struct mr_err err = {0};

    put_file("key", "sk-123\n");
    CHECK_INT(chmod("key", 0600), 0);
    setenv("MY_KEY", "sk-456", 1);
    struct mr_config *c = load_text("providers: ({ name = \"a\"; kind = \"openai\"; key_file = "
                                    "\"key\"; }, { name = \"b\"; kind = \"openai\"; "
                                    "key_env = \"MY_KEY\"; });");
    CHECK_INT(mr_config_load_keys(c, &err), 0);
    CHECK(!c->providers[0].endpoints[0].key);
    CHECK_STR(mr_secret_reveal(c->providers[1].endpoints[0].key), "sk-123");
    CHECK_STR(mr_secret_reveal(c->providers[2].endpoints[0].key), "sk-456");
    mr_config_unref(c);
    CHECK_INT(chmod("key", 0644), 0);
    c = load_text("providers: ({ name = \"a\"; kind = \"openai\"; key_file = \"key\"; });");
    CHECK(mr_config_load_keys(c, &err) < 0);
    CHECK(strstr(err.msg, "provider 'a'"));
    CHECK(!strstr(err.msg, "sk-123"));
    mr_config_unref(c);
}

TEST_MAIN(TEST(own_items_add_and_replace), TEST(steps_are_sorted), TEST(pipelines_are_checked),
    TEST(references_are_checked), TEST(files_of_steps_are_read), TEST(keys_are_loaded))
