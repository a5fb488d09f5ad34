/* A provider that bills when the request arrives, keeps its own ledger, and behaves badly now and
 * then. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum outcome { GOOD, THROTTLED, BROKEN, EMPTY, REFUSED_TO_CONNECT, HUNG_UP, BAD_REQUEST };

struct flight {
    void *token;
    struct mr_uuid call;
    enum outcome outcome;
};

static const char good_body[] = "{\"id\":\"r\",\"model\":\"m-1\",\"choices\":[{\"index\":0,"
                                "\"finish_reason\":\"stop\",\"message\":"
                                "{\"role\":\"assistant\",\"content\":\"fine\"}}],\"usage\":{"
                                "\"prompt_tokens\":11,\"completion_tokens\":3}}";
static const char empty_body[] = "{\"choices\":[{\"finish_reason\":\"stop\",\"message\":{\"role\":"
                                 "\"assistant\",\"content\":\"\"}}],"
                                 "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":0}}";

static enum outcome draw(struct sim *sim)
{
    if (!sim_happens(sim, sim->chaos))
        return GOOD;
    static const enum outcome bad[] = {THROTTLED, BROKEN, EMPTY, REFUSED_TO_CONNECT, HUNG_UP};
    return sim_happens(sim, 20) ? BAD_REQUEST : bad[sim_random(sim, sizeof(bad) / sizeof(bad[0]))];
}

static void answer(struct sim *sim, struct sim_event *event, bool alive)
{
    struct flight *flight = event->arg;
    struct mr_reply reply = {
        .retry_after_ms = -1, .should_retry = -1, .latency_ms = 5, .body = MR_BUF_INIT(4096)};
    const char *body = flight->outcome == GOOD    ? good_body
                       : flight->outcome == EMPTY ? empty_body
                                                  : "{}";
    static const int status[] = {200, 429, 500, 200, 0, 0, 400};
    reply.status = status[flight->outcome];
    if (flight->outcome == REFUSED_TO_CONNECT)
        reply.transport = MR_TRANSPORT_NOT_SENT;
    else if (flight->outcome == HUNG_UP)
        reply.transport = MR_TRANSPORT_AMBIGUOUS;
    else if (mr_buf_puts(&reply.body, body) < 0)
        abort();
    if (alive)
        mr_engine_replied(sim->workers[event->worker].engine, flight->token, &reply);
    else
        mr_reply_deinit(&reply);
    free(flight);
}

/* The request reaches the provider. Promise 4: its row is there before; promise 3: its step has not
 * finished. */
static void arrive(struct sim *sim, const struct flight *flight)
{
    struct sim_call *call = sim_call(sim, &flight->call);
    if (!call) {
        sim_fail(sim, "a request left without a row in calls");
        return;
    }
    struct sim_job *job = sim_job(sim, &call->job);
    const json_t *step = json_object_get(job->steps, call->step);
    if (json_object_get(step, "output"))
        sim_fail(sim, "step %s was called again after it had finished", call->step);
    if (job->state >= SIM_DONE)
        sim_fail(sim, "a request of an ended job");
    call->requests++;
    if (flight->outcome == GOOD)
        call->billed = 11 * 2 + 3 * 10;
    else if (flight->outcome == EMPTY)
        call->billed = 11 * 2;
    else if (flight->outcome == HUNG_UP && sim_happens(sim, 500))
        call->billed = 11 * 2 + 3 * 10;
    sim->billed_calls += call->billed > 0;
}

static void start(void *ctx, void *token, const struct mr_request *request)
{
    struct sim_worker *worker = ctx;
    struct flight *flight = calloc(1, sizeof(*flight));
    flight->token = token;
    flight->outcome = draw(worker->sim);
    for (size_t i = 0; request->headers[i]; i++) {
        static const char name[] = "X-Client-Request-Id: ";
        if (strncmp(request->headers[i], name, strlen(name)) == 0 &&
            mr_uuid_parse(request->headers[i] + strlen(name), &flight->call) < 0)
            abort();
    }
    if (flight->outcome != REFUSED_TO_CONNECT)
        arrive(worker->sim, flight);
    sim_at(worker->sim, 1 + (int64_t)sim_random(worker->sim, 400), worker, answer, flight, 0);
}

static void ignore_abort(void *ctx, void *token)
{
    /* the answer is on its way anyway */
}

struct mr_caller_ops sim_caller_ops(struct sim_worker *worker)
{
    return (struct mr_caller_ops){start, ignore_abort, worker};
}

static void extracted(struct sim *sim, struct sim_event *event, bool alive)
{
    struct mr_extract_result result = {.retry_after_ms = -1};
    if (!alive)
        return;
    if (sim_happens(sim, sim->chaos / 20)) {
        result.rc = mr_err_set(&result.err, -1, MR_CLASS_INVALID, "the document is empty");
    } else {
        result.output = json_pack("{s:s}", "text", "Some text. It goes on.");
    }
    mr_engine_extracted(sim->workers[event->worker].engine, event->arg, &result);
}

static void start_extract(void *ctx, void *token, const struct mr_extract_job *job)
{
    struct sim_worker *worker = ctx;
    sim_at(worker->sim, (int64_t)sim_random(worker->sim, 20), worker, extracted, token, 0);
}

struct mr_extractor_ops sim_extractor_ops(struct sim_worker *worker)
{
    return (struct mr_extractor_ops){start_extract, ignore_abort, worker};
}
