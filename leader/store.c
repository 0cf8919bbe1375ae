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

static bool has_file(const struct leader_settings *settings)
{
	AUTO_FINI(buf) path = buf_limit(4096);

	buf_format(&path, "%s/leader.db", settings->data);
	return !path.failed && access(buf_text(&path), F_OK) == 0;
}

static bool open_redis(const struct leader_settings *settings, struct ledger **ret, struct error *err)
{
	char leader[17];
	bool beside = has_file(settings);
	const struct ledger_redis_settings redis = { .url = settings->redis_url,
		.prefix = settings->redis_prefix,
		.leader = leader,
		.must_exist = beside };
	struct error why;

	random_hex(leader, 8);
	if (ledger_open_redis(ret, &redis, &why)) {
		if (beside)
			log_warn("store.redis", "%s/leader.db is not used: REDIS_URL is set", settings->data);
		return true;
	}
	if (why.kind == ERROR_UNKNOWN)
		return error_set(err, ERROR_INVALID, NULL,
			"REDIS_URL is set, but nothing is there, and %s has a leader.db: move it by "
			"zot-leader copy, "
			"or take the file away for a new beginning, or unset REDIS_URL",
			settings->data);
	return error_set(err, why.kind, NULL, "REDIS_URL: %s", why.text);
}

bool store_open(const struct leader_settings *settings, struct ledger **ret, struct error *err)
{
	if (store_is_redis(settings))
		return open_redis(settings, ret, err);
	return ledger_open_sqlite(ret, settings->data, err);
}
