#include "common/pg.h"

#include <errno.h>
#include <string.h>

enum mr_pg_fault mr_pg_fault(const PGresult *result)
{
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (!state) /* libpq itself makes results without one only when the connection has failed */
        return MR_PG_LOST;
    /* 57P0x: the server is going away or starting; 25006: it has become a standby. */
    if (strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0 ||
        strcmp(state, "25006") == 0)
        return MR_PG_LOST;
    /* 40: rolled back, deadlock; 53: no disk, no memory; 55P03: lock timeout; 57014: statement
     * timeout. */
    if (strncmp(state, "40", 2) == 0 || strncmp(state, "53", 2) == 0 ||
        strcmp(state, "55P03") == 0 || strcmp(state, "57014") == 0)
        return MR_PG_CONFLICT;
    /* 54: over a limit, such as a JSON string or an index entry that is too long. */
    if (strncmp(state, "22", 2) == 0 || strncmp(state, "23", 2) == 0 ||
        strncmp(state, "54", 2) == 0)
        return MR_PG_DATA;
    return MR_PG_BUG;
}

/* The first line of a message of libpq, which may have several. */
static int first_line(const char *text)
{
    return (int)strcspn(text, "\n");
}

int mr_pg_error(const PGconn *conn, const PGresult *result, const char *what, struct mr_err *err)
{
    static const struct {
        int code;
        enum mr_class class;
    } faults[] = {
        [MR_PG_LOST] = {-ECONNRESET, MR_CLASS_NETWORK},
        [MR_PG_CONFLICT] = {-EAGAIN, MR_CLASS_OVERLOADED},
        [MR_PG_DATA] = {-EINVAL, MR_CLASS_INVALID},
        [MR_PG_BUG] = {-EPROTO, MR_CLASS_INTERNAL},
    };
    enum mr_pg_fault fault = mr_pg_fault(result);
    const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    if (!state) {
        const char *text = conn ? PQerrorMessage(conn) : "out of memory";
        const char *hint = strstr(text, "refused") || strstr(text, "No such file")
                               ? " (is PostgreSQL running there? see database.hosts)"
                               : "";
        return mr_err_set(err, faults[fault].code, faults[fault].class, "%s: %.*s%s", what,
            first_line(text), text, hint);
    }
    const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    /* The detail of a data error quotes the data, which may be a document. */
    const char *detail =
        fault == MR_PG_DATA ? NULL : PQresultErrorField(result, PG_DIAG_MESSAGE_DETAIL);
    int code = strcmp(state, "42501") == 0 ? -EACCES : faults[fault].code;
    return mr_err_set(err, code, faults[fault].class, "%s: %s (%s)%s%s", what,
        primary ? primary : "error", state, detail ? ": " : "", detail ? detail : "");
}
