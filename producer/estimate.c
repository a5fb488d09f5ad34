#include "producer/estimate.h"
#include "common/json.h"
#include "common/prices.h"
#include "producer/db.h"
#include "producer/estimate_caps.h"
#include "producer/estimate_texts.h"
#include "worker/providers/chat.h"
#include "worker/steps/steps.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define MILLION 1000000
#define FEW_TOKENS 16 /* of output: a short answer */
#define CALLS_MIN 20  /* of history before it is believed */

/* What a step's calls have cost, in millionths of the hold that was taken for them. */
struct history {
    int64_t calls, mean, low;
};

struct row {
    const struct mr_pipeline *pipeline;
    const struct mr_step_def *step;
    struct history history;
    int64_t jobs, low, expected, worst;
    bool unpriced;
};

struct mr_estimate {
    struct mr_cli *cli;
    PGconn *conn; /* NULL: there is no database to ask */
    struct mr_prices prices;
    struct row *rows;
    size_t nrows;
    struct mr_estimate_caps caps;
    int64_t jobs, sized;             /* of which their text is not known */
    int64_t job_expected, job_worst; /* of the job that is being added */
    int64_t now_ms;
};

/* ---- prices and history ---- */

struct mr_estimate *mr_estimate_new(struct mr_cli *cli)
{
    struct mr_err err;
    struct mr_estimate *estimate = calloc(1, sizeof(*estimate));
    if (!estimate)
        return NULL;
    estimate->cli = cli;
    estimate->now_ms = mr_wall_ms(&cli->clock);
    estimate->conn = mr_db_open(cli);
    int r = estimate->conn ? mr_prices_load(estimate->conn, &estimate->prices, &err)
                           : mr_prices_parse(NULL, &estimate->prices, &err);
    if (r < 0) {
        mr_cli_error(cli, "%s", err.msg);
        return mr_estimate_free(estimate);
    }
    if (!estimate->conn)
        mr_cli_note(cli, "Without the database: shipped prices, no history and no caps.");
    mr_prices_set_ceiling(&estimate->prices, &cli->config->money);
    return estimate;
}

struct mr_estimate *mr_estimate_free(struct mr_estimate *estimate)
{
    if (!estimate)
        return NULL;
    mr_db_closep(&estimate->conn);
    mr_prices_deinit(&estimate->prices);
    mr_estimate_caps_deinit(&estimate->caps);
    free(estimate->rows);
    free(estimate);
    return NULL;
}

static struct history ask_history(struct mr_estimate *estimate, const struct mr_pipeline *pipeline,
    const struct mr_step_def *step)
{
    struct history history = {0};
    const char *params[] = {
        pipeline->name, step->name, step->model->provider->name, step->model->model};
    MR_CLEANUP(mr_db_clearp) PGresult *result = NULL;
    if (estimate->conn)
        result = mr_db_query(estimate->cli, estimate->conn,
            "select calls, mean_millionths, low_millionths from millrace.cost_history"
            " where pipeline = $1 and step = $2 and provider = $3 and model = $4",
            4, params);
    if (result && PQntuples(result) == 1) {
        history.calls = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
        history.mean = strtoll(PQgetvalue(result, 0, 1), NULL, 10);
        history.low = strtoll(PQgetvalue(result, 0, 2), NULL, 10);
    }
    return history;
}

static struct row *row_of(struct mr_estimate *estimate, const struct mr_pipeline *pipeline,
    const struct mr_step_def *step)
{
    for (size_t i = 0; i < estimate->nrows; i++)
        if (estimate->rows[i].step == step)
            return &estimate->rows[i];
    struct row *rows = reallocarray(estimate->rows, estimate->nrows + 1, sizeof(*rows));
    if (!rows)
        return NULL;
    estimate->rows = rows;
    rows += estimate->nrows++;
    *rows = (struct row){
        .pipeline = pipeline, .step = step, .history = ask_history(estimate, pipeline, step)};
    return rows;
}

