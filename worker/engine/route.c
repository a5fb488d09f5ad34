/* Which model a step asks next, and at which endpoint: down the chain of its fallbacks, past what
 * is closed or spent. */
#include "common/json.h"
#include "worker/engine/job.h"

#include <stdio.h>
#include <string.h>

static const struct mr_model *model_at(
    const struct mr_step *step, const struct mr_route *route, unsigned link)
{
    if (step->degraded)
        return &step->local;
    const struct mr_model *head = route->head ? route->head : mr_step_def_of(step)->model;
    return link == 0 ? head : head->fallback[link - 1];
}

static unsigned links(const struct mr_step *step, const struct mr_route *route)
{
    return step->degraded ? 1 : 1 + (unsigned)model_at(step, route, 0)->nfallback;
}

const struct mr_model *mr_route_model(const struct mr_step *step)
{
    return model_at(step, &step->route, step->route.link);
}

static bool near(const struct mr_step *step, const struct mr_endpoint *endpoint)
{
    const char *region = step->job->config->worker.region;
    return region && endpoint->region && strcmp(region, endpoint->region) == 0;
}

/* Calls there, those that wait for their share of its limits, and the next one. */
static int64_t load_of(
    struct mr_engine *engine, const struct mr_endpoint *endpoint, const struct mr_model *model)
{
    const struct mr_breaker *breaker = mr_guard_of(engine, endpoint);
    size_t waiting = mr_limits_waiting_for(
        engine->limits, endpoint->provider->name, endpoint->name, model->model);
    return 1 + (int64_t)waiting + (breaker ? breaker->in_flight : 0);
}

/* By calls for each unit of weight. Compared crosswise: no division. */
static bool less_busy(struct mr_engine *engine, const struct mr_model *model,
    const struct mr_endpoint *a, const struct mr_endpoint *b)
{
    int64_t load_a = load_of(engine, a, model), load_b = load_of(engine, b, model);
    return load_a * b->weight < load_b * a->weight;
}

static const struct mr_endpoint *endpoint_of(
    const struct mr_step *step, const struct mr_route *route, const struct mr_model *model)
{
    struct mr_engine *engine = step->job->engine;
    const struct mr_endpoint *best = NULL;
    for (size_t i = 0; i < model->provider->nendpoints; i++) {
        const struct mr_endpoint *at = &model->provider->endpoints[i];
        if ((route->spent & (UINT32_C(1) << i)) || !mr_guard_allows(engine, at))
            continue;
        if (at == route->endpoint)
            return at; /* another try is a try at the same place */
        bool better =
            !best || (near(step, at) != near(step, best) ? near(step, at)
                                                         : less_busy(engine, model, at, best));
        best = better ? at : best;
    }
    return best;
}

static void next_link(struct mr_route *route, enum mr_class left)
{
    route->link++;
    route->spent = 0;
    route->endpoint = NULL;
    route->left = left;
}

static bool all_spent(const struct mr_route *route, const struct mr_provider *provider)
{
    return (size_t)__builtin_popcount(route->spent) == provider->nendpoints;
}

/* Moves the route to the next model that can be asked. */
static const struct mr_endpoint *find(const struct mr_step *step, struct mr_route *route)
{
    for (unsigned count = links(step, route); route->link < count;) {
        const struct mr_model *model = model_at(step, route, route->link);
        const struct mr_endpoint *endpoint = endpoint_of(step, route, model);
        if (endpoint)
            return endpoint;
        bool closed = !all_spent(route, model->provider);
        route->outage |= closed; /* some day it opens */
        next_link(route, closed ? MR_CLASS_UNAVAILABLE : route->spent_by);
    }
    return NULL;
}

const struct mr_endpoint *mr_route_find(struct mr_step *step)
{
    const struct mr_endpoint *before = step->route.endpoint;
    step->route.endpoint = find(step, &step->route);
    if (step->route.endpoint != before)
        memset(step->tries, 0, sizeof(step->tries));
    return step->route.endpoint;
}

static void spend(struct mr_route *route, enum mr_class class)
{
    if (route->endpoint)
        route->spent |= UINT32_C(1) << (route->endpoint - route->endpoint->provider->endpoints);
    route->endpoint = NULL;
    route->spent_by = class;
}

bool mr_route_other(const struct mr_step *step, bool same_model)
{
    struct mr_route route = step->route;
    spend(&route, MR_CLASS_NONE);
    return find(step, &route) && (!same_model || route.link == step->route.link);
}

void mr_route_leave(struct mr_step *step, enum mr_class class, bool whole_link)
{
    spend(&step->route, class);
    if (whole_link)
        next_link(&step->route, class);
    memset(step->tries, 0, sizeof(step->tries));
}

void mr_route_reset(struct mr_step *step)
{
    step->route = (struct mr_route){.head = step->route.head, .rule = step->route.rule};
    memset(step->tries, 0, sizeof(step->tries));
}

bool mr_route_local(const struct mr_step *step)
{
    if (step->degraded)
        return true;
    return step->route.link > 0 && step->route.endpoint &&
           step->route.endpoint->provider->kind == MR_PROVIDER_LOCAL;
}

void mr_route_why(const struct mr_step *step, char ret[static MR_ROUTE_WHY_MAX])
{
    const struct mr_route *route = &step->route;
    char text[2 * MR_ROUTE_WHY_MAX] = "";
    if (step->degraded) {
        snprintf(text, sizeof(text), "degraded: %s", mr_class_name(route->left));
    } else if (route->link > 0) {
        const struct mr_model *left = model_at(step, route, route->link - 1);
        snprintf(text, sizeof(text), "fallback %u: %s/%s %s", route->link, left->provider->name,
            left->model, mr_class_name(route->left));
    } else if (route->rule) {
        snprintf(text, sizeof(text), "rule: %s", route->rule->when);
    }
    mr_utf8_copy(ret, MR_ROUTE_WHY_MAX, text);
}

int64_t mr_route_reopens_ms(const struct mr_step *step)
{
    int64_t first = INT64_MAX;
    for (unsigned link = 0; link < links(step, &step->route); link++) {
        const struct mr_provider *provider = model_at(step, &step->route, link)->provider;
        for (size_t i = 0; i < provider->nendpoints; i++) {
            const struct mr_breaker *breaker =
                mr_guard_of(step->job->engine, &provider->endpoints[i]);
            if (breaker && breaker->state == MR_BREAKER_OPEN && breaker->until_ms < first)
                first = breaker->until_ms;
        }
    }
    return first;
}
