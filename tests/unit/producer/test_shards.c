#include "common/shard.h"
#include "producer/shards.h"
#include "tests/unit/test.h"

#include <errno.h>

#define COUNT 8

/* A broker that is asked and answers when told to. */
struct fake {
    struct mr_shards *shards;
    char asked[64][MR_QUEUE_MAX];
    int nasked;
    int rc; /* of the next questions */
};

static int ask(void *ctx, const char *queue, struct mr_err *err)
{
    struct fake *fake = ctx;
    CHECK(fake->nasked < 64);
    snprintf(fake->asked[fake->nasked++], MR_QUEUE_MAX, "%s", queue);
    return fake->rc;
}

static void fake_init(struct fake *fake, int count)
{
    *fake = (struct fake){0};
    CHECK_INT(mr_shards_new(count, ask, fake, &fake->shards), 0);
}

static void answer(struct fake *fake, const char *queue, uint32_t ready)
{
    mr_shards_answered(fake->shards, amqp_cstring_bytes(queue), ready);
}

/* The shard for a normal job of this tenant in pool main, NULL when it has to wait. */
static struct mr_shard *choose(struct fake *fake, const char *tenant, int64_t now_ms)
{
    struct mr_shard *shard = NULL;
    struct mr_err err;
    int r = mr_shards_choose(fake->shards, tenant, "main", MR_LANE_NORMAL, now_ms, &shard, &err);
    CHECK(r == 0 || r == MR_SHARDS_WAIT);
    return r == 0 ? shard : NULL;
}

/* The names of a tenant's two queues. */
static void queues_of(const char *tenant, char a[static MR_QUEUE_MAX], char b[static MR_QUEUE_MAX])
{
    int pair[2];
    mr_shard_pair(tenant, COUNT, pair);
    mr_lane_queue("main", MR_LANE_NORMAL, pair[0], a);
    mr_lane_queue("main", MR_LANE_NORMAL, pair[1], b);
}

static void the_shallower_one_is_chosen(void)
{
    struct fake fake;
    char a[MR_QUEUE_MAX], b[MR_QUEUE_MAX];
    fake_init(&fake, COUNT);
    queues_of("acme", a, b);
    CHECK(!choose(&fake, "acme", 0)); /* nothing goes out blind */
    CHECK_INT(fake.nasked, 2);
    CHECK_STR(fake.asked[0], a);
    CHECK_STR(fake.asked[1], b);
    answer(&fake, a, 5000);
    CHECK(!choose(&fake, "acme", 1));
    answer(&fake, b, 3);
    struct mr_shard *shard = choose(&fake, "acme", 2);
    CHECK(shard);
    CHECK_STR(shard->queue, b);
    CHECK_STR(shard->key, b + strlen("millrace."));
    CHECK_INT(fake.nasked, 2);
    mr_shards_free(fake.shards);
}

static void what_was_sent_counts(void)
{
    struct fake fake;
    char a[MR_QUEUE_MAX], b[MR_QUEUE_MAX];
    int to_a = 0, to_b = 0;
    fake_init(&fake, COUNT);
    queues_of("acme", a, b);
    CHECK(!choose(&fake, "acme", 0));
    answer(&fake, a, 100);
    answer(&fake, b, 0);
    for (int i = 0; i < 300; i++) {
        struct mr_shard *shard = choose(&fake, "acme", 1);
        *(strcmp(shard->queue, a) == 0 ? &to_a : &to_b) += 1;
        mr_shards_sent(shard);
    }
    CHECK_INT(to_a, 100);
    CHECK_INT(to_b, 200);
    mr_shards_free(fake.shards);
}

static void depths_are_asked_again(void)
{
    struct fake fake;
    char a[MR_QUEUE_MAX], b[MR_QUEUE_MAX];
    fake_init(&fake, COUNT);
    queues_of("acme", a, b);
    CHECK(!choose(&fake, "acme", 0));
    answer(&fake, a, 0);
    answer(&fake, b, 1000000);
    struct mr_shard *shard = choose(&fake, "acme", 999);
    CHECK_INT(fake.nasked, 2);
    for (int i = 0; i < MR_SHARDS_REFRESH_SENT; i++)
        mr_shards_sent(shard);
    shard = choose(&fake, "acme", 999); /* by number: only the one that got them */
    CHECK_INT(fake.nasked, 3);
    CHECK_STR(fake.asked[2], a);
    mr_shards_sent(shard); /* after the question: counts on top of its answer */
    answer(&fake, a, 7);
    CHECK_INT(shard->ready, 7);
    CHECK_INT(shard->sent, 1);
    CHECK(choose(&fake, "acme", 1000) == shard); /* by time: the other one too */
    CHECK_INT(fake.nasked, 4);
    CHECK_STR(fake.asked[3], b);
    answer(&fake, b, 0);
    CHECK_STR(choose(&fake, "acme", 1001)->queue, b);
    mr_shards_free(fake.shards);
}

