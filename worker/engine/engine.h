/* The engine: what happens to a job between its delivery and its ack. Pure: single-threaded, no
 * sockets, no clock of its own, no locks. It sees the world through struct mr_world and is told
 * what happened by the functions below; each may call ops.
 *
 * The protocol of one delivery (docs/architecture.md):
 *   delivered -> (slot free) parse -> claim -> run steps, a commit per checkpoint -> last commit
 * ends the job -> ack -> event. A message is acked only after its job has ended in SQL, or after
 * the envelope has been published again and confirmed. */
#pragma once

#include "common/config.h"
#include "worker/engine/world.h"
#include "worker/limits/limits.h"

struct mr_engine;

/* config is referenced. The world is copied; its ops' contexts must outlive the engine. */
int mr_engine_new(const struct mr_world *world, struct mr_config *config, struct mr_prices *prices,
    struct mr_engine **ret, struct mr_err *err) MR_CHECK;
struct mr_engine *mr_engine_free(struct mr_engine *engine);

/* Jobs started from now on use the new snapshot; running ones keep theirs. Prices are borrowed
 * until the next reload. */
void mr_engine_reload(struct mr_engine *engine, struct mr_config *config, struct mr_prices *prices);

/* ---- what happened ---- */
void mr_engine_delivered(struct mr_engine *engine, struct mr_delivery *delivery);
/* The consuming connection of this session is gone: its tags are void. Jobs go on; they are adopted
 * when they come again. */
void mr_engine_session_lost(struct mr_engine *engine, uint64_t session);
void mr_engine_claimed(struct mr_engine *engine, struct mr_claim *claim);
void mr_engine_committed(struct mr_engine *engine, struct mr_commit *commit);
void mr_engine_leased(struct mr_engine *engine, struct mr_lease *lease);
void mr_engine_rejected(struct mr_engine *engine, void *owner);
void mr_engine_replied(
    struct mr_engine *engine, void *token, struct mr_reply *reply); /* reply is taken over */
/* The endpoint's health path answered (ok), or did not. */
void mr_engine_probed(struct mr_engine *engine, void *token, bool ok);
void mr_engine_extracted(struct mr_engine *engine, void *token,
    struct mr_extract_result *result); /* output taken over */
void mr_engine_published(
    struct mr_engine *engine, struct mr_publish *publish, bool confirmed, const char *why);

/* ---- time ---- */
/* Wall-independent: monotonic ms at which tick wants to be called next; INT64_MAX = never. */
int64_t mr_engine_next_tick(const struct mr_engine *engine);
void mr_engine_tick(struct mr_engine *engine);

/* ---- drain ---- */
/* Starts nothing any more: unstarted deliveries are requeued, running calls may finish until
 * grace_ms have passed (then they are aborted and settled as ambiguous), unfinished jobs are
 * published again. Done when mr_engine_idle. */
void mr_engine_drain(struct mr_engine *engine, int64_t grace_ms);
bool mr_engine_idle(const struct mr_engine *engine);

/* ---- what can be seen from outside ---- */

struct mr_engine_counts {
    size_t queued, running, calls_open;
    size_t lanes[MR_LANE_COUNT]; /* queued, by lane */
    uint64_t done, dead, steps, calls;
};
struct mr_engine_counts mr_engine_counts(const struct mr_engine *engine);
/* Whether calls go there. OPEN is over with its time, not only with the next call: then it is
 * HALF_OPEN. An endpoint nobody has called is CLOSED. */
enum mr_breaker_state mr_engine_breaker(
    const struct mr_engine *engine, const char *provider, const char *endpoint);
/* Every limit there is. */
void mr_engine_limits(const struct mr_engine *engine,
    void (*each)(void *ctx, const struct mr_limits_view *view), void *ctx);
