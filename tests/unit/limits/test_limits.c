#include "tests/unit/limits/fleet.h"

#include <string.h>

static void without_limits_nothing_waits_and_little_is_asked(void)
{
    build(1, (struct bucket){0}, (struct bucket){0});
    const struct load load = {"free", 100, 100, 1000, 1};
    run(10, &load); /* the first call waits for the word of the database */
    CHECK_INT(world.nstarts, TICKETS);
    run(20000, &load);
    CHECK_INT(world.nstarts, 21 * TICKETS);
    CHECK(world.asked <= 6); /* now and then: has a limit been set meanwhile? */
    tear_down();
}

static void a_minute_holds_its_requests_and_no_more(void)
{
    static const struct {
        int workers;
        int64_t rpm;
        int64_t most, least; /* in the busiest minute, and in all */
    } cases[] = {
        {1, 600, 600 + 10 + 6, 1150},
        {2, 600, 600 + 10 + 6, 1150},
        {8, 600, 600 + 10 + 6, 1150},
        {8, 6000, 6000 + 100 + 60, 11500},
        {8, 30, 30 + 1 + 1, 57},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        build(cases[i].workers, (struct bucket){.rpm = cases[i].rpm}, (struct bucket){0});
        const struct load load = {"free", 100, 100, 5, 20};
        run(120000, &load);
        printf(
            "# %d workers, %lld rpm: %zu calls in two minutes, busiest minute %zu, %lld leases\n",
            cases[i].workers, (long long)cases[i].rpm, world.nstarts, busiest(60000),
            (long long)world.asked);
        CHECK((int64_t)busiest(60000) <= cases[i].most);
        CHECK((int64_t)world.nstarts >= cases[i].least);
        CHECK(world.asked <= 12 * 120 * cases[i].workers);
        for (int w = 0; w < cases[i].workers; w++) /* nobody starves */
            CHECK(world.workers[w].calls >= cases[i].least / cases[i].workers / 4);
        tear_down();
    }
}

static void below_the_limit_nothing_is_held_up(void)
{
    build(1, (struct bucket){.rpm = 6000}, (struct bucket){0});
    struct worker *worker = &world.workers[0];
    struct mr_limits_ask ask = ask_of("free", 100);
    const struct mr_limits_end ended = {.tokens = MR_LEASE_NONE, .success = true};
    int64_t wait, late = 0;
    const char *scope;
    for (int i = 0; i < 300; i++) { /* a call every 20 ms: half of what it allows */
        struct mr_ticket *ticket = &worker->tickets[i % TICKETS];
        mr_limits_leave(worker->limits, ticket, &ended, world.now_ms);
        bool go = mr_limits_ask(worker->limits, ticket, &ask, world.now_ms, &wait, &scope) ==
                  MR_LIMITS_GO;
        late += !go && i > 50;
        for (int ms = 0; ms < 20; ms++, world.now_ms++) {
            talk(0);
            mr_limits_next(worker->limits, world.now_ms);
        }
        CHECK(ticket->state == MR_TICKET_HELD || i < 50 || !go);
    }
    CHECK(late <= 3);
    tear_down();
}

static void tokens_count_as_used(void)
{
    /* 2,000 tokens are asked for and 500 used: 60,000 a minute carry 120 calls. */
    build(4, (struct bucket){.tpm = 60000}, (struct bucket){0});
    const struct load load = {"free", 2000, 500, 300, 5};
    run(180000, &load);
    size_t minute = busiest(60000);
    printf("# %zu calls in three minutes, busiest %zu\n", world.nstarts, minute);
    CHECK(minute <= 120 + 2 + 12); /* and what was in flight */
    CHECK(world.nstarts >= 300);
    tear_down();
}

