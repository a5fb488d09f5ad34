/* A provider that bills when the request arrives, keeps its own ledger, and behaves badly now and
 * then. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum outcome {
    GOOD,
    THROTTLED,
    BROKEN,
    EMPTY,
    REFUSED_TO_CONNECT,
    HUNG_UP,
    SILENT, /* until the timeout, or until somebody gives up */
    BAD_REQUEST,
    GATEWAY_TIMEOUT, /* a proxy gave up; the provider may have gone on */
};

struct flight {
    struct flight *next; /* sim->flights */
    void *token;
    int worker;
    bool aborted;
    bool local;              /* no provider, no bill */
    struct sim_event *event; /* its answer */
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

void sim_provider_plan(struct sim *sim)
{
    static const char *const endpoints[] = {"a", "b", "q"};
    static const enum outcome kinds[] = {THROTTLED, BROKEN, REFUSED_TO_CONNECT, SILENT};
    if (!sim->outages_only && sim->chaos == 0)
        return;
    for (sim->noutages = 0; sim->noutages < SIM_OUTAGES; sim->noutages++) {
        struct sim_outage *outage = &sim->outages[sim->noutages];
        snprintf(outage->endpoint, sizeof(outage->endpoint), "%s", endpoints[sim_random(sim, 3)]);
        outage->from_ms = (int64_t)sim_random(sim, sim->noutages % 2 ? SIM_STORM_MS / 3 : 2000);
        outage->to_ms = outage->from_ms + 1000 + (int64_t)sim_random(sim, SIM_STORM_MS / 2);
        outage->outcome = kinds[sim_random(sim, sizeof(kinds) / sizeof(kinds[0]))];
    }
}

static const struct sim_outage *outage_of(const struct sim *sim, const struct mr_endpoint *endpoint)
{
    for (size_t i = 0; i < sim->noutages; i++)
        if (strcmp(sim->outages[i].endpoint, endpoint->name) == 0 &&
            sim->outages[i].from_ms <= sim->now_ms && sim->now_ms < sim->outages[i].to_ms)
            return &sim->outages[i];
    return NULL;
}

static enum outcome draw(struct sim *sim, const struct mr_endpoint *endpoint)
{
    const struct sim_outage *outage = outage_of(sim, endpoint);
    if (outage)
        return outage->outcome;
    if (!sim_trouble(sim, sim->chaos))
        return GOOD;
    static const enum outcome bad[] = {
        THROTTLED, BROKEN, EMPTY, REFUSED_TO_CONNECT, HUNG_UP, SILENT, GATEWAY_TIMEOUT};
    return sim_happens(sim, 20) ? BAD_REQUEST : bad[sim_random(sim, sizeof(bad) / sizeof(bad[0]))];
}

static void land(struct sim *sim, struct flight *flight)
{
    struct flight **at = &sim->flights;
    while (*at != flight)
        at = &(*at)->next;
    *at = flight->next;
}

/* Money is a fact, whoever holds the lease: a worker that lives writes down what it has learnt. */
static void check_settled(struct sim *sim, struct sim_event *event, bool alive)
{
    const struct sim_call *call = event->arg;
    if (alive && call && call->state != MR_CALL_SETTLED)
        sim_fail(sim, "a good answer has never been settled");
}

static void answer(struct sim *sim, struct sim_event *event, bool alive)
{
    struct flight *flight = event->arg;
    static const int64_t pauses[] = {-1, 900, 20000, 25000, 28000, 28000, 45000, 200000};
    land(sim, flight);
    struct mr_reply reply = {
        .retry_after_ms = -1, .should_retry = -1, .latency_ms = 5, .body = MR_BUF_INIT(4096)};
    const char *body = flight->outcome == GOOD    ? good_body
                       : flight->outcome == EMPTY ? empty_body
                                                  : "{}";
    static const int status[] = {200, 429, 500, 200, 0, 0, 0, 400, 504};
    if (flight->outcome == THROTTLED)
        reply.retry_after_ms = pauses[sim_random(sim, sizeof(pauses) / sizeof(pauses[0]))];
    reply.status = status[flight->outcome];
    if (flight->local) {
        reply.transport = MR_TRANSPORT_LOCAL;
        reply.local = json_pack("{s:s}", "text", "well");
    } else if (flight->outcome == REFUSED_TO_CONNECT)
        reply.transport = MR_TRANSPORT_NOT_SENT;
    else if (flight->outcome == HUNG_UP || flight->outcome == SILENT)
        reply.transport = flight->aborted ? MR_TRANSPORT_ABORTED : MR_TRANSPORT_AMBIGUOUS;
    else if (mr_buf_puts(&reply.body, body) < 0)
        abort();
    if (alive && flight->outcome == GOOD)
        sim_at(sim, 25000, &sim->workers[event->worker], check_settled,
            sim_call(sim, &flight->call), 0);
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
    if (job->deadline_ms > 0 && sim->now_ms > job->deadline_ms + 5)
        sim_fail(sim, "a request after the job's deadline");
    if (call->hit)
        sim_fail(sim, "a call that the cache has answered was sent");
    call->requests++;
    if (flight->local)
        call->billed = 0;
    else if (flight->outcome == GOOD)
        call->billed = 11 * 2 + 3 * 10;
    else if (flight->outcome == EMPTY)
        call->billed = 11 * 2;
    else if ((flight->outcome == HUNG_UP || flight->outcome == SILENT ||
                 flight->outcome == GATEWAY_TIMEOUT) &&
             sim_happens(sim, 500))
        call->billed = 11 * 2 + 3 * 10;
}

static void start(void *ctx, void *token, const struct mr_request *request)
{
    struct sim_worker *worker = ctx;
    struct flight *flight = calloc(1, sizeof(*flight));
    flight->token = token;
    flight->outcome = draw(worker->sim, request->endpoint);
    for (size_t i = 0; request->headers[i]; i++) {
        static const char name[] = "X-Client-Request-Id: ";
        if (strncmp(request->headers[i], name, strlen(name)) == 0 &&
            mr_uuid_parse(request->headers[i] + strlen(name), &flight->call) < 0)
            abort();
    }
    flight->local = request->endpoint->provider->kind == MR_PROVIDER_LOCAL;
    if (flight->local)
        flight->outcome = GOOD;
    if (flight->outcome != REFUSED_TO_CONNECT)
        arrive(worker->sim, flight);
    flight->worker = worker->index;
    flight->next = worker->sim->flights;
    worker->sim->flights = flight;
    bool slow = sim_trouble(worker->sim, worker->sim->chaos / 4);
    int64_t in_ms = flight->outcome == SILENT
                        ? request->timeout_ms
                        : 1 + (int64_t)sim_random(worker->sim, slow ? 19000 : 400);
    flight->event = sim_at(worker->sim, in_ms, worker, answer, flight, 0);
}

static void give_up(void *ctx, void *token)
{
    struct sim_worker *worker = ctx;
    struct flight *flight = worker->sim->flights;
    while (flight && (flight->token != token || flight->worker != worker->index))
        flight = flight->next;
    if (!flight) {
        sim_fail(worker->sim, "a call was given up that is not out");
    } else if (flight->outcome == SILENT) { /* other answers are on their way anyway */
        flight->aborted = true;
        sim_cancel(worker->sim, flight->event);
        flight->event = sim_at(worker->sim, 1, worker, answer, flight, 0);
        struct sim_call *call = sim_call(worker->sim, &flight->call);
        if (call)
            call->aborted = true;
    }
}

static void probed(struct sim *sim, struct sim_event *event, bool alive)
{
    if (alive)
        mr_engine_probed(sim->workers[event->worker].engine, event->arg, event->n != 0);
}

static void probe(void *ctx, void *token, const struct mr_endpoint *endpoint)
{
    struct sim_worker *worker = ctx;
    struct sim *sim = worker->sim;
    sim_at(sim, 1 + (int64_t)sim_random(sim, 5000), worker, probed, token,
        !outage_of(sim, endpoint) && !sim_trouble(sim, sim->chaos));
}

struct mr_caller_ops sim_caller_ops(struct sim_worker *worker)
{
    return (struct mr_caller_ops){.start = start, .abort = give_up, .probe = probe, .ctx = worker};
}

/* ---- extraction ---- */

struct extraction {
    struct extraction *next; /* sim->extractions */
    void *token;
    int worker;
    bool aborted;
    const struct sim_job *job;
    struct sim_event *event; /* its end */
};

static void extracted(struct sim *sim, struct sim_event *event, bool alive)
{
    struct mr_extract_result result = {.retry_after_ms = -1};
    struct extraction *extraction = event->arg, **at = &sim->extractions;
    while (*at != extraction)
        at = &(*at)->next;
    *at = extraction->next;
    if (extraction->aborted) {
        result.rc = mr_err_set(&result.err, -1, MR_CLASS_CANCELLED, "given up");
    } else if (extraction->job->stubborn) {
        result.rc = mr_err_set(&result.err, -1, MR_CLASS_RATE_LIMITED, "come again later");
        result.retry_after_ms = 60000;
    } else if (sim_happens(sim, sim->chaos / 20)) {
        result.rc = mr_err_set(&result.err, -1, MR_CLASS_INVALID, "the document is empty");
    } else {
        result.output = json_pack("{s:s}", "text", "Some text. It goes on.");
    }
    if (alive)
        mr_engine_extracted(sim->workers[event->worker].engine, extraction->token, &result);
    else
        json_decref(result.output);
    free(extraction);
}

static void start_extract(void *ctx, void *token, const struct mr_extract_job *job)
{
    struct sim_worker *worker = ctx;
    struct sim *sim = worker->sim;
    struct extraction *extraction = calloc(1, sizeof(*extraction));
    int64_t in_ms = (int64_t)sim_random(sim, sim_trouble(sim, sim->chaos / 4) ? 15000 : 20);
    *extraction = (struct extraction){.next = sim->extractions,
        .token = token,
        .worker = worker->index,
        .job = sim_job(sim, &job->envelope->id)};
    sim->extractions = extraction;
    extraction->event = sim_at(sim, in_ms, worker, extracted, extraction, 0);
}

static void give_up_extract(void *ctx, void *token)
{
    struct sim_worker *worker = ctx;
    struct extraction *extraction = worker->sim->extractions;
    while (extraction && (extraction->token != token || extraction->worker != worker->index))
        extraction = extraction->next;
    if (!extraction) {
        sim_fail(worker->sim, "an extraction was given up that is not running");
        return;
    }
    extraction->aborted = true;
    sim_cancel(worker->sim, extraction->event);
    extraction->event = sim_at(worker->sim, 1, worker, extracted, extraction, 0);
}

struct mr_extractor_ops sim_extractor_ops(struct sim_worker *worker)
{
    return (struct mr_extractor_ops){start_extract, give_up_extract, worker};
}
