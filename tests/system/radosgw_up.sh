#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# radosgw_up - a Ceph object gateway for tests: an S3 server that is nobody's mock.
#
#     radosgw_up.sh FOLDER PORT ACCESS_KEY SECRET_KEY
#
# One monitor (on PORT + 1), one object store in memory, one gateway on 127.0.0.1:PORT, all files
# under FOLDER, which must not exist yet. Returns when the gateway answers; FOLDER/pids then has the
# processes, one a line, the gateway last. Whoever called ends them and removes FOLDER.
# Needs Debian's radosgw, ceph-mon, ceph-osd and ceph-common.
set -euo pipefail

folder=${1:?folder} port=${2:?port} access_key=${3:?access key} secret_key=${4:?secret key}
monitor_port=$((port + 1))
mkdir -p "$(dirname "$folder")"
mkdir "$folder"
folder=$(realpath "$folder")
mkdir "$folder"/{mon,osd,rgw,log}
export CEPH_CONF=$folder/ceph.conf

fail() {
	echo "radosgw_up: $*" >&2
	tail -n 5 "$folder"/log/*.log "$folder"/log/*.out >&2 2> /dev/null || true
	[ ! -f "$folder/pids" ] || xargs -r kill -9 < "$folder/pids" 2> /dev/null || true
	exit 1
}

# Starts a daemon in the foreground of its own job and notes its process.
spawn() {
	"$@" > "$folder/log/$(basename "$1").out" 2>&1 &
	spawned=$!
	echo "$spawned" >> "$folder/pids"
}

# await SECONDS COMMAND...: until it succeeds.
await() {
	local until=$((SECONDS + $1))
	shift
	until "$@" > /dev/null 2>&1; do
		[ $SECONDS -lt $until ] || return 1
		sleep 0.2
	done
}

write_settings() {
	cat > "$CEPH_CONF" <<-SETTINGS
		[global]
		fsid = $1
		mon initial members = a
		mon host = 127.0.0.1:$monitor_port
		public addr = 127.0.0.1
		cluster addr = 127.0.0.1
		ms bind msgr2 = false
		auth cluster required = none
		auth service required = none
		auth client required = none
		setuser match path = /nonexistent
		mon allow pool size one = true
		mon warn on pool no redundancy = false
		mon max pg per osd = 1000
		osd pool default size = 1
		osd pool default min size = 1
		osd pool default pg num = 4
		osd crush chooseleaf type = 0
		osd objectstore = memstore
		osd max object name len = 256
		memstore device bytes = 4294967296
		run dir = $folder
		admin socket = $folder/\$name.asok
		pid file = $folder/\$name.pid
		log file = $folder/log/\$name.log
		mon data = $folder/mon
		osd data = $folder/osd
		[client.rgw]
		rgw frontends = beast endpoint=127.0.0.1:$port
		rgw data = $folder/rgw
	SETTINGS
}

store_is_up() { timeout 10 ceph osd stat 2> /dev/null | grep -q ' 1 up'; }
store_is_up_or_dead() { store_is_up || ! kill -0 "$spawned" 2> /dev/null; }

# The first start may come before the monitor has the map, and dies of "wrong fsid".
start_store() {
	for _ in $(seq 10); do
		spawn ceph-osd -i 0 -f
		await 60 store_is_up_or_dead || return 1
		store_is_up && return 0
	done
	return 1
}

cluster=$(cat /proc/sys/kernel/random/uuid)
store=$(cat /proc/sys/kernel/random/uuid)
write_settings "$cluster"
monmaptool --create --addv a "[v1:127.0.0.1:$monitor_port]" --fsid "$cluster" "$folder/monmap" > /dev/null || fail "monitor's map"
ceph-mon --mkfs -i a --monmap "$folder/monmap" > "$folder/log/mkfs.out" 2>&1 || fail "monitor's folder"
spawn ceph-mon -i a -f
await 60 timeout 20 ceph osd new "$store" || fail "the monitor does not answer"
ceph-osd -i 0 --mkfs --osd-uuid "$store" >> "$folder/log/mkfs.out" 2>&1 || fail "store's folder"
start_store || fail "the object store does not start"
timeout 120 radosgw-admin user create --uid=tests --display-name=tests --access-key="$access_key" \
	--secret-key="$secret_key" > "$folder/log/user.out" 2>&1 || fail "user"
spawn radosgw -n client.rgw -f
await 120 curl -sf -o /dev/null "http://127.0.0.1:$port/" || fail "the gateway does not answer"
