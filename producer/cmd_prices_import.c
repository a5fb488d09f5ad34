/* millrace prices import: prices of a file become rows. */
#include "common/prices.h"
#include "producer/db.h"
#include "producer/litellm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX_BYTES (64u << 20)

enum change { CHANGE_NONE, CHANGE_NEW, CHANGE_DIFFERS };

struct import {
    struct mr_cli *cli;
    struct mr_prices given, known;
    enum change *changes; /* of each given one */
    size_t counts[3];     /* by change */
    size_t *shown;        /* the given ones that are new or differ */
    size_t nshown;
    int skipped;
};

/* ---- reading ---- */

static bool is_json(const struct mr_buf *text)
{
    size_t start = text->len ? strspn(text->data, " \t\r\n\xef\xbb\xbf") : 0;
    return start < text->len && text->data[start] == '{';
}

static int64_t today(const struct mr_clock *clock)
{
    const int64_t day = 86400000;
    return mr_wall_ms(clock) / day * day;
}

static int read_litellm(
    struct import *import, const char *path, const struct mr_buf *text, struct mr_err *err)
{
    const struct mr_args *args = &import->cli->args;
    int64_t now = mr_wall_ms(&import->cli->clock), from;
    char source[128], date[MR_TIME_LEN];
    int r = mr_args_time(args, "from", now, 1, today(&import->cli->clock), &from, err);
    if (r < 0)
        return r;
    mr_time_format(now, date);
    snprintf(source, sizeof(source), "LiteLLM, imported %.10s", date);
    r = mr_litellm_parse(text->data, text->len, mr_args_text(args, "provider", NULL), from, source,
        &import->given, &import->skipped, err);
    return r < 0 ? mr_err_prefix(err, r, "%s", path) : 0;
}

/* Only the provider that was asked for. */
static void pick(struct mr_prices *prices, const char *provider)
{
    size_t kept = 0;
    for (size_t i = 0; i < prices->count; i++)
        if (!provider || strcmp(prices->items[i].provider, provider) == 0)
            prices->items[kept++] = prices->items[i];
    prices->count = kept;
}

static int read_file(struct import *import, const char *path, struct mr_err *err)
{
    MR_CLEANUP(mr_buf_deinit) struct mr_buf text = MR_BUF_INIT(FILE_MAX_BYTES);
    int r = mr_buf_read_file(&text, path, err);
    if (r < 0)
        return r;
    if (is_json(&text))
        return read_litellm(import, path, &text, err);
    if (mr_args_has(&import->cli->args, "from"))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--from is for a JSON table; the entries of %s have dates of their own", path);
    r = mr_prices_parse(path, &import->given, err);
    if (r < 0)
        return r;
    pick(&import->given, mr_args_text(&import->cli->args, "provider", NULL));
    return 0;
}

/* ---- comparing ---- */

static const struct mr_price *known_one(const struct import *import, const struct mr_price *given)
{
    for (size_t i = 0; i < import->known.count; i++)
        if (mr_price_same_key(&import->known.items[i], given))
            return &import->known.items[i];
    return NULL;
}

static bool same_rates(const struct mr_price *a, const struct mr_price *b)
{
    return a->to_ms == b->to_ms && a->input == b->input && a->cached == b->cached &&
           a->cache_write == b->cache_write && a->cache_write_1h == b->cache_write_1h &&
           a->output == b->output && a->batch_percent == b->batch_percent;
}

static int compare(struct import *import)
{
    import->changes = calloc(import->given.count + 1, sizeof(*import->changes));
    import->shown = calloc(import->given.count + 1, sizeof(*import->shown));
    if (!import->changes || !import->shown)
        return -ENOMEM;
    for (size_t i = 0; i < import->given.count; i++) {
        const struct mr_price *given = &import->given.items[i], *known = known_one(import, given);
        enum change change = !known                     ? CHANGE_NEW
                             : same_rates(known, given) ? CHANGE_NONE
                                                        : CHANGE_DIFFERS;
        import->changes[i] = change;
        import->counts[change]++;
        if (change != CHANGE_NONE)
            import->shown[import->nshown++] = i;
    }
    return 0;
}

/* ---- telling ---- */

static void put_rate(char ret[static 48], int64_t pico_per_token)
{
    char text[MR_MONEY_LEN];
    int64_t micro = pico_per_token; /* dollars a million tokens have six places */
    snprintf(text, sizeof(text), "%lld.%06lld", (long long)(micro / 1000000),
        (long long)(micro % 1000000));
    size_t n = strlen(text);
    while (text[n - 1] == '0')
        n--;
    n -= text[n - 1] == '.';
    snprintf(ret, 48, "%.*s", (int)n, text);
}

static json_t *rates_json(const struct mr_price *price)
{
    const int64_t rates[] = {
        price->input, price->cached, price->cache_write, price->cache_write_1h, price->output};
    static const char *const names[] = {
        "input", "cached", "cache_write", "cache_write_1h", "output"};
    json_t *object = json_object();
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        char text[48];
        put_rate(text, rates[i]);
        json_object_set_new(object, names[i], json_string(text));
    }
    json_object_set_new(object, "batch_percent",
        price->batch_percent ? json_integer(price->batch_percent) : json_null());
    return object;
}

