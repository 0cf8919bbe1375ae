/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/settings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALLER "CLUSTER_LEADER_CLIENT_ID=id", "CLUSTER_LEADER_CLIENT_SECRET=0123456789abcdef"

struct loaded {
	bool ok;
	struct leader_settings settings;
	struct settings_memory *memory;
	struct buf warnings, errors;
};

static void loaded_fini(struct loaded *loaded)
{
	settings_memory_free(loaded->memory);
	buf_fini(&loaded->warnings);
	buf_fini(&loaded->errors);
}
#define LOADED __attribute__((cleanup(loaded_fini))) struct loaded

static struct loaded load(const char *const *environment)
{
	struct loaded loaded = { .warnings = buf_limit(65536), .errors = buf_limit(65536) };
	char *copy[32] = { NULL };

	for (size_t i = 0; environment[i]; i++)
		copy[i] = strdup(environment[i]);
	loaded.ok = leader_settings_load(
		NULL, copy, &loaded.settings, &loaded.memory, &loaded.warnings, &loaded.errors);
	for (size_t i = 0; copy[i]; i++)
		free(copy[i]);
	return loaded;
}
#define LOAD(...) load((const char *const[]){ __VA_ARGS__, NULL })

static void has_defaults(void **state)
{
	LOADED loaded = LOAD(CALLER);

	(void)state;
	assert_true(loaded.ok);
	assert_int_equal(loaded.settings.port, 8080);
	assert_int_equal(loaded.settings.compression, 4);
	assert_int_equal(loaded.settings.cache_state_ms, 4000);
	assert_string_equal(loaded.settings.admin_user, "admin");
	assert_string_equal(loaded.settings.name, "zot-leader");
	assert_string_equal(loaded.settings.data, "./data/leader");
	assert_int_equal(loaded.warnings.len, 0);
}

/* Only beside sentinels, and a user only with a password; without REDIS_URL they are nobody's. */
static void sentinels_have_a_login(void **state)
{
	LOADED good = LOAD(CALLER, "REDIS_URL=redis+sentinel://a/main", "ZOT_REDIS_SENTINEL_USER=watch",
		"ZOT_REDIS_SENTINEL_PASSWORD=hidden");
	LOADED no_redis = LOAD(CALLER, "ZOT_REDIS_SENTINEL_PASSWORD=hidden");
	LOADED no_sentinel = LOAD(CALLER, "REDIS_URL=redis://a", "ZOT_REDIS_SENTINEL_PASSWORD=hidden");
	LOADED no_password =
		LOAD(CALLER, "REDIS_URL=redis+sentinel://a/main", "ZOT_REDIS_SENTINEL_USER=watch");

	(void)state;
	assert_true(good.ok && no_redis.ok);
	assert_string_equal(good.settings.sentinel_user, "watch");
	assert_string_equal(good.settings.sentinel_password, "hidden");
	assert_false(no_sentinel.ok || no_password.ok);
	assert_non_null(strstr(buf_text(&no_sentinel.errors), "names no sentinels"));
	assert_null(strstr(buf_text(&no_sentinel.errors), "hidden"));
	assert_non_null(strstr(buf_text(&no_password.errors), "ZOT_REDIS_SENTINEL_USER"));
}

static void needs_the_workers_secret(void **state)
{
	LOADED none = LOAD("CLUSTER_MODE=leader");
	LOADED shorter = LOAD("CLUSTER_LEADER_CLIENT_ID=id", "CLUSTER_LEADER_CLIENT_SECRET=short");

	(void)state;
	assert_false(none.ok);
	assert_non_null(strstr(buf_text(&none.errors), "CLUSTER_LEADER_CLIENT_SECRET"));
	assert_false(shorter.ok);
}

static void takes_what_operators_know(void **state)
{
	LOADED loaded = LOAD(CALLER, "CLUSTER_MODE=leader", "CLUSTER_COMPRESSION=-1",
		"CLUSTER_LEADER_CACHE_STATE_FOR=10s", "CLUSTER_WORKER_POLL_EVERY=2000",
		"CLUSTER_LEADER_URL=http://x", "ZOT_STORAGE_ROOT=/x", "INSTANCE_NUMBER=3",
		"CLUSTER_MTLS_ENABLED=true", "ZOT_CLUSTER_HASH_KEY=0123456789abcdef0123456789abcdef");

	(void)state;
	assert_true(loaded.ok);
	assert_int_equal(loaded.settings.compression, -1);
	assert_int_equal(loaded.settings.cache_state_ms, 10000);
	assert_string_equal(loaded.settings.name, "zot-leader-3");
	assert_non_null(strstr(buf_text(&loaded.warnings), "CLUSTER_MTLS_ENABLED"));
	assert_null(strstr(buf_text(&loaded.warnings), "POLL_EVERY"));
}

static void names_the_nearest(void **state)
{
	LOADED loaded = LOAD(CALLER, "CLUSTER_COMPRESION=4");

	(void)state;
	assert_false(loaded.ok);
	assert_non_null(strstr(buf_text(&loaded.errors), "CLUSTER_COMPRESSION"));
}

static void refuses_what_cannot_be(void **state)
{
	static const char *const wrong[] = { "CLUSTER_MODE=worker", "CLUSTER_COMPRESSION=10",
		"ZOT_TLS_CERT=/x", "ZOT_ADMIN_USER=a b", "ZOT_ADMIN_PASSWORD=short",
		"ZOT_CLUSTER_HASH_KEY=xyz", "PORT=99999", "CLUSTER_LEADER_CACHE_STATE_FOR=never" };

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		LOADED loaded = LOAD(CALLER, wrong[i]);
		if (loaded.ok)
			fail_msg("%s was taken", wrong[i]);
		assert_true(loaded.errors.len > 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(has_defaults),
		cmocka_unit_test(sentinels_have_a_login),
		cmocka_unit_test(needs_the_workers_secret),
		cmocka_unit_test(takes_what_operators_know),
		cmocka_unit_test(names_the_nearest),
		cmocka_unit_test(refuses_what_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
