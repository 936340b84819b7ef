#!/bin/sh
# Does what the official image's does with POSTGRES_USER, POSTGRES_PASSWORD and POSTGRES_DB when its volume is empty.
set -eu
if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" /var/run/postgresql
  chown postgres:postgres "$PGDATA" /var/run/postgresql
  chmod 0700 "$PGDATA"
  exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  passwords=$(mktemp)
  printf '%s\n' "${POSTGRES_PASSWORD:?}" >"$passwords"
  initdb --username="${POSTGRES_USER:-postgres}" --pwfile="$passwords" --auth-local=trust --auth-host=scram-sha-256
  rm "$passwords"
  echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
  echo "listen_addresses = '*'" >>"$PGDATA/postgresql.auto.conf"
  printf 'create database "%s"\n' "${POSTGRES_DB:-${POSTGRES_USER:-postgres}}" | postgres --single postgres
fi
exec "$@"