/* ---- one step ---- */

/* Prompt tokens as a hold counts them. */
static int prompt_size(const struct mr_step_input *input, const struct mr_model *model,
    int64_t *ret, struct mr_err *err)
{
    struct mr_chat *chat;
    struct mr_request request = {0};
    int r = mr_chat_render(input, &chat, err);
    if (r < 0)
        return r;
    chat->model = model;
    const struct mr_codec *codec = mr_codec_of(model->provider->kind);
    r = codec->encode(&model->provider->endpoints[0], chat, input->step->timeout_ms, &request, err);
    if (r == 0)
        *ret = mr_chat_hold_tokens(&request);
    mr_request_deinit(&request);
    return r;
}

/* The dearest of all models that the step may end up with. */
static int worst_of(struct mr_estimate *estimate, const struct mr_step_input *input,
    const struct mr_model *model, int64_t *ret, struct mr_err *err)
{
    int64_t tokens, hold;
    int r = prompt_size(input, model, &tokens, err);
    if (r < 0)
        return r;
    if (mr_money_hold(&estimate->prices, model->provider->name, model->model, estimate->now_ms,
            tokens, input->step->max_tokens, &hold) < 0)
        return mr_err_set(err, -ERANGE, MR_CLASS_INVALID, "its price is out of range");
    *ret = hold > *ret ? hold : *ret;
    for (size_t i = 0; i < model->nrules && r == 0; i++)
        if (model->rules[i].use != model && model->rules[i].use->nrules == 0)
            r = worst_of(estimate, input, model->rules[i].use, ret, err);
    for (size_t i = 0; i < model->nfallback && r == 0; i++)
        if (model->fallback[i]->nfallback == 0)
            r = worst_of(estimate, input, model->fallback[i], ret, err);
    return r;
}

static int64_t share(int64_t pico, int64_t millionths)
{
    __extension__ typedef __int128 wide;
    wide part = (wide)pico * millionths / MILLION;
    return part > INT64_MAX ? INT64_MAX : (int64_t)part;
}

static int64_t guess(struct mr_estimate *estimate, struct row *row, int64_t input, int64_t output)
{
    const struct mr_model *model = row->step->model;
    const struct mr_usage usage = {.input = input, .output = output};
    int64_t pico;
    bool unknown;
    const struct mr_price *price = mr_price_find(
        &estimate->prices, model->provider->name, model->model, estimate->now_ms, input, &unknown);
    row->unpriced |= unknown;
    return mr_money_cost(&usage, price, &pico) < 0 ? INT64_MAX : pico;
}

static void add(int64_t *sum, int64_t part)
{
    if (__builtin_add_overflow(*sum, part, sum))
        *sum = INT64_MAX;
}

static int add_step(struct mr_estimate *estimate, struct row *row,
    const struct mr_step_input *likely, const struct mr_step_input *worst, struct mr_err *err)
{
    const struct mr_model *model = row->step->model;
    int64_t tokens, hold = 0, bound = 0;
    int r = prompt_size(likely, model, &tokens, err);
    if (r == 0)
        r = worst_of(estimate, worst, model, &bound, err);
    if (r == 0 && mr_money_hold(&estimate->prices, model->provider->name, model->model,
                      estimate->now_ms, tokens, row->step->max_tokens, &hold) < 0)
        r = mr_err_set(err, -ERANGE, MR_CLASS_INVALID, "its price is out of range");
    if (r < 0)
        return mr_err_prefix(err, r, "step %s", row->step->name);
    int64_t low = guess(estimate, row, tokens / 6, FEW_TOKENS),
            expected = guess(estimate, row, tokens / 4, row->step->max_tokens / 2);
    if (row->history.calls >= CALLS_MIN) {
        low = share(hold, row->history.low);
        expected = share(hold, row->history.mean);
    }
    row->jobs++;
    add(&row->low, low < bound ? low : bound);
    expected = expected < bound ? expected : bound;
    add(&row->expected, expected);
    add(&row->worst, bound);
    add(&estimate->job_expected, expected);
    add(&estimate->job_worst, bound);
    return 0;
}

