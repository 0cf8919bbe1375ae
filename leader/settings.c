/* SPDX-License-Identifier: Apache-2.0 */
#include "leader/settings.h"

#include <stddef.h>

#include "common/log.h"
#include "common/password.h"
#include "common/redis.h"
#include "common/proxies.h"

#define SETTING(path, env, type, member, fallback, min, max, choices, help)                                  \
	{ path, env, type, offsetof(struct leader_settings, member), fallback, min, max, choices, help },
#define KNOWN(path, env, type) { path, env, type, 0, NULL, 0, 0, NULL, NULL },
static const struct setting rows[] = {
#include "leader/leader_settings.def"
};
#undef SETTING
#undef KNOWN

#define SECRET_LEAST   16
#define PASSWORD_LEAST 8

static const char *const env_prefixes[] = { "CLUSTER_", "ZOT_", NULL };

const struct settings_table leader_settings_table = {
	.rows = rows,
	.len = sizeof(rows) / sizeof(rows[0]),
	.env_prefixes = env_prefixes,
};

static void say(struct buf *errors, const char *text)
{
	buf_puts(errors, text);
	buf_putc(errors, '\n');
}

static void check_caller(const struct leader_settings *s, struct buf *errors)
{
	if (s->own_credentials)
		return;
	if (!s->client_id || !s->client_secret)
		say(errors, "CLUSTER_LEADER_CLIENT_ID and CLUSTER_LEADER_CLIENT_SECRET: set both, here and "
			    "on every worker; "
			    "with them workers read the state and report usage");
	else if (str_of(s->client_secret).len < SECRET_LEAST)
		say(errors, "CLUSTER_LEADER_CLIENT_SECRET: needs at least 16 bytes");
	if (s->client_id && strchr(s->client_id, ':'))
		say(errors, "CLUSTER_LEADER_CLIENT_ID: may not have a colon in it");
}

/* As one that the API takes. */
static bool is_password(struct str password)
{
	return password.len >= PASSWORD_LEAST && password.len <= PASSWORD_NEW_MAX;
}

/* As the id of a user. */
static bool is_user_name(const char *name)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._@-";
	size_t len = strlen(name);

	return len > 0 && len <= 255 && strspn(name, allowed) == len;
}

static void check_proxies(const struct leader_settings *s, struct buf *errors)
{
	AUTO(proxies) *proxies = NULL;
	struct error err;

	if (!proxies_new(&proxies, s->trusted_proxies.at, s->trusted_proxies.len, &err))
		settings_wrong(&leader_settings_table, "http.trustedProxies", errors, "%s", err.text);
}

static bool is_set(const char *text)
{
	return text && *text;
}

/* Without REDIS_URL they may be in the environment that all instances have. */
static void check_sentinels(const struct leader_settings *s, struct buf *errors)
{
	bool login = is_set(s->sentinel_user) || is_set(s->sentinel_password);

	if (!is_set(s->redis_url) || !login)
		return;
	if (!str_starts(str_of(s->redis_url), "redis+sentinel://"))
		say(errors, "ZOT_REDIS_SENTINEL_PASSWORD (redis.sentinel.password): REDIS_URL names no "
			    "sentinels; a login at Redis itself stands in REDIS_URL");
	else if (!is_set(s->sentinel_password))
		say(errors, "ZOT_REDIS_SENTINEL_USER (redis.sentinel.user): needs "
			    "ZOT_REDIS_SENTINEL_PASSWORD beside it");
}

static void check_settings(const struct leader_settings *s, struct buf *errors)
{
	uint8_t key[16];
	struct error err;

	if (s->mode == LEADER_MODE_WORKER)
		say(errors, "CLUSTER_MODE: this is zot-leader; \"worker\" is for zot-worker. Use \"leader\"");
	if ((s->tls_cert != NULL) != (s->tls_key != NULL))
		say(errors,
			"ZOT_TLS_CERT and ZOT_TLS_KEY (http.tls): they go together; one of them is missing");
	if (s->redis_url && *s->redis_url && !redis_url_check(s->redis_url, &err))
		buf_format(errors, "REDIS_URL (redis.url): %s\n", err.text);
	check_sentinels(s, errors);
	if (s->hash_key && !str_unhex(str_of(s->hash_key), key, sizeof(key)))
		say(errors, "ZOT_CLUSTER_HASH_KEY (cluster.hashKey): needs exactly 32 lower case hex digits");
	if (s->replaces && !str_unhex(str_of(s->replaces), key, sizeof(key)))
		say(errors, "ZOT_CLUSTER_REPLACES (cluster.replaces): needs the id of a cluster, 32 lower "
			    "case hex "
			    "digits, as the workers' complaint says it");
	if (s->admin_password && !is_password(str_of(s->admin_password)))
		say(errors, "ZOT_ADMIN_PASSWORD (admin.password): needs 8 to 72 bytes");
	if (!is_user_name(s->admin_user))
		say(errors, "ZOT_ADMIN_USER (admin.user): has 1 to 255 of A-Z a-z 0-9 . _ @ -");
	check_caller(s, errors);
	check_proxies(s, errors);
	backup_settings_check(&s->backup, errors);
}

static const char *name_of(const struct leader_settings *s, struct settings_memory *memory)
{
	AUTO_FINI(buf) name = buf_limit(1024);

	if (s->name)
		return s->name;
	buf_puts(&name, "zot-leader");
	if (s->instance_number)
		buf_format(&name, "-%s", s->instance_number);
	return settings_memory_text(memory, buf_str(&name));
}

bool leader_settings_load(const char *file, char *const *environment, struct leader_settings *ret,
	struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors)
{
	struct leader_settings s = { 0 };
	AUTO(settings_memory) *memory = NULL;
	size_t before;

	if (!settings_load(&leader_settings_table, file, environment, &s, &memory, warnings, errors))
		return false;
	before = errors->len;
	s.backup.aws = s.aws;
	check_settings(&s, errors);
	if (errors->len != before)
		return false;
	s.name = name_of(&s, memory);
	*ret = s;
	*ret_memory = TAKE(memory);
	return true;
}
