#include "producer/progress.h"
#include "producer/text.h"

#include <stdlib.h>
#include <string.h>

#define DRAW_EVERY_MS 100
#define BAR 30
#define WIDTH 79 /* of a terminal of which nothing is known */

void mr_progress_begin(struct mr_progress *ret, struct mr_cli *cli, int64_t total)
{
    int64_t now = mr_mono_ms(&cli->clock);
    *ret = (struct mr_progress){.cli = cli, .start_ms = now, .drawn_ms = now, .total = total};
}

static bool can_draw(const struct mr_progress *p)
{
    const char *term = getenv("TERM");
    return p->cli->err_tty && term && strcmp(term, "dumb") != 0;
}

bool mr_progress_say(struct mr_progress *p, const char *line)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf safe = MR_BUF_INIT(8 * strlen(line) + 1);
    if (!can_draw(p))
        return false;
    mr_cli_erase_bar(p->cli);
    if (mr_text_safe(&safe, line, strlen(line), MR_SAFE_LINE) < 0 || safe.len == 0)
        return true;
    size_t room = p->cli->width > 1 ? (size_t)p->cli->width - 1 : WIDTH;
    size_t n = mr_text_fit(safe.data, safe.len, room);
    if (n < safe.len)
        n = mr_text_fit(safe.data, safe.len, room - 1);
    fprintf(p->cli->err, "%.*s%s", (int)n, safe.data, n < safe.len ? "…" : "");
    fflush(p->cli->err);
    p->cli->bar = true;
    return true;
}

void mr_progress_draw(struct mr_progress *p)
{
    int64_t now = mr_mono_ms(&p->cli->clock);
    if (!can_draw(p) || now - p->drawn_ms < DRAW_EVERY_MS)
        return;
    p->drawn_ms = now;
    int64_t elapsed = now - p->start_ms;
    mr_cli_erase_bar(p->cli);
    if (p->total > 0) {
        int64_t done = p->done < p->total ? p->done : p->total;
        int filled = (int)(BAR * done / p->total);
        fprintf(p->cli->err, "[%.*s%*s] %3d%%  ", filled, "##############################",
            BAR - filled, "", (int)(100 * done / p->total));
    }
    fprintf(p->cli->err, "%lld confirmed", (long long)p->confirmed);
    if (p->refused)
        fprintf(p->cli->err, ", %lld refused", (long long)p->refused);
    if (p->failed)
        fprintf(p->cli->err, ", %lld failed", (long long)p->failed);
    if (elapsed > 0)
        fprintf(p->cli->err, "  %lld/s", (long long)(p->confirmed * 1000 / elapsed));
    fflush(p->cli->err);
    p->cli->bar = true;
}

void mr_progress_end(struct mr_progress *p)
{
    mr_cli_erase_bar(p->cli);
}