static void a_tenant_has_limits_of_its_own(void)
{
    build(2, (struct bucket){.rpm = 6000}, (struct bucket){.rpm = 120});
    const struct load load = {"capped", 10, 10, 5, 10};
    run(60000, &load);
    CHECK(world.nstarts <= 120 + 2 + 2);
    CHECK(world.nstarts >= 112);
    tear_down();
}

/* The line keeps its order, tenants take turns, and one that has nothing left holds up nobody. */
static void tenants_take_turns(void)
{
    build(1, (struct bucket){.rpm = 60}, (struct bucket){.rpm = 1});
    struct worker *worker = &world.workers[0];
    static const char *const tenants[] = {"flood", "capped", "small"};
    int64_t wait;
    const char *scope;
    size_t n = 0;
    for (int i = 0; i < 20; i++) { /* flood first, then two of each other */
        struct mr_limits_ask ask = ask_of(tenants[i < 16 ? 0 : i < 18 ? 1 : 2], 1);
        CHECK_INT(
            mr_limits_ask(worker->limits, &worker->tickets[i], &ask, world.now_ms, &wait, &scope),
            MR_LIMITS_WAIT);
    }
    char order[TICKETS] = "";
    for (int64_t end = world.now_ms + 8000; world.now_ms < end; world.now_ms++) {
        talk(0);
        for (struct mr_ticket *t; (t = mr_limits_next(worker->limits, world.now_ms));) {
            long k = t - worker->tickets;
            order[n++] = k < 16 ? 'f' : k < 18 ? 'c' : 's';
            if (k < 16) /* in their order */
                for (long before = 0; before < k; before++)
                    CHECK(worker->tickets[before].state == MR_TICKET_HELD);
        }
    }
    CHECK(n >= 7);
    order[6] = '\0';
    CHECK_STR(order, "fcsfsf");
    tear_down();
}

static void a_large_call_is_not_starved_by_small_ones(void)
{
    build(2, (struct bucket){.tpm = 6000}, (struct bucket){0}); /* 100 a second */
    struct mr_limits_ask large = ask_of("large", 1000);
    const struct load load = {"small", 50, 50, 5, 6};
    int64_t wait;
    const char *scope;
    run(3000, &load);
    struct worker *worker = &world.workers[0];
    struct mr_ticket *ticket = &worker->tickets[TICKETS - 1];
    (void)mr_limits_leave(worker->limits, ticket, NULL, world.now_ms);
    CHECK_INT(
        mr_limits_ask(worker->limits, ticket, &large, world.now_ms, &wait, &scope), MR_LIMITS_WAIT);
    for (int ms = 0; ms < 30000 && ticket->state == MR_TICKET_WAITING; ms++)
        run(1, &load);
    CHECK_INT(ticket->state, MR_TICKET_HELD);
    tear_down();
}

static void who_would_wait_too_long_is_sent_away(void)
{
    build(1, (struct bucket){.rpm = 60}, (struct bucket){0});
    struct worker *worker = &world.workers[0];
    struct mr_limits_ask ask = ask_of("free", 1);
    int64_t wait = 0, before = 0;
    const char *scope = "";
    mr_limits_ask(worker->limits, &worker->tickets[0], &ask, world.now_ms, &wait, &scope);
    for (int ms = 0; ms < 50; ms++, world.now_ms++)
        talk(0);
    int waits = 1, away = 0;
    for (int i = 1; i < 100; i++) {
        enum mr_limits_answer answer =
            mr_limits_ask(worker->limits, &worker->tickets[i], &ask, world.now_ms, &wait, &scope);
        waits += answer == MR_LIMITS_WAIT;
        if (answer != MR_LIMITS_LATER)
            continue;
        CHECK_STR(scope, "model:p/e/m");
        CHECK(wait > MR_LIMITS_WAIT_MAX_MS);
        CHECK(away == 0 || wait == before + 1000); /* each to its own turn */
        before = wait;
        away++;
    }
    printf("# %d wait, %d are sent away, the last for %lld ms\n", waits, away, (long long)wait);
    CHECK(waits >= 28 && waits <= 34);
    CHECK_INT(mr_limits_waiting(worker->limits), waits);
    tear_down();
}

