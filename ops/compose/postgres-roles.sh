#!/bin/bash
# Run once by the PostgreSQL image, against the new and empty cluster: the roles, and the database that
# `millrace init` fills.
# shellcheck disable=SC1091
set -euo pipefail
. /usr/local/lib/millrace/database.sh
secret() { cat "/run/secrets/$1"; }
db_setup_sql | psql -X -q -v ON_ERROR_STOP=1 -U postgres -d postgres
