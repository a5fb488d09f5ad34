/* What is asked of the fleet, and whether it kept its promises. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Two pipelines of four steps: one at home in pool main, one that wanders. */
static const char config_text[] =
    "providers: ({ name = \"p\"; kind = \"openai\"; endpoints = (\n"
    "    { name = \"a\"; base_url = \"http://127.0.0.1:1/v1\"; health = \"/models\"; },\n"
    "    { name = \"b\"; base_url = \"http://127.0.0.1:2/v1\"; weight = 2; }); },\n"
    "  { name = \"q\"; kind = \"openai\"; base_url = \"http://127.0.0.1:3/v1\"; });\n"
    "models: ({ alias = \"m\"; provider = \"p\"; model = \"m-1\"; fallback = [\"n\"]; },\n"
    "  { alias = \"n\"; provider = \"q\"; model = \"n-1\"; });\n"
    "worker: { pool = \"%s\"; slots = 16; lease_max = \"60s\"; };\n"
    "pipelines: ({ name = \"home\"; version = 1; steps = (\n"
    "  { name = \"extract\"; kind = \"extract\"; timeout = \"20s\"; },\n"
    "  { name = \"left\"; kind = \"chat\"; model = \"m\"; prompt = \"Sum up {{extract.text}}\";\n"
    "    after = [\"extract\"]; timeout = \"20s\"; },\n"
    "  { name = \"right\"; kind = \"chat\"; model = \"m\"; prompt = \"List {{extract.text}}\";\n"
    "    after = [\"extract\"]; on_error = \"skip\"; timeout = \"20s\"; },\n"
    "  { name = \"join\"; kind = \"chat\"; model = \"m\"; prompt = \"Join {{left.text}}\";\n"
    "    after = [\"left\", \"right\"]; timeout = \"20s\"; cache = \"20s\"; }\n"
    "); }, { name = \"away\"; version = 1; steps = (\n"
    "  { name = \"extract\"; kind = \"extract\"; timeout = \"20s\"; },\n"
    "  { name = \"left\"; kind = \"chat\"; model = \"m\"; prompt = \"Sum up {{extract.text}}\";\n"
    "    after = [\"extract\"]; timeout = \"20s\"; pool = \"gpu\"; },\n"
    "  { name = \"right\"; kind = \"chat\"; model = \"m\"; prompt = \"List {{extract.text}}\";\n"
    "    after = [\"extract\"]; on_error = \"degrade\"; task = \"summary\"; timeout = \"20s\"; },\n"
    "  { name = \"join\"; kind = \"chat\"; model = \"m\"; prompt = \"Join {{left.text}}\";\n"
    "    after = [\"left\", \"right\"]; task = \"summary\"; timeout = \"20s\"; cache = \"20s\"; "
    "pool = \"gpu\"; }\n"
    "); });\n";

struct mr_config *sim_config(const char *pool)
{
    char path[] = "/tmp/millrace-sim-XXXXXX";
    int fd = mkstemp(path);
    struct mr_config *config = NULL;
    struct mr_err err = {0};
    if (fd < 0 || dprintf(fd, config_text, pool) < 0 || mr_config_load(path, &config, &err) < 0)
        fprintf(stderr, "sim: %s\n", err.msg);
    unlink(path);
    close(fd);
    return config;
}

static void enqueue_one(struct sim *sim, struct sim_job *job, int index)
{
    char id[MR_UUID_LEN], body[1024], deadline[64] = "", key[64] = "";
    struct mr_clock clock = {sim_wall, sim_mono, sim};
    struct mr_random random = {sim_fill, sim};
    *job = (struct sim_job){.id = mr_uuid7(&clock, &random),
        .tenant = (index / 10) % SIM_TENANTS,
        .worker = -1,
        .twin = -1,
        .letters_replay = -1,
        .steps = json_object(),
        .stubborn = sim_happens(sim, sim->chaos / 20)};
    mr_uuid_format(&job->id, id);
    if (sim_happens(sim, sim->chaos / 10)) {
        char text[MR_TIME_LEN];
        job->deadline_ms = 1 + (int64_t)sim_random(sim, 60000);
        mr_time_format(sim_wall(sim) + job->deadline_ms, text);
        snprintf(deadline, sizeof(deadline), ",\"deadline\":\"%s\"", text);
    }
    if (index % 10 >= 8) { /* jobs 8 and 9, 18 and 19, ... share a key */
        job->twin = index % 2 ? index - 1 : index + 1;
        snprintf(key, sizeof(key), ",\"idempotency_key\":\"k%d\"", index / 10);
    }
    int n = snprintf(body, sizeof(body),
        "{\"v\":1,\"id\":\"%s\",\"tenant\":\"t%d\",\"pipeline\":\"%s\",\"priority\":%d%s%s,"
        "\"input\":{\"text\":\"Some text. It goes on.\"}}",
        id, job->tenant, index % 3 ? "home" : "away", 1 + (int)sim_random(sim, 10), deadline, key);
    struct sim_msg msg = {.body = body,
        .len = (size_t)n,
        .lane = (enum mr_lane)sim_random(sim, MR_LANE_COUNT),
        .pool = "main"};
    snprintf(msg.tenant, sizeof(msg.tenant), "t%d", job->tenant);
    int64_t late_ms = sim->outages_only ? SIM_STORM_MS : 150000;
    sim_broker_put(sim, &msg, sim_random(sim, 2) ? (int64_t)sim_random(sim, (uint64_t)late_ms) : 0);
    if (sim_happens(sim, sim->chaos)) /* a producer that publishes again after a lost confirm */
        sim_broker_put(sim, &msg, 0);
}