static int add_steps(struct mr_estimate *estimate, const struct mr_pipeline *pipeline,
    const struct mr_envelope *envelope, struct mr_err *err)
{
    json_t *likely[MR_STEPS_MAX] = {NULL}, *worst[MR_STEPS_MAX] = {NULL};
    int r = mr_estimate_outputs(estimate->cli->config, pipeline, envelope, false, likely);
    if (r == 0)
        r = mr_estimate_outputs(estimate->cli->config, pipeline, envelope, true, worst);
    if (r < 0)
        mr_err_set(err, r, MR_CLASS_INTERNAL, "out of memory");
    for (size_t i = 0; i < pipeline->nsteps && r == 0; i++) {
        const struct mr_step_def *step = &pipeline->steps[i];
        if (step->kind != MR_STEP_CHAT)
            continue;
        struct mr_step_input a = {pipeline, step, envelope, likely},
                             b = {pipeline, step, envelope, worst};
        struct row *row = row_of(estimate, pipeline, step);
        r = row ? add_step(estimate, row, &a, &b, err)
                : mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    }
    for (size_t i = 0; i < pipeline->nsteps; i++) {
        json_decref(likely[i]);
        json_decref(worst[i]);
    }
    return r;
}

int mr_estimate_add(
    struct mr_estimate *estimate, const struct mr_shipment *shipment, struct mr_err *err)
{
    MR_CLEANUP(mr_envelope_deinit) struct mr_envelope envelope = {0};
    int r = mr_envelope_parse(shipment->body, shipment->len, &envelope, NULL, err);
    estimate->job_expected = estimate->job_worst = 0;
    if (r == 0)
        r = add_steps(estimate, mr_config_pipeline(estimate->cli->config, envelope.pipeline, 0),
            &envelope, err);
    if (r == 0 && mr_estimate_caps_add(&estimate->caps, envelope.tenant, estimate->job_expected,
                      estimate->job_worst) < 0)
        r = mr_err_set(err, -ENOMEM, MR_CLASS_INTERNAL, "out of memory");
    if (r < 0)
        return mr_err_prefix(err, r, "%s", shipment->source);
    estimate->jobs++;
    estimate->sized += envelope.input_kind != MR_INPUT_TEXT;
    return 0;
}

/* ---- telling ---- */

enum { COL_STEP, COL_MODEL, COL_JOBS, COL_LOW, COL_EXPECTED, COL_WORST, COL_BASIS, COL_COUNT };

static const struct mr_column columns[COL_COUNT] = {
    [COL_STEP] = {"step", "STEP", MR_CELL_TEXT},
    [COL_MODEL] = {"model", "MODEL", MR_CELL_TEXT},
    [COL_JOBS] = {"jobs", "JOBS", MR_CELL_INT},
    [COL_LOW] = {"low_usd", "LOW", MR_CELL_USD},
    [COL_EXPECTED] = {"expected_usd", "EXPECTED", MR_CELL_USD},
    [COL_WORST] = {"worst_usd", "WORST", MR_CELL_USD},
    [COL_BASIS] = {"basis", "BASIS", MR_CELL_TEXT},
};

struct printed {
    char cells[COL_COUNT][320];
};

