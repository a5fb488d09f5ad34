/* millrace doctor: what is wrong, and what to do about it. */
#include "producer/db.h"
#include "producer/doctor.h"
#include "producer/price_check.h"

/* Prices are a list of their own; one line when nothing is wrong with them. */
static bool check_prices(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings)
{
    size_t before = findings->count;
    if (mr_price_check(cli, conn, findings) < 0)
        return false;
    if (findings->count == before)
        mr_findings_add(findings, MR_LEVEL_OK, "prices", "",
            "every model of the configuration has one for the next 30 days");
    return true;
}

static enum mr_exit run(struct mr_cli *cli)
{
    struct mr_findings findings = {0};
    MR_CLEANUP(mr_db_closep) PGconn *conn = mr_doctor_database(cli, &findings);
    bool asked =
        !conn || (mr_doctor_tables(cli, conn, &findings) && check_prices(cli, conn, &findings));
    if (!asked)
        mr_findings_add(&findings, MR_LEVEL_FAIL, "database", "run millrace init",
            "the tables or views are not those of this build");
    mr_doctor_broker(cli, &findings);
    enum mr_exit code = mr_findings_print(cli, &findings, "");
    mr_findings_deinit(&findings);
    return code;
}

const struct mr_command mr_cmd_doctor = {
    .name = "doctor",
    .operands = "",
    .summary = "look for everything that may be wrong",
    .details =
        "Checks the connections to PostgreSQL and RabbitMQ, their versions and encryption; "
        "exchanges "
        "and queues as millrace init makes them; what the database roles may do; the difference of "
        "the clocks; workers, breakers that are open, jobs that nobody works on or that wait, dead "
        "letters; "
        "prices that are missing, tenants at their cap, money of the last 24 hours that is "
        "ambiguous, "
        "and calls of the last 7 days that cost more than was held for them.\n\n"
        "A line says ok, warn or fail, and what to do. The exit code is 1 when a line says fail. "
        "Nothing is changed, but for a binding that is missing: comparing a queue makes it again. "
        "Policies of RabbitMQ cannot be seen by its clients: rabbitmqctl "
        "list_policies shows them.",
    .examples = "  millrace doctor\n  millrace doctor -o json\n",
    .output = mr_options_output,
    .run = run,
};