/* Without depths both get equally many, and the broker is left in peace for a while. */
static void a_broker_that_does_not_tell(void)
{
    struct fake fake;
    char a[MR_QUEUE_MAX], b[MR_QUEUE_MAX];
    int to_a = 0;
    fake_init(&fake, COUNT);
    queues_of("acme", a, b);
    CHECK(!choose(&fake, "acme", 0));
    mr_shards_answered(fake.shards, amqp_empty_bytes, MR_DEPTH_UNKNOWN);
    for (int i = 0; i < 4000; i++) {
        struct mr_shard *shard = choose(&fake, "acme", 20000);
        to_a += strcmp(shard->queue, a) == 0;
        mr_shards_sent(shard);
    }
    CHECK_INT(to_a, 2000);
    CHECK_INT(fake.nasked, 2);
    choose(&fake, "acme", MR_SHARDS_REFUSED_MS + MR_SHARDS_REFRESH_MS);
    CHECK_INT(fake.nasked, 4);
    mr_shards_free(fake.shards);
}

static void a_lost_connection_is_asked_anew(void)
{
    struct fake fake;
    char a[MR_QUEUE_MAX], b[MR_QUEUE_MAX];
    struct mr_shard *shard;
    struct mr_err err;
    fake_init(&fake, COUNT);
    queues_of("acme", a, b);
    CHECK(!choose(&fake, "acme", 0));
    mr_shards_lost(fake.shards);
    CHECK(!choose(&fake, "acme", 1));
    CHECK_INT(fake.nasked, 4);
    mr_shards_lost(fake.shards);
    fake.rc = -ECONNRESET;
    CHECK_INT(mr_shards_choose(fake.shards, "acme", "main", MR_LANE_NORMAL, 2, &shard, &err),
        -ECONNRESET);
    mr_shards_free(fake.shards);
}

static void lanes_and_pools_are_told_apart(void)
{
    static const struct {
        const char *pool;
        enum mr_lane lane;
    } places[] = {{"main", MR_LANE_NORMAL}, {"gpu", MR_LANE_NORMAL}, {"main", MR_LANE_HIGH}};
    struct fake fake;
    fake_init(&fake, COUNT);
    for (int round = 0; round < 2; round++)
        for (size_t i = 0; i < 3; i++) {
            struct mr_shard *shard;
            struct mr_err err;
            int r = mr_shards_choose(
                fake.shards, "acme", places[i].pool, places[i].lane, 0, &shard, &err);
            CHECK_INT(r, round == 0 ? MR_SHARDS_WAIT : 0);
            if (round == 0) {
                answer(&fake, fake.asked[2 * i], 1);
                answer(&fake, fake.asked[2 * i + 1], 2);
            } else {
                CHECK_STR(shard->queue, fake.asked[2 * i]);
            }
        }
    CHECK_INT(fake.nasked, 6);
    mr_shards_free(fake.shards);
}

static void one_shard_needs_no_question(void)
{
    struct fake fake;
    fake_init(&fake, 1);
    for (int i = 0; i < 3000; i++) {
        struct mr_shard *shard = choose(&fake, "acme", i * 1000);
        CHECK_STR(shard->key, "main.normal.0");
        mr_shards_sent(shard);
    }
    CHECK_INT(fake.nasked, 0);
    mr_shards_free(fake.shards);
}

TEST_MAIN(TEST(the_shallower_one_is_chosen), TEST(what_was_sent_counts),
    TEST(depths_are_asked_again), TEST(a_broker_that_does_not_tell),
    TEST(a_lost_connection_is_asked_anew), TEST(lanes_and_pools_are_told_apart),
    TEST(one_shard_needs_no_question))