static void tell_json(const struct import *import, int written)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < import->nshown; i++) {
        const struct mr_price *given = &import->given.items[import->shown[i]];
        bool differs = import->changes[import->shown[i]] == CHANGE_DIFFERS;
        char from[MR_TIME_LEN];
        mr_time_format(given->from_ms, from);
        json_array_append_new(rows,
            json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o}", "change", differs ? "differs" : "new",
                "provider", given->provider, "model", given->model, "effective_from", from,
                "above_tokens", (json_int_t)given->above_tokens, "rates", rates_json(given),
                "known", differs ? rates_json(known_one(import, given)) : json_null()));
    }
    mr_output_json(import->cli,
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:o}", "new", (int)import->counts[CHANGE_NEW],
            "differ", (int)import->counts[CHANGE_DIFFERS], "same", (int)import->counts[CHANGE_NONE],
            "skipped", import->skipped, "written", written, "prices", rows));
}

static void tell_row(const struct import *import, size_t at)
{
    const struct mr_price *given = &import->given.items[at], *known = known_one(import, given);
    char input[48], output[48], from[MR_TIME_LEN] = "always", tier[40] = "";
    FILE *out = import->cli->out;
    put_rate(input, given->input);
    put_rate(output, given->output);
    if (given->from_ms)
        mr_time_format(given->from_ms, from);
    if (given->above_tokens)
        snprintf(tier, sizeof(tier), " above %lld tokens", (long long)given->above_tokens);
    fprintf(out, "%s  %s/%s%s from %.10s: input %s, output %s", known ? "differs" : "new    ",
        given->provider, given->model, tier, from, input, output);
    if (known) {
        put_rate(input, known->input);
        put_rate(output, known->output);
        fprintf(out, "; the table has input %s, output %s", input, output);
    }
    fputc('\n', out);
}

static void tell(const struct import *import, int written)
{
    if (import->cli->format == MR_FORMAT_JSON) {
        tell_json(import, written);
        return;
    }
    for (size_t i = 0; i < import->nshown; i++)
        tell_row(import, import->shown[i]);
    fprintf(import->cli->out,
        "%zu new, %zu differ, %zu are there already, %d skipped; %d written\n",
        import->counts[CHANGE_NEW], import->counts[CHANGE_DIFFERS], import->counts[CHANGE_NONE],
        import->skipped, written);
}

/* ---- the whole ---- */

static enum mr_exit write_rows(struct import *import, PGconn *conn)
{
    const struct mr_args *args = &import->cli->args;
    struct mr_err err;
    int written = 0;
    bool replace = mr_args_has(args, "replace"), dry = mr_args_has(args, "dry-run");
    bool refused = import->counts[CHANGE_DIFFERS] > 0 && !replace;
    int r = refused || dry ? 0 : mr_prices_store(conn, &import->given, replace, &written, &err);
    if (r < 0) {
        enum mr_exit code = mr_db_tell(import->cli, r, &err);
        return r == -EACCES ? code : MR_EXIT_FAILED;
    }
    tell(import, written);
    if (refused)
        mr_cli_error(import->cli,
            "nothing was written: %zu prices differ from those the table has for the same time. A "
            "new price is a row with a later 'from'; --replace corrects what was wrong from the "
            "start (then see millrace prices recost)",
            import->counts[CHANGE_DIFFERS]);
    return refused ? MR_EXIT_FAILED : MR_EXIT_OK;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct import import = {.cli = cli};
    struct mr_err err;
    enum mr_exit code = MR_EXIT_UNREACHABLE;
    if (read_file(&import, cli->args.operands[0], &err) < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return MR_EXIT_USAGE;
    }
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open_owner(cli);
    int r = conn ? mr_prices_load(conn, &import.known, &err) : 0;
    if (r < 0)
        mr_db_tell(cli, r, &err);
    else if (conn && compare(&import) < 0)
        mr_cli_error(cli, "out of memory");
    else if (conn)
        code = write_rows(&import, conn);
    free(import.shown);
    free(import.changes);
    mr_prices_deinit(&import.given);
    mr_prices_deinit(&import.known);
    return code;
}

static const struct mr_option options[] = {
    {.name = "dry-run", .type = MR_OPT_FLAG, .help = "Only tell what would be written"},
    {.name = "replace",
        .type = MR_OPT_FLAG,
        .help = "Also overwrite prices that are in the table with other rates"},
    {.name = "provider", .type = MR_OPT_TEXT, .arg = "NAME", .help = "Only this provider's"},
    {.name = "from",
        .type = MR_OPT_TIME,
        .arg = "TIME",
        .help = "JSON only: in effect from this time on (RFC 3339 or a date); today unless given"},
    {NULL},
};

const struct mr_command mr_cmd_prices_import = {
    .name = "prices import",
    .operands = "FILE",
    .summary = "add prices from a file",
    .details =
        "Adds the prices of a file: one in the format of ops/prices.cfg, or LiteLLM's "
        "model_prices_and_context_window.json, whose dollars a token are converted as decimals, "
        "exactly. All or nothing is written: a price that is in the table already with other rates "
        "is listed and refused unless --replace is given, since each call says which price it was "
        "charged at.\n\n"
        "A price in the file is for the name a provider has in the configuration. Of LiteLLM's "
        "table, models are skipped that are not priced by tokens.\n\n"
        "Like millrace init it needs the database's owner (database.owner_user): who may enqueue "
        "jobs may not set prices. Workers read the table when they start and on SIGHUP.",
    .examples = "  millrace prices import prices.cfg --dry-run\n"
                "  millrace prices import model_prices_and_context_window.json --provider mistral "
                "--from 2026-12-01\n",
    .options = options,
    .output = mr_options_output,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};
