#include "tests/unit/engine/fake.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char fake_good_body[] = "{\"id\":\"r\",\"model\":\"m-1\",\"choices\":[{\"index\":0,\"finish_"
                              "reason\":\"stop\",\"message\":"
                              "{\"role\":\"assistant\",\"content\":\"fine\"}}],\"usage\":{\"prompt_"
                              "tokens\":11,\"completion_tokens\":3}}";

static const char one_provider[] =
    "providers: ({ name = \"p\"; kind = \"openai\"; base_url = \"http://127.0.0.1:1/v1\"; });\n"
    "models: ({ alias = \"m\"; provider = \"p\"; model = \"m-1\"; });\n";

static const char config_text[] =
    "pipelines: (\n"
    "  { name = \"doc\"; version = 2; steps = (\n"
    "    { name = \"extract\"; kind = \"extract\"; },\n"
    "    { name = \"sum\"; kind = \"chat\"; model = \"m\"; prompt = \"Sum up {{extract.text}}\"; "
    "}); },\n"
    "  { name = \"far\"; steps = ({ name = \"far\"; kind = \"chat\"; model = \"m\"; prompt = "
    "\"{{input.text}}\"; pool = \"gpu\"; }); },\n"
    "  { name = \"hard\"; steps = ({ name = \"hard\"; kind = \"chat\"; model = \"m\"; prompt = "
    "\"{{input.text}}\"; }); },\n"
    "  { name = \"split\"; steps = (\n"
    "    { name = \"far\"; kind = \"chat\"; model = \"m\"; prompt = \"{{input.text}}\"; pool = "
    "\"gpu\"; },\n"
    "    { name = \"near\"; kind = \"chat\"; model = \"m\"; prompt = \"{{input.text}}\"; after = "
    "(); }); },\n"
    "  { name = \"pair\"; steps = (\n"
    "    { name = \"left\"; kind = \"chat\"; model = \"m\"; prompt = \"{{input.text}}\"; },\n"
    "    { name = \"right\"; kind = \"chat\"; model = \"m\"; prompt = \"{{input.text}}\"; after = "
    "(); }); },\n"
    "  { name = \"soft\"; steps = ({ name = \"soft\"; kind = \"chat\"; model = \"m\"; prompt = "
    "\"{{input.text}}\"; on_error = \"skip\"; }); },\n"
    "  { name = \"mild\"; steps = ({ name = \"mild\"; kind = \"chat\"; model = \"m\"; prompt = "
    "\"{{input.text}}\"; on_error = \"degrade\"; task = \"summary\"; }); }\n"
    ");\n";

static struct mr_price price = {.id = 7, .provider = "p", .model = "m-1", .input = 2, .output = 10};

static int64_t wall(void *ctx)
{
    return INT64_C(1790000000000) + ((struct fake *)ctx)->now_ms;
}

static int64_t mono(void *ctx)
{
    return ((struct fake *)ctx)->now_ms * 1000000;
}

static void on_ack(void *ctx, uint64_t session, uint64_t tag)
{
    struct fake *fake = ctx;
    fake->acks[fake->nacks++] = tag;
}

static void on_requeue(void *ctx, uint64_t session, uint64_t tag)
{
    struct fake *fake = ctx;
    fake->requeues[fake->nrequeues++] = tag;
}

static void on_publish(void *ctx, struct mr_publish *publish)
{
    struct fake *fake = ctx;
    if (publish->kind != MR_PUBLISH_EVENT) {
        fake->published[fake->npublished++] = publish;
        return;
    }
    snprintf(fake->news, sizeof(fake->news), "%s", publish->body);
    snprintf(fake->events[fake->nevents++], sizeof(fake->events[0]), "%s", publish->event);
    mr_publish_free(publish);
}

static void on_claim(void *ctx, struct mr_claim *claim)
{
    struct fake *fake = ctx;
    fake->claims[fake->nclaims++] = claim;
}

static void on_commit(void *ctx, struct mr_commit *commit)
{
    struct fake *fake = ctx;
    fake->commits[fake->ncommits++] = commit;
}

static void on_reject(void *ctx, void *owner, const struct mr_envelope_salvage *who,
    const struct mr_err *why, const char *body, size_t len)
{
    struct fake *fake = ctx;
    fake->reject_why = *why;
    fake->rejects[fake->nrejects++] = owner;
}

static void on_call(void *ctx, void *token, const struct mr_request *request)
{
    struct fake *fake = ctx;
    fake->requests[fake->ncalls] = request;
    fake->calls[fake->ncalls++] = token;
}

static void on_probe(void *ctx, void *token, const struct mr_endpoint *endpoint)
{
    struct fake *fake = ctx;
    fake->probed = endpoint;
    fake->probes[fake->nprobes++] = token;
}

static void on_note(void *ctx, const struct mr_breaker_note *note)
{
    struct fake *fake = ctx;
    fake->notes[fake->nnotes++] = *note;
}

static void on_extract(void *ctx, void *token, const struct mr_extract_job *job)
{
    struct fake *fake = ctx;
    fake->extracts[fake->nextracts++] = token;
}

static void on_abort(void *ctx, void *token)
{
    ((struct fake *)ctx)->naborts++;
}

