/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/store.h"

#include <unistd.h>

#include "common/buf.h"
#include "common/crypto.h"
#include "common/log.h"
#include "leader/settings.h"

bool store_is_redis(const struct leader_settings *settings)
{
	return settings->redis_url && *settings->redis_url;
}

struct ledger_redis_settings store_redis(
	const struct leader_settings *settings, const char *url, char leader[STORE_LEADER_SIZE])
{
	random_hex(leader, STORE_LEADER_SIZE / 2);
	return (struct ledger_redis_settings){ .url = url,
		.sentinel_user = settings->sentinel_user,
		.sentinel_password = settings->sentinel_password,
		.prefix = settings->redis_prefix,
		.leader = leader };
}

static bool has_file(const struct leader_settings *settings)
{
	AUTO_FINI(buf) path = buf_limit(4096);

	buf_format(&path, "%s/leader.db", settings->data);
	return !path.failed && access(buf_text(&path), F_OK) == 0;
}

static bool open_redis(
	const struct leader_settings *settings, bool must_exist, struct ledger **ret, struct error *err)
{
	char leader[STORE_LEADER_SIZE];
	bool beside = has_file(settings);
	struct ledger_redis_settings redis = store_redis(settings, settings->redis_url, leader);
	struct error why;

	redis.must_exist = beside || must_exist;
	if (ledger_open_redis(ret, &redis, &why)) {
		if (beside)
			log_warn("store.redis", "%s/leader.db is not used: REDIS_URL is set", settings->data);
		return true;
	}
	if (why.kind == ERROR_UNKNOWN && !must_exist)
		return error_set(err, ERROR_INVALID, NULL,
			"REDIS_URL is set, but nothing is there, and %s has a leader.db: move it by "
			"zot-leader copy, "
			"or take the file away for a new beginning, or unset REDIS_URL",
			settings->data);
	return error_set(err, why.kind, NULL, "REDIS_URL: %s", why.text);
}

bool store_is_there(const struct leader_settings *settings, struct error *err)
{
	return store_is_redis(settings) || has_file(settings) ||
	       error_sys(err,
		       "%.150s/leader.db: no leader's store is there; data (ZOT_LEADER_DATA) must name the "
		       "leader's "
		       "folder",
		       settings->data);
}

bool store_open_there(const struct leader_settings *settings, struct ledger **ret, struct error *err)
{
	if (store_is_redis(settings))
		return open_redis(settings, true, ret, err);
	return store_is_there(settings, err) && ledger_open_sqlite(ret, settings->data, err);
}

bool store_open(const struct leader_settings *settings, struct ledger **ret, struct error *err)
{
	if (store_is_redis(settings))
		return open_redis(settings, false, ret, err);
	return ledger_open_sqlite(ret, settings->data, err);
}