static void calls_at_once_are_bounded(void)
{
    static const int counts[] = {1, 2, 4};
    for (size_t i = 0; i < 3; i++) {
        build(counts[i], (struct bucket){.concurrency = 8}, (struct bucket){0});
        const struct load load = {"free", 1, 1, 200, 20};
        int most = 0;
        for (int ms = 0; ms < 20000; ms++) {
            run(1, &load);
            int held = 0;
            for (int w = 0; w < world.count; w++)
                for (int k = 0; k < TICKETS; k++)
                    held += world.workers[w].tickets[k].state == MR_TICKET_HELD;
            most = held > most ? held : most;
        }
        printf("# %d workers: at most %d at once, %zu calls\n", counts[i], most, world.nstarts);
        CHECK_INT(most, 8);
        CHECK(world.nstarts >= 700); /* of 800 that were possible */
        tear_down();
    }
}

static void answer_slots(struct mr_limits *limits, int64_t asked_ms, int64_t now_ms, int slots)
{
    struct mr_lease *lease = mr_limits_lease(limits, asked_ms);
    CHECK(lease);
    for (size_t i = 0; i < lease->count; i++) {
        struct mr_lease_row *row = &lease->rows[i];
        row->requests = row->tokens = row->rpm_share = row->tpm_share = MR_LEASE_NONE;
        row->slots = strncmp(row->scope, "model:", 6) == 0 ? slots : MR_LEASE_NONE;
        row->more_ms = row->paused_ms = 0;
    }
    mr_limits_leased(limits, now_ms, &chance);
}

/* What the database has not been told of it may give to others. */
static void while_the_database_counts_nobody_joins(void)
{
    struct mr_limits *limits = mr_limits_new();
    struct mr_limits_ask ask = ask_of("t", 1);
    struct mr_ticket tickets[3] = {0};
    int64_t wait;
    const char *scope;
    CHECK_INT(mr_limits_ask(limits, &tickets[0], &ask, 1000, &wait, &scope), MR_LIMITS_WAIT);
    answer_slots(limits, 1000, 1000, 4);
    CHECK(mr_limits_next(limits, 1000) == &tickets[0]);
    struct mr_lease *lease = mr_limits_lease(limits, 2500);
    CHECK(lease);
    CHECK_INT(lease->rows[0].in_flight, 1);
    CHECK_INT(mr_limits_ask(limits, &tickets[1], &ask, 2500, &wait, &scope), MR_LIMITS_WAIT);
    CHECK(!mr_limits_next(limits, 2500));
    lease->refused = true; /* then what was granted is still so */
    mr_limits_leased(limits, 2500, &chance);
    CHECK(mr_limits_next(limits, 2500) == &tickets[1]);
    CHECK_INT(mr_limits_ask(limits, &tickets[2], &ask, 2500, &wait, &scope), MR_LIMITS_GO);
    for (int i = 0; i < 3; i++)
        mr_limits_leave(limits, &tickets[i], NULL, 2500);
    mr_limits_free(limits);
}

