/* A provider's export against the table calls: both are put side by side in the database. */
#pragma once

#include "producer/db.h"
#include "producer/export.h"

/* Reads the file into temporary tables of the connection and compares. *ret_sums: the export has no
 * ids, so days and models were compared. MR_EXIT_OK, or the user has been told why not. */
enum mr_exit mr_reconcile(struct mr_cli *cli, PGconn *conn, const char *path, bool *ret_sums);
