/* The checks of `millrace doctor`: each adds at least one finding. */
#pragma once

#include "producer/findings.h"

#include <libpq-fe.h>

/* Connects, and checks the server; NULL when nothing else can be asked. */
PGconn *mr_doctor_database(struct mr_cli *cli, struct mr_findings *findings);
/* What the tables say. False: the user has been told of an error. */
bool mr_doctor_tables(struct mr_cli *cli, PGconn *conn, struct mr_findings *findings) MR_CHECK;
void mr_doctor_broker(struct mr_cli *cli, struct mr_findings *findings);