static void load_config(struct fake *fake, const char *providers, const char *more)
{
    struct mr_err err = {0};
    FILE *file = fopen("fake.cfg", "we");
    CHECK(file && fprintf(file, "%s%s%s", providers, config_text, more) > 0 && fclose(file) == 0);
    if (mr_config_load("fake.cfg", &fake->config, &err) < 0) {
        fprintf(stderr, "# %s\n", err.msg);
        abort();
    }
}

static void init(struct fake *fake, const char *providers, const char *more)
{
    memset(fake, 0, sizeof(*fake));
    load_config(fake, providers, more);
    fake->prices = (struct mr_prices){.items = &price, .count = 1, .ceiling = price};
    fake->log = (struct mr_log){
        .fd = STDERR_FILENO, .level = (enum mr_level)(MR_ERROR + 1), .program = "test"};
    struct mr_world world = {
        .clock = {wall, mono, fake},
        .random = mr_random_system(),
        .broker = {on_ack, on_requeue, on_publish, fake},
        .store = {.claim = on_claim,
            .commit = on_commit,
            .reject = on_reject,
            .note_breaker = on_note,
            .ctx = fake},
        .caller = {.start = on_call, .abort = on_abort, .probe = on_probe, .ctx = fake},
        .extractor = {on_extract, on_abort, fake},
        .log = &fake->log,
    };
    CHECK(mr_engine_new(&world, fake->config, &fake->prices, &fake->engine, NULL) == 0);
}

void fake_init(struct fake *fake, const char *more)
{
    init(fake, one_provider, more);
}

void fake_init_bare(struct fake *fake, const char *providers)
{
    init(fake, providers, "");
}

void fake_deinit(struct fake *fake)
{
    mr_engine_free(fake->engine);
    mr_config_unref(fake->config);
}

void fake_deliver_body(struct fake *fake, uint64_t tag, const char *body)
{
    struct mr_delivery *delivery = calloc(1, sizeof(*delivery));
    *delivery = (struct mr_delivery){.session = 1,
        .tag = tag,
        .lane = MR_LANE_NORMAL,
        .body = strdup(body),
        .len = strlen(body)};
    mr_engine_delivered(fake->engine, delivery);
}

void fake_deliver(struct fake *fake, int n, uint64_t tag, const char *pipeline, const char *extra)
{
    char body[1024];
    snprintf(body, sizeof(body),
        "{\"v\":1,\"id\":\"00000000-0000-7000-8000-%012d\",\"tenant\":\"t\",\"pipeline\":\"%s\","
        "\"input\":{\"text\":\"Some text.\"}%s}",
        n, pipeline, extra);
    fake_deliver_body(fake, tag, body);
}

void fake_claimed(struct fake *fake, enum mr_verdict verdict, const char *steps_json)
{
    CHECK(fake->nclaims > 0);
    struct mr_claim *claim = fake->claims[fake->nclaims - 1];
    claim->verdict = verdict;
    claim->epoch = 1;
    claim->version = claim->pipeline_version;
    claim->steps = steps_json ? json_loads(steps_json, 0, NULL) : NULL;
    mr_engine_claimed(fake->engine, claim);
}

struct mr_commit *fake_commit(struct fake *fake)
{
    CHECK(fake->ncommits > 0);
    return fake->commits[fake->ncommits - 1];
}

void fake_committed(struct fake *fake, enum mr_verdict verdict)
{
    struct mr_commit *commit = fake_commit(fake);
    commit->verdict = verdict;
    mr_engine_committed(fake->engine, commit);
}

struct mr_call_row *fake_admission(struct fake *fake, enum mr_admission admission)
{
    CHECK_INT(fake_commit(fake)->nbegins, 1);
    fake_commit(fake)->begins[0]->admission = admission;
    return fake_commit(fake)->begins[0];
}

void fake_extracted(struct fake *fake, const char *text)
{
    struct mr_extract_result result = {.retry_after_ms = -1};
    CHECK(fake->nextracts > 0);
    if (text)
        result.output = json_pack("{s:s}", "text", text);
    else
        result.rc = mr_err_set(&result.err, -1, MR_CLASS_INVALID, "the document is empty");
    mr_engine_extracted(fake->engine, fake->extracts[fake->nextracts - 1], &result);
}

static void reply(struct fake *fake, struct mr_reply *what)
{
    CHECK(fake->ncalls > 0);
    what->retry_after_ms = what->should_retry = -1;
    mr_engine_replied(fake->engine, fake->calls[fake->ncalls - 1], what);
}

void fake_replied(struct fake *fake, int status, const char *body)
{
    struct mr_reply what = {.status = status, .body = MR_BUF_INIT(1 << 20)};
    CHECK(mr_buf_puts(&what.body, body) == 0);
    reply(fake, &what);
}

void fake_lost_reply(struct fake *fake, enum mr_transport transport)
{
    struct mr_reply what = {.transport = transport};
    reply(fake, &what);
}

void fake_published(struct fake *fake, bool confirmed)
{
    CHECK(fake->npublished > 0);
    mr_engine_published(fake->engine, fake->published[fake->npublished - 1], confirmed,
        confirmed ? NULL : "no queue");
}

void fake_pass(struct fake *fake, int64_t ms)
{
    fake->now_ms += ms;
    mr_engine_tick(fake->engine);
}