void sim_enqueue(struct sim *sim)
{
    for (; sim->njobs < SIM_JOBS; sim->njobs++)
        enqueue_one(sim, &sim->jobs[sim->njobs], (int)sim->njobs);
    char garbage[] = "{\"v\":1,\"id\":\"none\"}";
    struct sim_msg msg = {.body = garbage, .len = strlen(garbage), .pool = "main"};
    sim_broker_put(sim, &msg, 0);
}

static void judge_job(struct sim *sim, size_t i)
{
    const struct sim_job *job = &sim->jobs[i];
    bool replayable = job->letters > 0 && job->letters_replay >= job->replays;
    if (job->state == SIM_QUEUED)
        sim_fail(sim, "job %zu was cancelled, and its message never came", i);
    else if (job->state == SIM_NONE && !(job->unclaimable && job->letters > 0))
        sim_fail(sim, "job %zu is lost", i);
    else if (job->state == SIM_RUNNING || job->state == SIM_WAITING)
        sim_fail(sim, "job %zu has not ended (state %d)", i, (int)job->state);
    if (job->state != SIM_NONE && job->ends != 1 + job->revivals)
        sim_fail(sim, "job %zu has ended %u times in %u revivals", i, job->ends, job->revivals);
    if (job->state == SIM_DEAD && !replayable)
        sim_fail(sim, "job %zu is dead without a dead letter to replay", i);
    if (job->state == SIM_DONE && job->letters > 0 && job->revivals == 0 && !job->unclaimable)
        sim_fail(sim, "job %zu is done at once and has a dead letter", i);
    if (job->state == SIM_CANCELLED && !job->cancel_requested && !job->duplicate)
        sim_fail(sim, "job %zu is cancelled, but nobody asked", i);
    if (job->duplicate && sim->jobs[job->twin].duplicate)
        sim_fail(sim, "jobs %zu and %d are duplicates of each other", i, job->twin);
}

/* The promises, judged from the model's own tables. */
void sim_judge(struct sim *sim)
{
    if (sim->queue)
        sim_fail(sim, "a message is left in the queue");
    for (size_t i = 0; i < sim->njobs; i++)
        judge_job(sim, i);
    if (sim->rejects == 0 || sim->reject_letters == 0)
        sim_fail(sim, "a message that is no job left no trace");
    for (const struct sim_call *call = sim->calls; call; call = call->next) {
        if (call->state == MR_CALL_OPEN)
            sim_fail(sim, "a call is still open");
        if (call->hit && (call->cost != 0 || call->hold != 0))
            sim_fail(sim, "an answer from the cache costs something");
        if (call->requests > 1)
            sim_fail(sim, "one call was sent %u times", call->requests);
        if (call->state == MR_CALL_SETTLED && call->cost != call->billed)
            sim_fail(sim, "settled at %lld, billed %lld", (long long)call->cost,
                (long long)call->billed);
        if (call->state == MR_CALL_RELEASED && call->billed != 0)
            sim_fail(sim, "released, but billed %lld", (long long)call->billed);
        if (call->cost < call->billed)
            sim_fail(sim, "a call costs less than its bill");
    }
    for (int i = 0; i < SIM_WORKERS; i++)
        if (sim->workers[i].engine && !mr_engine_idle(sim->workers[i].engine))
            sim_fail(sim, "worker %d is not idle at the end", i);
}