/* The database forgets what an idle worker may have in flight, and gives it to others. */
static void what_was_granted_long_ago_is_asked_for_again(void)
{
    struct mr_limits *limits = mr_limits_new();
    struct mr_limits_ask ask = ask_of("t", 1);
    const struct mr_limits_end well = {
        .tokens = 1, .success = true, .requests = {-1, -1, -1}, .by_tokens = {-1, -1, -1}};
    struct mr_ticket ticket = {0};
    int64_t wait;
    const char *scope;
    CHECK_INT(mr_limits_ask(limits, &ticket, &ask, 1000, &wait, &scope), MR_LIMITS_WAIT);
    answer_slots(limits, 1000, 1000, 2);
    CHECK(mr_limits_next(limits, 1000) == &ticket);
    mr_limits_leave(limits, &ticket, &well, 1100);
    answer_slots(limits, 1500, 1500, 1);
    CHECK_INT(mr_limits_due_ms(limits), INT64_MAX); /* nothing is left to tell */
    CHECK_INT(mr_limits_ask(limits, &ticket, &ask, 4000, &wait, &scope), MR_LIMITS_GO);
    mr_limits_leave(limits, &ticket, &well, 4100);
    answer_slots(limits, 4100, 4100, 1);
    CHECK_INT(mr_limits_ask(limits, &ticket, &ask, 9100, &wait, &scope), MR_LIMITS_WAIT);
    answer_slots(limits, 9100, 9100, 0);
    CHECK(!mr_limits_next(limits, 9100));
    answer_slots(limits, 9600, 15000, 1); /* however long it took to say so */
    CHECK(mr_limits_next(limits, 15000) == &ticket);
    mr_limits_leave(limits, &ticket, NULL, 15000);
    mr_limits_free(limits);
}

static void a_throttled_call_pauses_the_scope(void)
{
    build(2, (struct bucket){.rpm = 6000}, (struct bucket){0});
    const struct load load = {"free", 1, 1, 100, 5};
    run(5000, &load);
    struct worker *worker = &world.workers[0];
    size_t k = 0;
    while (worker->tickets[k].state != MR_TICKET_HELD) {
        run(1, &load);
        k = (k + 1) % TICKETS;
    }
    const struct mr_limits_end throttled = {.tokens = 0,
        .throttled = true,
        .retry_after_ms = 2000,
        .requests = {-1, -1, -1},
        .by_tokens = {-1, -1, -1}};
    mr_limits_leave(worker->limits, &worker->tickets[k], &throttled, world.now_ms);
    int64_t at_ms = world.now_ms;
    size_t before = world.nstarts;
    run(5000, &load);
    CHECK(world.last_rows_throttled == 1);
    size_t within = 0, after = 0;
    for (size_t i = before; i < world.nstarts; i++) {
        within += world.starts[i] < at_ms + 1990;
        after += world.starts[i] >= at_ms + 1990;
    }
    printf("# %zu calls went within the pause, %zu after it\n", within, after);
    CHECK(within <= 30); /* the other worker hears of it when it asks next, and had some in hand */
    CHECK(after >= 250);
    tear_down();
}

