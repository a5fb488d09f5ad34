/* Who waits: for each model a ring of lines, one a tenant, that take turns. */
#include "worker/limits/limits_int.h"

#include <stdlib.h>

struct mr_limit_line *mr_line_of(const struct mr_scope *model, const struct mr_scope *tenant)
{
    struct mr_limit_line *line = model->waiting > 0 ? tenant->lines : NULL;
    while (line && line->model != model)
        line = line->of_tenant;
    return line;
}

static void add_model(struct mr_limits *limits, struct mr_scope *model)
{
    model->waits_prev = NULL;
    model->waits_next = limits->waits;
    if (limits->waits)
        limits->waits->waits_prev = model;
    limits->waits = model;
}

static void remove_model(struct mr_limits *limits, struct mr_scope *model)
{
    if (model->waits_prev)
        model->waits_prev->waits_next = model->waits_next;
    else
        limits->waits = model->waits_next;
    if (model->waits_next)
        model->waits_next->waits_prev = model->waits_prev;
    model->short_of = false;
}

/* Last in the ring: before the one whose turn it is. */
static struct mr_limit_line *line_new(
    struct mr_limits *limits, struct mr_scope *model, struct mr_scope *tenant)
{
    struct mr_limit_line *line = calloc(1, sizeof(*line));
    if (!line)
        return NULL;
    line->model = model;
    line->tenant = tenant;
    line->of_tenant = tenant->lines;
    tenant->lines = line;
    if (model->lines) {
        line->next = model->lines;
        line->prev = model->lines->prev;
        line->prev->next = line->next->prev = line;
    } else {
        line->prev = line->next = line;
        model->lines = line;
        add_model(limits, model);
    }
    model->nlines++;
    tenant->nlines++;
    return line;
}

static void line_free(struct mr_limits *limits, struct mr_limit_line *line)
{
    struct mr_scope *model = line->model, *tenant = line->tenant;
    struct mr_limit_line **at = &tenant->lines;
    while (*at != line)
        at = &(*at)->of_tenant;
    *at = line->of_tenant;
    line->prev->next = line->next;
    line->next->prev = line->prev;
    if (model->lines == line)
        model->lines = line->next == line ? NULL : line->next;
    model->nlines--;
    tenant->nlines--;
    if (!model->lines)
        remove_model(limits, model);
    free(line);
}

static void count(
    struct mr_limits *limits, const struct mr_limit_line *line, int people, int64_t tokens)
{
    line->model->waiting += people;
    line->model->waiting_tokens += tokens;
    line->tenant->waiting += people;
    line->tenant->waiting_tokens += tokens;
    limits->waiting = (size_t)((int64_t)limits->waiting + people);
}

int mr_line_join(struct mr_limits *limits, struct mr_ticket *ticket)
{
    struct mr_limit_line *line = mr_line_of(ticket->model, ticket->tenant);
    if (!line && !(line = line_new(limits, ticket->model, ticket->tenant)))
        return -1;
    ticket->line = line;
    ticket->next = NULL;
    ticket->prev = line->tail;
    *(line->tail ? &line->tail->next : &line->head) = ticket;
    line->tail = ticket;
    line->count++;
    ticket->state = MR_TICKET_WAITING;
    count(limits, line, 1, ticket->tokens);
    return 0;
}

void mr_line_quit(struct mr_limits *limits, struct mr_ticket *ticket)
{
    struct mr_limit_line *line = ticket->line;
    *(ticket->prev ? &ticket->prev->next : &line->head) = ticket->next;
    *(ticket->next ? &ticket->next->prev : &line->tail) = ticket->prev;
    line->count--;
    count(limits, line, -1, -ticket->tokens);
    ticket->line = NULL;
    ticket->prev = ticket->next = NULL;
    ticket->state = MR_TICKET_NONE;
    limits->ripe = true; /* the one behind may need less */
    if (!line->head)
        line_free(limits, line);
}

/* The next one of this model. A line whose tenant is short is passed over; when the model is short,
 * all wait for the line whose turn it is, so that many small ones do not starve a large one. */
static struct mr_ticket *next_of(struct mr_limits *limits, struct mr_scope *model, int64_t now_ms)
{
    struct mr_limit_line *line = model->lines;
    model->short_of = false;
    for (size_t n = model->nlines; n > 0; n--, line = line->next) {
        struct mr_ticket *ticket = line->head;
        if (!mr_scope_has(line->tenant, ticket->tokens, now_ms))
            continue;
        if (!mr_scope_has(model, ticket->tokens, now_ms)) {
            model->lines = line;
            model->short_of = true;
            return NULL;
        }
        struct mr_scope *tenant = line->tenant;
        model->lines = line->next;
        mr_line_quit(limits, ticket);
        mr_scope_take(limits, model, ticket->tokens, now_ms);
        mr_scope_take(limits, tenant, ticket->tokens, now_ms);
        ticket->state = MR_TICKET_HELD;
        return ticket;
    }
    return NULL;
}

struct mr_ticket *mr_limits_next(struct mr_limits *limits, int64_t now_ms)
{
    if (!limits->ripe || limits->waiting == 0)
        return NULL;
    for (struct mr_scope *model = limits->waits; model; model = model->waits_next) {
        struct mr_ticket *ticket = next_of(limits, model, now_ms);
        if (ticket)
            return ticket;
    }
    limits->ripe = false;
    return NULL;
}

/* How many of a line its other scope lets through: asking for more would take it from others. One
 * more than that, so that both can grow. */
static int64_t usable(
    const struct mr_limit_line *line, const struct mr_scope *other, int64_t now_ms)
{
    if (other->state != MR_SCOPE_LIMITED || other->requests == MR_LEASE_NONE)
        return line->count;
    int64_t let = now_ms < other->good_until_ms ? other->requests + 1 : 1;
    return let < line->count ? let : line->count;
}

static void add_line(struct mr_demand *demand, const struct mr_limit_line *line, int64_t people)
{
    int64_t left = people;
    for (const struct mr_ticket *t = line->head; t && left > 0; t = t->next, left--)
        demand->tokens += t->tokens;
    demand->requests += people;
}

struct mr_demand mr_line_demand(const struct mr_scope *scope, int64_t now_ms)
{
    struct mr_demand demand = {0};
    const struct mr_limit_line *line = scope->lines;
    for (size_t n = scope->nlines; n > 0; n--) {
        int64_t people = scope->tenant ? line->count : usable(line, line->tenant, now_ms);
        if (scope->tenant) { /* the largest: each of its lines may have to wait for it */
            if (line->head->tokens > demand.head_tokens)
                demand.head_tokens = line->head->tokens;
        } else if (demand.head_tokens == 0) {
            demand.head_tokens = line->head->tokens;
        }
        add_line(&demand, line, people);
        line = scope->tenant ? line->of_tenant : line->next;
    }
    return demand;
}
