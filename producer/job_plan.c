/* What the options of enqueue say of all its jobs. */
#include "common/clock.h"
#include "producer/job.h"

#include <errno.h>
#include <string.h>

static size_t count(const struct mr_args *args, const char *name)
{
    size_t n = 0;
    while (mr_args_nth(args, name, n))
        n++;
    return n;
}

static int check_inputs(const struct mr_args *args, struct mr_err *err)
{
    size_t lines = count(args, "jsonl"), stdins = 0;
    size_t single = args->noperands + count(args, "text") + count(args, "url");
    for (size_t i = 0; i < args->noperands; i++)
        stdins += strcmp(args->operands[i], "-") == 0;
    for (size_t i = 0; i < lines; i++)
        stdins += strcmp(mr_args_nth(args, "jsonl", i), "-") == 0;
    if (single + lines == 0)
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "nothing to enqueue: name a FILE, - for standard input, --text, --url or --jsonl");
    if (stdins > 1)
        return mr_err_set(
            err, -EINVAL, MR_CLASS_INVALID, "standard input (-) can be read only once");
    if (mr_args_has(args, "idempotency-key") && (single > 1 || lines > 0))
        return mr_err_set(err, -EINVAL, MR_CLASS_INVALID,
            "--idempotency-key is for one input: with several, all but one would be duplicates; "
            "give each line of --jsonl its own \"idempotency_key\"");
    return 0;
}

int mr_job_plan_read(struct mr_cli *cli, struct mr_job_plan *ret, struct mr_err *err)
{
    struct mr_job_plan plan = {.config = cli->config,
        .clock = cli->clock,
        .random = cli->random,
        .tenant = mr_args_text(&cli->args, "tenant", "default"),
        .pipeline = mr_args_text(&cli->args, "pipeline", "document"),
        .priority = (int)mr_args_number(&cli->args, "priority", MR_ENVELOPE_DEFAULT_PRIORITY),
        .idempotency_key = mr_args_text(&cli->args, "idempotency-key", NULL),
        .watch = mr_args_has(&cli->args, "wait")};
    int64_t now = mr_wall_ms(&cli->clock);
    int r = check_inputs(&cli->args, err);
    if (r == 0 && (r = mr_name_check("--tenant", plan.tenant, err)) == 0)
        r = mr_name_check("--pipeline", plan.pipeline, err);
    if (r == 0)
        r = mr_args_time(&cli->args, "deadline", now, 1, 0, &plan.deadline_ms, err);
    if (r == 0 && plan.deadline_ms && plan.deadline_ms <= now)
        r = mr_err_set(err, -EINVAL, MR_CLASS_INVALID, "--deadline %s: has passed already",
            mr_args_text(&cli->args, "deadline", ""));
    if (r == 0)
        r = mr_job_metadata(&cli->args, &plan.metadata, err);
    if (r == 0)
        *ret = plan;
    return r;
}
