/* millrace prices check: what the price table lacks. */
#include "producer/price_check.h"

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_findings findings = {0};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_db_open(cli);
    enum mr_exit code = MR_EXIT_UNREACHABLE;
    if (conn && mr_price_check(cli, conn, &findings) == 0)
        code = mr_findings_print(cli, &findings,
            "Every model of the configuration has a price for the next 30 days, and no call was "
            "charged at the ceiling");
    mr_findings_deinit(&findings);
    return code;
}

const struct mr_command mr_cmd_prices_check = {
    .name = "prices check",
    .operands = "",
    .summary = "tell which models have no price",
    .details =
        "Looks for models of the configuration without a price, or whose price ends within 30 days "
        "with none to follow; for models whose calls of the last 90 days were charged at the "
        "ceiling (money.ceiling_input and money.ceiling_output), since an unknown model is never "
        "free; and for prices that overlap or contradict each other. The exit code is 1 when a "
        "price is missing.",
    .examples = "  millrace prices check\n  millrace prices check -o json\n",
    .output = mr_options_output,
    .run = run,
};
