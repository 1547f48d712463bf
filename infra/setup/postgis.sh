#!/usr/bin/env bash
# Install PostgreSQL with PostGIS where they are missing and no other database is named.
set -euo pipefail
cd "$(dirname "$0")/../.."
. infra/setup/apt.sh

# The newest installed server must be the one that has PostGIS: the lab starts that one.
newest=$(ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -n1 | cut -d/ -f5 || true)
[ -n "$newest" ] && [ -f "/usr/share/postgresql/$newest/extension/postgis.control" ] && exit 0
[ -n "${TERRALAB_DATABASE_URL:-}" ] && exit 0

explain() {
    cat >&2 <<'TEXT'
setup: PostgreSQL with PostGIS is missing and could not be installed by this user.
       Debian, Ubuntu:  sudo apt-get install postgresql postgresql-postgis
       other systems:   install PostgreSQL 14 or newer with PostGIS 3
       or use a server that you have:  export TERRALAB_DATABASE_URL=postgresql://user:password@host/name
TEXT
    exit 1
}
if [ -n "$newest" ]; then
    apt_install "postgresql-$newest-postgis-3" || explain
else
    apt_install postgresql postgresql-postgis || explain
fi
