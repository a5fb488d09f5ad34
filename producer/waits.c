#include "producer/waits.h"
#include "worker/engine/retry.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char mr_waits_sql[] =
    "select w.job_id, w.state, w.pool, w.step, w.class, w.message, millrace.utc(w.until),"
    " ceil(extract(epoch from w.until - now()) * 1000)::bigint,"
    " ceil(extract(epoch from now() - w.failed_at) * 1000)::bigint, w.tries,"
    " ceil(extract(epoch from p.paused_until - now()) * 1000)::bigint,"
    " floor(extract(epoch from now()) * 1000)::bigint, w.line, l.waiting, l.rpm, l.tpm,"
    " l.concurrency from millrace.job_waits w"
    " left join millrace.limit_overview p on p.scope = w.scope"
    " left join millrace.limit_overview l on l.scope = w.line"
    " where w.job_id = any($1::uuid[])"
    " order by coalesce(w.until, now()), w.job_id";

const char mr_waits_unseen_sql[] =
    "select (select count(*) from unnest($1::uuid[]) i (id) where not exists"
    "   (select from millrace.job_overview o where o.job_id = i.id)),"
    " (select count(*) from millrace.worker_overview where alive)";

const char *mr_waits_class(const char *class)
{
    static const struct {
        const char *class, *words;
    } reasons[] = {
        {"capped", "there is no room under a cap"},
        {"limited", "its share of a limit that all workers keep is used up"},
        {"unavailable", "no route to its model is open"},
        {"rate_limited", "the provider throttles"},
        {"overloaded", "the provider is overloaded"},
        {"server", "the provider fails"},
        {"network", "the provider cannot be reached"},
        {"ambiguous", "the answer to its last call never came"},
        {"bad_output", "the last answer was no good"},
    };
    for (size_t i = 0; class && i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reasons[i].class, class) == 0)
            return reasons[i].words;
    return class ? class : "it changes hands";
}

/* The whole of it: "18:00:00Z" would be read wrongly tomorrow. */
void mr_waits_moment(const char *time, char ret[static 24])
{
    snprintf(ret, 24, "%.10s %.8sZ", time ? time : "", time && strlen(time) > 11 ? time + 11 : "");
}

void mr_waits_duration(long long seconds, char ret[static 32])
{
    if (seconds < 120)
        snprintf(ret, 32, "%lld s", seconds);
    else if (seconds < 7200)
        snprintf(ret, 32, "%lld min", (seconds + 30) / 60);
    else
        snprintf(ret, 32, "%lld h", (seconds + 1800) / 3600);
}

static const char *cell(const PGresult *waits, int row, int column)
{
    return PQgetisnull(waits, row, column) ? NULL : PQgetvalue(waits, row, column);
}

static int64_t number(const PGresult *waits, int row, int column)
{
    const char *text = cell(waits, row, column);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* The reason with what is on record about it; a missing route says all of it itself. */
static void reason(const PGresult *waits, int row, char ret[static MR_WAITS_LEN])
{
    const char *class = cell(waits, row, MR_WT_CLASS), *message = cell(waits, row, MR_WT_MESSAGE);
    if (message && class && strcmp(class, "unavailable") == 0)
        snprintf(ret, MR_WAITS_LEN, "%s", message);
    else
        snprintf(ret, MR_WAITS_LEN, "%s%s%s", mr_waits_class(class), message ? ": " : "",
            message ? message : "");
}

static void say_delay(const PGresult *waits, int row, char ret[static MR_WAITS_LEN])
{
    char until[24], rest[32], why[MR_WAITS_LEN];
    int64_t left_ms = number(waits, row, MR_WT_UNTIL_MS);
    if (!cell(waits, row, MR_WT_UNTIL) || left_ms <= 0) {
        snprintf(ret, MR_WAITS_LEN, "for a worker of pool %s to take it",
            PQgetvalue(waits, row, MR_WT_POOL));
        return;
    }
    reason(waits, row, why);
    mr_waits_moment(cell(waits, row, MR_WT_UNTIL), until);
    mr_waits_duration((left_ms + 999) / 1000, rest);
    snprintf(ret, MR_WAITS_LEN, "until %s (%s more), since %.1900s", until, rest, why);
}

static void say_line(const PGresult *waits, int row, char ret[static MR_WAITS_LEN])
{
    static const struct {
        int column;
        const char *one, *many;
    } figures[] = {
        {MR_WT_LINE_RPM, "request a minute", "requests a minute"},
        {MR_WT_LINE_TPM, "token a minute", "tokens a minute"},
        {MR_WT_LINE_CALLS, "call at once", "calls at once"},
    };
    int64_t others = number(waits, row, MR_WT_LINE_WAITING) - 1;
    size_t n = (size_t)snprintf(
        ret, MR_WAITS_LEN, "in the line of the limit %s (", PQgetvalue(waits, row, MR_WT_LINE));
    const char *comma = "";
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        if (n >= MR_WAITS_LEN || !cell(waits, row, figures[i].column))
            continue;
        int64_t figure = number(waits, row, figures[i].column);
        n += (size_t)snprintf(ret + n, MR_WAITS_LEN - n, "%s%" PRId64 " %s", comma, figure,
            figure == 1 ? figures[i].one : figures[i].many);
        comma = ", ";
    }
    if (n < MR_WAITS_LEN)
        snprintf(ret + n, MR_WAITS_LEN - n, "), behind at most %" PRId64 " other%s",
            others > 0 ? others : 0, others == 1 ? "" : "s");
}

