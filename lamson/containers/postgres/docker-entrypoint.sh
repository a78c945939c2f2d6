#!/bin/sh
# Makes the cluster and one database at the first start, then becomes the server, as user postgres.
# Told by POSTGRES_USER, POSTGRES_DB and POSTGRES_PASSWORD_FILE, like the official image, and runs the
# programs in /docker-entrypoint-initdb.d.
set -eu
chown -R postgres:postgres "$PGDATA"
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    password=$(mktemp)
    cat "$POSTGRES_PASSWORD_FILE" >"$password"
    # Last: with fs.protected_regular not even root opens another's file in /tmp for writing.
    chown postgres "$password"
    as_postgres initdb --username="$POSTGRES_USER" --pwfile="$password" \
        --auth-host=scram-sha-256 --auth-local=trust --encoding=UTF8 --locale=C.UTF-8
    rm "$password"
    if [ -n "${POSTGRES_DB:-}" ]; then
        echo "CREATE DATABASE \"$POSTGRES_DB\"" |
            as_postgres postgres --single -D "$PGDATA" postgres >/dev/null
    fi
    if [ -d /docker-entrypoint-initdb.d ]; then
        POSTGRES_PASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
        export POSTGRES_PASSWORD
        as_postgres pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=" start >/dev/null
        for program in /docker-entrypoint-initdb.d/*; do as_postgres "$program"; done
        as_postgres pg_ctl -D "$PGDATA" -w stop >/dev/null
        unset POSTGRES_PASSWORD
    fi
    echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
fi
exec setpriv --reuid=postgres --regid=postgres --init-groups "$@" -c 'listen_addresses=*'