static void print_row(const struct row *row, struct printed *ret)
{
    const struct mr_model *model = row->step ? row->step->model : NULL;
    if (model) {
        snprintf(ret->cells[COL_STEP], 320, "%s/%s", row->pipeline->name, row->step->name);
        snprintf(ret->cells[COL_MODEL], 320, "%s/%s", model->provider->name, model->model);
    } else {
        snprintf(ret->cells[COL_STEP], 320, "total");
    }
    snprintf(ret->cells[COL_JOBS], 320, "%" PRId64, row->jobs);
    mr_money_format(row->low, ret->cells[COL_LOW]);
    mr_money_format(row->expected, ret->cells[COL_EXPECTED]);
    mr_money_format(row->worst, ret->cells[COL_WORST]);
    const char *ceiling = row->unpriced ? "; no price: the ceiling" : "";
    if (!model)
        return;
    if (row->history.calls >= CALLS_MIN)
        snprintf(ret->cells[COL_BASIS], 320, "%" PRId64 " calls%s", row->history.calls, ceiling);
    else
        snprintf(ret->cells[COL_BASIS], 320, "size only%s", ceiling);
}

static const char *cell(const void *source, size_t row, size_t column)
{
    const struct printed *rows = source;
    return rows[row].cells[column][0] ? rows[row].cells[column] : NULL;
}

static void tell_json(struct mr_estimate *estimate, const struct mr_rows *rows,
    const struct mr_rows *caps, int64_t refused)
{
    json_t *object = mr_output_object(rows, rows->nrows - 1);
    json_t *steps = json_array(), *limits = json_array();
    json_object_del(object, "step");
    json_object_del(object, "model");
    json_object_del(object, "basis");
    for (size_t i = 0; i + 1 < rows->nrows; i++)
        json_array_append_new(steps, mr_output_object(rows, i));
    json_object_set_new(object, "refused", json_integer(refused));
    json_object_set_new(object, "sizes_guessed", json_integer(estimate->sized));
    json_object_set_new(object, "steps", steps);
    for (size_t i = 0; i < caps->nrows; i++)
        json_array_append_new(limits, mr_output_object(caps, i));
    json_object_set_new(object, "caps", limits);
    mr_output_json(estimate->cli, object);
}

static void tell(struct mr_estimate *estimate, const struct mr_rows *rows, int64_t refused)
{
    struct mr_rows caps = {.columns = mr_estimate_cap_columns};
    MR_CLEANUP(mr_db_clearp) PGresult *found = NULL;
    if (estimate->conn)
        found = mr_estimate_caps_ask(&estimate->caps, estimate->cli, estimate->conn);
    if (found)
        caps = mr_db_rows(found, mr_estimate_cap_columns, MR_ESTIMATE_CAP_COLUMNS);
    if (estimate->cli->format == MR_FORMAT_JSON) {
        tell_json(estimate, rows, &caps, refused);
        return;
    }
    mr_output_rows(estimate->cli, rows, "");
    if (caps.nrows == 0)
        return;
    fputc('\n', estimate->cli->out);
    mr_output_rows(estimate->cli, &caps, "");
}

void mr_estimate_print(struct mr_estimate *estimate, int64_t refused)
{
    struct printed *printed = calloc(estimate->nrows + 1, sizeof(*printed));
    struct row total = {.jobs = estimate->jobs};
    if (!printed)
        return;
    for (size_t i = 0; i < estimate->nrows; i++) {
        print_row(&estimate->rows[i], &printed[i]);
        add(&total.low, estimate->rows[i].low);
        add(&total.expected, estimate->rows[i].expected);
        add(&total.worst, estimate->rows[i].worst);
    }
    print_row(&total, &printed[estimate->nrows]);
    struct mr_rows rows = {columns, COL_COUNT, estimate->nrows + 1, cell, printed};
    tell(estimate, &rows, refused);
    free(printed);
    if (estimate->sized > 0)
        mr_cli_note(estimate->cli,
            "The text of %" PRId64 " document%s is not known here: LOW and EXPECTED go by %s size, "
            "WORST by the most a prompt takes of %s.",
            estimate->sized, estimate->sized == 1 ? "" : "s",
            estimate->sized == 1 ? "its" : "their", estimate->sized == 1 ? "it" : "them");
    mr_cli_note(estimate->cli,
        "Nothing was enqueued. WORST bounds one answered call a step, as a hold does; a call that "
        "is repeated after a bad answer costs again.");
}