/* When its worker is to try again, at the earliest: from now, negative when that is past. False: on
 * this route not at all. */
static bool next_try_ms(
    const struct mr_config *config, const PGresult *waits, int row, int64_t *ret)
{
    enum mr_class class = mr_class_parse(PQgetvalue(waits, row, MR_WT_CLASS));
    int64_t ms = class == MR_CLASS_COUNT
                     ? -1
                     : mr_retry_least_ms(config, class, (int)number(waits, row, MR_WT_TRIES));
    if (ms < 0)
        return false;
    ms -= number(waits, row, MR_WT_FAILED_MS);
    int64_t paused = number(waits, row, MR_WT_PAUSED_MS);
    *ret = ms > paused ? ms : paused;
    return true;
}

static void say_retry(const PGresult *waits, int row, int64_t in_ms, char ret[static MR_WAITS_LEN])
{
    char time[MR_TIME_LEN], at[24], why[MR_WAITS_LEN];
    mr_time_format(number(waits, row, MR_WT_NOW_MS) + in_ms, time);
    mr_waits_moment(time, at);
    reason(waits, row, why);
    snprintf(ret, MR_WAITS_LEN, "for its next try at about %s (%" PRId64 " s more), since %.1900s",
        at, (in_ms + 999) / 1000, why);
}

void mr_waits_say(
    const struct mr_config *config, const PGresult *waits, int row, char ret[static MR_WAITS_LEN])
{
    char why[MR_WAITS_LEN];
    int64_t in_ms;
    if (strcmp(PQgetvalue(waits, row, MR_WT_STATE), "waiting") == 0) {
        say_delay(waits, row, ret);
    } else if (cell(waits, row, MR_WT_CLASS) && next_try_ms(config, waits, row, &in_ms) &&
               in_ms > 0) {
        say_retry(waits, row, in_ms, ret);
    } else if (cell(waits, row, MR_WT_LINE)) {
        say_line(waits, row, ret);
    } else {
        reason(waits, row, why);
        snprintf(ret, MR_WAITS_LEN, "for its next call, since %.1900s", why);
    }
}

/* ---- many at once ---- */

MR_PRINTF(3, 4) static void append(char *text, size_t size, const char *fmt, ...)
{
    size_t n = strlen(text);
    va_list args;
    va_start(args, fmt);
    vsnprintf(text + n, size - n, fmt, args);
    va_end(args);
}

/* "2 since the provider throttles, 1 since ...": each reason once. */
static void say_reasons(const PGresult *waits, struct mr_waits_told *told)
{
    const int n = PQntuples(waits);
    for (int i = 0; i < n; i++) {
        const char *words = mr_waits_class(cell(waits, i, MR_WT_CLASS));
        int same = 0, before = 0;
        for (int k = 0; k < n; k++) {
            bool equal = strcmp(words, mr_waits_class(cell(waits, k, MR_WT_CLASS))) == 0;
            same += equal;
            before += equal && k < i;
        }
        if (before > 0)
            continue;
        append(told->line, sizeof(told->line), "%s%d since %.200s", i ? ", " : "", same, words);
        append(told->key, sizeof(told->key), "%.80s;", words);
    }
}

static void say_next(const PGresult *waits, struct mr_waits_told *told)
{
    char until[24];
    for (int i = 0; i < PQntuples(waits); i++) {
        if (!cell(waits, i, MR_WT_UNTIL) || number(waits, i, MR_WT_UNTIL_MS) <= 0)
            continue;
        mr_waits_moment(cell(waits, i, MR_WT_UNTIL), until);
        append(told->line, sizeof(told->line), "; the first goes on at %s", until);
        return;
    }
}

static void say_unseen(int64_t unseen, int64_t workers, struct mr_waits_told *told)
{
    append(told->line, sizeof(told->line), "%s%" PRId64 " %s been taken by %s yet%s",
        told->line[0] ? "; " : "", unseen, unseen == 1 ? "has not" : "have not",
        workers ? "any worker" : "a worker", workers ? "" : ", and none is running");
    append(told->key, sizeof(told->key), "%s", workers ? "unseen;" : "no worker;");
}

bool mr_waits_tell(const struct mr_config *config, const PGresult *waits, const PGresult *unseen,
    size_t asked, bool all, struct mr_waits_told *ret)
{
    char why[MR_WAITS_LEN];
    const int n = PQntuples(waits);
    *ret = (struct mr_waits_told){.line = ""};
    if (n == 1) {
        mr_waits_say(config, waits, 0, why);
        snprintf(ret->line, sizeof(ret->line), "%s waits %s", PQgetvalue(waits, 0, MR_WT_JOB), why);
        snprintf(ret->key, sizeof(ret->key), "%s %s %s;", PQgetvalue(waits, 0, MR_WT_JOB),
            PQgetvalue(waits, 0, MR_WT_CLASS), PQgetvalue(waits, 0, MR_WT_UNTIL));
    } else if (n > 1) {
        snprintf(ret->line, sizeof(ret->line), "%d of %s%zu jobs wait: ", n,
            all ? "" : "the first ", asked);
        say_reasons(waits, ret);
        say_next(waits, ret);
    }
    int64_t left = number(unseen, 0, 0);
    if (left > 0)
        say_unseen(left, number(unseen, 0, 1), ret);
    return ret->line[0] != '\0';
}