static void the_last_request_is_followed_by_a_breath(void)
{
    build(1, (struct bucket){0}, (struct bucket){0});
    struct worker *worker = &world.workers[0];
    const struct load load = {"free", 1, 1, 1000, 1};
    run(10, &load);
    CHECK_INT(worker->tickets[0].state, MR_TICKET_HELD);
    static const struct {
        struct mr_limits_seen seen;
        int64_t pause_ms;
    } cases[] = {
        {{600, 1, 60000}, 0},
        {{600, 0, 60000}, 100}, /* one comes back after a tenth of a second */
        {{600, 0, 40}, 40},
        {{-1, 0, 3000}, 3000},
        {{-1, 0, 9000000}, 60000},
        {{-1, -1, 3000}, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct mr_limits *limits = mr_limits_new();
        struct mr_ticket ticket = {0};
        struct mr_limits_ask ask = ask_of("free", 1);
        int64_t wait;
        const char *scope;
        struct mr_limits *old = worker->limits;
        worker->limits = limits;
        mr_limits_ask(limits, &ticket, &ask, world.now_ms, &wait, &scope);
        for (int ms = 0; ms < 10; ms++, world.now_ms++)
            talk(0);
        CHECK(mr_limits_next(limits, world.now_ms) == &ticket);
        const struct mr_limits_end end = {
            .success = true, .requests = cases[i].seen, .by_tokens = {-1, -1, -1}};
        mr_limits_leave(limits, &ticket, &end, world.now_ms);
        struct mr_lease *lease = mr_limits_lease(limits, world.now_ms);
        bool told = cases[i].pause_ms > 0 || cases[i].seen.limit > 0;
        CHECK_INT(lease != NULL, told);
        if (lease) {
            CHECK_INT(lease->rows[0].pause_ms, cases[i].pause_ms);
            CHECK_INT(lease->rows[0].seen_rpm, cases[i].seen.limit);
            mr_limits_leased(limits, world.now_ms, &chance);
        }
        mr_limits_free(limits);
        worker->limits = old;
    }
    tear_down();
}

static void figures_come_from_the_configuration(void)
{
    struct mr_model two[] = {
        {.provider = &provider, .model = (char *)"m", .rpm = 100},
        {.provider = &provider, .model = (char *)"m", .rpm = 50, .tpm = 7, .concurrency = 3},
        {.provider = &provider, .model = (char *)"other", .rpm = 1},
    };
    struct mr_config other = {.models = two, .nmodels = 3};
    struct mr_limits *limits = mr_limits_new();
    struct mr_limits_ask ask = ask_of("t", 1);
    struct mr_ticket ticket = {0};
    int64_t wait;
    const char *scope;
    ask.config = &other;
    for (int round = 0; round < 2; round++) {
        mr_limits_ask(limits, &ticket, &ask, 1000, &wait, &scope);
        struct mr_lease *lease = mr_limits_lease(limits, 1000);
        CHECK(lease && lease->count == (round == 0 ? 2 : 1));
        size_t at = lease->count == 2 && strcmp(lease->rows[0].scope, "tenant:t") == 0;
        CHECK_STR(lease->rows[at].scope, "model:p/e/m");
        CHECK_INT(lease->rows[at].rpm, round == 0 ? 50 : 100);
        CHECK_INT(lease->rows[at].tpm, round == 0 ? 7 : 0);
        CHECK_INT(lease->rows[at].concurrency, round == 0 ? 3 : 0);
        for (size_t i = 0; i < lease->count; i++)
            lease->rows[i].requests = lease->rows[i].tokens = lease->rows[i].slots = MR_LEASE_NONE;
        mr_limits_leased(limits, 1000, &chance);
        other.nmodels = 1; /* the strict alias goes */
        mr_limits_leave(limits, &ticket, NULL, 1000);
        mr_limits_reload(limits);
    }
    mr_limits_free(limits);
}

static void what_is_refused_lets_everybody_through(void)
{
    struct mr_limits *limits = mr_limits_new();
    struct mr_limits_ask ask = ask_of("t", 1);
    struct mr_ticket ticket = {0};
    int64_t wait;
    const char *scope;
    CHECK_INT(mr_limits_ask(limits, &ticket, &ask, 1000, &wait, &scope), MR_LIMITS_WAIT);
    mr_limits_lease(limits, 1000)->refused = true;
    mr_limits_leased(limits, 1001, &chance);
    CHECK(mr_limits_next(limits, 1001) == &ticket);
    mr_limits_leave(limits, &ticket, NULL, 1001);
    mr_limits_free(limits);
}

TEST_MAIN(TEST(without_limits_nothing_waits_and_little_is_asked),
    TEST(a_minute_holds_its_requests_and_no_more), TEST(below_the_limit_nothing_is_held_up),
    TEST(tokens_count_as_used), TEST(a_tenant_has_limits_of_its_own), TEST(tenants_take_turns),
    TEST(a_large_call_is_not_starved_by_small_ones), TEST(who_would_wait_too_long_is_sent_away),
    TEST(calls_at_once_are_bounded), TEST(while_the_database_counts_nobody_joins),
    TEST(what_was_granted_long_ago_is_asked_for_again), TEST(a_throttled_call_pauses_the_scope),
    TEST(the_last_request_is_followed_by_a_breath), TEST(figures_come_from_the_configuration),
    TEST(what_is_refused_lets_everybody_through))
