/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/settings.h"

#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "common/check.h"
#include "common/log.h"
#include "common/url.h"
#include "proto/access.h"
#include "proto/tenants.h"
#include "worker/chores/collect_chore.h"
#include "worker/settings_events.h"
#include "worker/settings_http.h"
#include "worker/settings_retention.h"
#include "worker/settings_roots.h"
#include "worker/settings_s3.h"
#include "worker/trust/signers.h"

#define LINT_ANNOTATIONS_MAX 100
#define DAY_MS               (24 * 60 * 60 * INT64_C(1000))

#define SETTING(path, env, type, member, fallback, min, max, choices, help)                                  \
	{ path, env, type, offsetof(struct worker_settings, member), fallback, min, max, choices, help },
#define KNOWN(path, env, type) { path, env, type, 0, NULL, 0, 0, NULL, NULL },
static const struct setting rows[] = {
#include "worker/worker_settings.def"
};
#undef SETTING
#undef KNOWN

static const char *const env_prefixes[] = { "CLUSTER_", "ZOT_", NULL };

const struct settings_table worker_settings_table = {
	.rows = rows,
	.len = sizeof(rows) / sizeof(rows[0]),
	.env_prefixes = env_prefixes,
};

/* zot knows more names than we have levels; the order is that of the row's choices. */
static int level_of(int choice)
{
	static const enum log_level levels[] = { LOG_DEBUG, LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_WARN,
		LOG_ERROR, LOG_ERROR, LOG_ERROR };

	return (int)levels[choice];
}

static void say(struct buf *errors, const char *text)
{
	buf_puts(errors, text);
	buf_putc(errors, '\n');
}

/* A certificate without its key, or the other way round. */
static void check_pair(
	const char *cert, const char *key, const char *cert_path, const char *key_path, struct buf *errors)
{
	if (!cert && key)
		settings_wrong(
			&worker_settings_table, cert_path, errors, "is missing; it goes with %s", key_path);
	if (cert && !key)
		settings_wrong(
			&worker_settings_table, key_path, errors, "is missing; it goes with %s", cert_path);
}

static void check_tls(const struct worker_settings *s, struct buf *errors)
{
	check_pair(s->tls_cert, s->tls_key, "http.tls.cert", "http.tls.key", errors);
	if (s->tls_ca && !s->tls_cert)
		settings_wrong(&worker_settings_table, "http.tls.cacert", errors,
			"needs http.tls.cert and http.tls.key (ZOT_TLS_CERT, ZOT_TLS_KEY)");
	check_pair(s->peer_cert, s->peer_key, "cluster.tls.cert", "cluster.tls.key", errors);
	for (size_t i = 0; i < s->compat.len; i++)
		if (!str_is(str_of(s->compat.at[i]), "docker2s2"))
			settings_wrong(&worker_settings_table, "http.compat", errors,
				"\"%s\" is unknown; only \"docker2s2\" is allowed", s->compat.at[i]);
}

static void check_member(const char *member, struct buf *errors)
{
	struct str host, port;
	uint64_t number;

	if (!str_split_last(str_of(member), ':', &host, &port) || !host.len ||
		!str_to_number(port, 65535, &number) || !number)
		settings_wrong(
			&worker_settings_table, "cluster.members", errors, "\"%s\" is not host:port", member);
}

#define SECRET_LEAST 16

static void check_secret(const struct worker_settings *s, struct buf *errors)
{
	const char *how = "; make one with: openssl rand -hex 32";

	if (s->members.len > 1 && !s->secret && s->mode == MODE_OFF)
		settings_wrong(&worker_settings_table, "cluster.secret", errors,
			"a static cluster needs a secret of its own, the same on all members, that they sign "
			"their calls to each other with%s",
			how);
	if (s->secret && str_of(s->secret).len < SECRET_LEAST)
		settings_wrong(&worker_settings_table, "cluster.secret", errors,
			"has %zu bytes and needs %d at least%s", str_of(s->secret).len, SECRET_LEAST, how);
	else if (s->secret && s->hash_key && !strcmp(s->secret, s->hash_key))
		settings_wrong(&worker_settings_table, "cluster.secret", errors,
			"is cluster.hashKey, which is no secret%s", how);
}

static void check_urls(const struct worker_settings *s, struct buf *errors)
{
	struct str self = str_of(s->self_url);

	for (size_t i = 0; i < s->leader_urls.len; i++)
		if (!url_is_base(str_of(s->leader_urls.at[i])))
			buf_format(errors,
				"CLUSTER_LEADER_URL: \"%s\" is not an address like http://leader:8080 or "
				"https://leader.example\n",
				s->leader_urls.at[i]);
	if (self.len && !url_is_base(self) && !url_is_authority(self))
		buf_format(errors,
			"CLUSTER_SELF_ADDRESS: \"%s\" is neither host, host:port nor a URL, by which other "
			"workers can "
			"reach this one\n",
			s->self_url);
	if (s->s3_endpoint && !url_is_base(str_of(s->s3_endpoint)))
		buf_format(errors,
			"S3_ENDPOINT (storage.storageDriver.regionendpoint): \"%s\" must begin with http:// "
			"or https:// and name a host\n",
			s->s3_endpoint);
}

static void check_tenants(const struct worker_settings *s, struct buf *errors)
{
	struct error err;

	if (!tenants_check(str_of(s->tenants), &err))
		buf_format(errors, "CLUSTER_WORKER_TENANTS: %s\n", err.text);
}

static void check_led(const struct worker_settings *s, struct buf *errors)
{
	if (!s->leader_urls.len)
		say(errors, "CLUSTER_LEADER_URL: CLUSTER_MODE=worker needs the URL of at least one leader");
	if (!s->leader_client_id || !s->leader_client_secret)
		say(errors, "CLUSTER_LEADER_CLIENT_ID and CLUSTER_LEADER_CLIENT_SECRET: both are needed with "
			    "CLUSTER_MODE=worker");
	check_tenants(s, errors);
	if (s->members.len)
		settings_wrong(&worker_settings_table, "cluster.members", errors,
			"a static cluster and CLUSTER_MODE=worker exclude each other");
	if (s->leaving.len)
		settings_wrong(&worker_settings_table, "cluster.leaving", errors,
			"is of a static cluster; with CLUSTER_MODE=worker `zot-worker evacuate` does it");
	if (s->htpasswd)
		settings_wrong(&worker_settings_table, "http.auth.htpasswd.path", errors,
			"with CLUSTER_MODE=worker users are in the leaders' state, the same for all workers; "
			"those of a file could log in at this worker alone. Make them at the leader: POST "
			"/api/users");
}

/* It would run alone, with the doors open. */
static void check_not_led(const struct worker_settings *s, struct buf *errors)
{
	const char *set = s->leader_urls.len    ? "CLUSTER_LEADER_URL"
			  : s->leader_client_id ? "CLUSTER_LEADER_CLIENT_ID"
						: "CLUSTER_LEADER_CLIENT_SECRET";

	if (*s->tenants)
		say(errors, "CLUSTER_WORKER_TENANTS: is for workers with a leader, CLUSTER_MODE=worker");
	if (s->mode == MODE_OFF && (s->leader_urls.len || s->leader_client_id || s->leader_client_secret))
		buf_format(errors,
			"%s: is set, but CLUSTER_MODE is not: this worker would follow no leader and run "
			"alone, without "
			"the leaders' users and policies. Set CLUSTER_MODE=worker, or unset %s\n",
			set, set);
}

static void check_members(const struct worker_settings *s, struct buf *errors)
{
	if (s->members.len && (!s->hash_key || str_of(s->hash_key).len != 16))
		settings_wrong(&worker_settings_table, "cluster.hashKey", errors,
			"a cluster needs exactly 16 bytes");
	if (!s->members.len && s->hash_key && str_of(s->hash_key).len != 32)
		settings_wrong(&worker_settings_table, "cluster.members", errors,
			"cluster.hashKey (ZOT_CLUSTER_HASH_KEY) is set but there are no members");
	for (size_t i = 0; i < s->members.len; i++) {
		check_member(s->members.at[i], errors);
		for (size_t j = 0; j < i; j++)
			if (str_is(str_of(s->members.at[i]), s->members.at[j]))
				settings_wrong(&worker_settings_table, "cluster.members", errors,
					"\"%s\" is there twice", s->members.at[i]);
	}
}

static bool is_in(const struct setting_list *list, const char *text)
{
	for (size_t i = 0; i < list->len; i++)
		if (!strcmp(list->at[i], text))
			return true;
	return false;
}

static void check_leaving(const struct worker_settings *s, struct buf *errors)
{
	size_t leaving = 0;

	for (size_t i = 0; i < s->leaving.len; i++)
		if (!is_in(&s->members, s->leaving.at[i]))
			settings_wrong(&worker_settings_table, "cluster.leaving", errors,
				"\"%s\" is not among cluster.members; it stays there until it has gone",
				s->leaving.at[i]);
	for (size_t i = 0; i < s->members.len; i++)
		leaving += is_in(&s->leaving, s->members.at[i]);
	if (s->members.len && leaving == s->members.len)
		settings_wrong(&worker_settings_table, "cluster.leaving", errors,
			"all members are: nobody is left who could own a repository");
}

static void check_cluster(const struct worker_settings *s, struct buf *errors)
{
	if (s->mode == MODE_LEADER)
		say(errors, "CLUSTER_MODE: this is zot-worker; \"leader\" is for zot-leader. Use \"worker\", "
			    "or \"off\"");
	if (s->mode == MODE_WORKER) {
		check_led(s, errors);
		return;
	}
	check_not_led(s, errors);
	check_members(s, errors);
	check_leaving(s, errors);
}

static void check_storage(const struct worker_settings *s, struct buf *errors)
{
	if (!s->s3_bucket && !s->root)
		settings_wrong(&worker_settings_table, "storage.rootDirectory", errors,
			"needed, or S3_BUCKET for a bucket");
}

static void check_collection(const struct worker_settings *s, struct buf *errors)
{
	struct collect_window ignored;

	if (s->gc_window && !collect_window_parse(str_of(s->gc_window), &ignored))
		settings_wrong(&worker_settings_table, "storage.gcTimeWindow", errors,
			"\"%s\" is no time of a day to another, in UTC, like \"22:30-04:00\"", s->gc_window);
}

bool settings_scrubs(const struct worker_settings *s)
{
	return s->scrub == SCRUB_ON || (s->scrub == SCRUB_AUTO && s->scrub_every_ms);
}

int64_t settings_scrub_every_ms(const struct worker_settings *s)
{
	return s->scrub_every_ms ? s->scrub_every_ms : DAY_MS;
}

bool settings_has_prefs(const struct worker_settings *s)
{
	return s->userprefs == SWITCH_ON || (s->userprefs == SWITCH_AUTO && s->search && s->ui);
}

unsigned settings_trust(const struct worker_settings *s)
{
	if (!s->trust || !s->search)
		return 0;
	return (s->trust_cosign ? SIGNERS_BY_COSIGN : 0) | (s->trust_notation ? SIGNERS_BY_NOTATION : 0);
}

static void check_trust(const struct worker_settings *s, struct buf *warnings)
{
	if (s->trust && !s->search)
		settings_wrong(&worker_settings_table, "extensions.trust.enable", warnings,
			"is of no effect: what signatures prove is told by the search, and "
			"extensions.search.enable is false");
	else if (s->trust && !settings_trust(s))
		settings_wrong(&worker_settings_table, "extensions.trust.enable", warnings,
			"is of no effect: neither extensions.trust.cosign nor extensions.trust.notation is "
			"true");
}

const struct setting_list *settings_lint(const struct worker_settings *s)
{
	return s->lint != SWITCH_OFF && s->lint_annotations.len ? &s->lint_annotations : NULL;
}

static void check_lint(const struct worker_settings *s, struct buf *errors)
{
	const char *path = "extensions.lint.mandatoryAnnotations";

	if (s->lint == SWITCH_ON && !s->lint_annotations.len)
		settings_wrong(&worker_settings_table, path, errors,
			"is empty, and extensions.lint.enable is true: name what images must have");
	if (s->lint_annotations.len > LINT_ANNOTATIONS_MAX)
		settings_wrong(&worker_settings_table, path, errors, "has %zu names; at most %d are allowed",
			s->lint_annotations.len, LINT_ANNOTATIONS_MAX);
	for (size_t i = 0; i < s->lint_annotations.len; i++)
		if (!*s->lint_annotations.at[i])
			settings_wrong(
				&worker_settings_table, path, errors, "[%zu] is empty; it must be a name", i);
}

/* A folder of blobs needs no copies of them in another folder. */
static void check_cache(const struct worker_settings *s, struct buf *errors)
{
	if (s->cache && !s->s3_bucket)
		settings_wrong(&worker_settings_table, "storage.cache.path", errors,
			"is for a bucket (S3_BUCKET, storage.storageDriver); blobs in a folder are read from "
			"where they are. Unset it");
	if (s->cache && !*s->cache)
		settings_wrong(&worker_settings_table, "storage.cache.path", errors, "is empty");
}

static bool is_taken(struct str path)
{
	static const char *const taken[] = { "/", "/v2", "/livez", "/readyz", "/startupz" };

	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
		if (str_is(path, taken[i]))
			return true;
	return str_starts(path, "/v2/");
}

static void check_metrics(const struct worker_settings *s, struct buf *errors)
{
	struct str path = str_of(s->metrics_path), rest = path, part;
	bool clean = str_skip(&rest, "/") && rest.len;

	while (clean && str_next(&rest, '/', &part))
		clean = part.len && !str_is(part, ".") && !str_is(part, "..") &&
			!memchr(part.at, '?', part.len) && !memchr(part.at, '%', part.len);
	if (!clean || str_ends(path, "/") || is_taken(path))
		settings_wrong(&worker_settings_table, "extensions.metrics.prometheus.path", errors,
			"\"%s\" must be a plain path like \"/metrics\", and none that the registry has "
			"already",
			s->metrics_path);
}

/* The rules are made once for the sake of what is said when they are wrong. */
static void check_access(const struct worker_settings *s, struct buf *errors)
{
	AUTO(state) *state = state_new();
	AUTO(access) *access = NULL;
	struct error err;

	if (s->access_control && !access_new(&access, s->access_control, state, false, &err))
		buf_format(errors, "%s\n", err.text);
}

/* zot would ask for a login by it. Without any the registry would be open to everybody. */
static void check_login(const struct worker_settings *s, const char *key, const struct json *node,
	struct buf *warnings, struct buf *errors)
{
	bool closed = s->htpasswd || s->tls_ca || s->access_control || s->mode == MODE_WORKER;

	if (node && closed)
		buf_format(
			warnings, "%s is a zot setting that this version does not serve, ignoring it\n", key);
	else if (node)
		buf_format(errors,
			"%s: is not served by this version, and without it nobody would have to log in; use "
			"http.auth.htpasswd, http.tls.cacert or http.accessControl\n",
			key);
}

static void check_logins(const struct worker_settings *s, struct buf *warnings, struct buf *errors)
{
	check_login(s, "http.auth.ldap", s->ldap, warnings, errors);
	check_login(s, "http.auth.bearer", s->bearer, warnings, errors);
	check_login(s, "http.auth.openid", s->openid, warnings, errors);
}

/* Each member would have keys of its own, and refuse those of the others. */
static void check_apikey(struct worker_settings *s, struct buf *warnings)
{
	if (s->mode == MODE_WORKER)
		s->apikey = false; /* the leaders have them */
	if (!s->apikey || s->members.len < 2)
		return;
	buf_puts(warnings, "http.auth.apikey (ZOT_APIKEY): is not served in a static cluster, whose members "
			   "would each have keys "
			   "of their own, ignoring it; with leaders users have keys everywhere\n");
	s->apikey = false;
}

bool worker_settings_load(const char *file, char *const *environment, struct worker_settings *ret,
	struct settings_memory **ret_memory, struct buf *warnings, struct buf *errors)
{
	struct worker_settings s = { 0 };
	AUTO(settings_memory) *memory = NULL;

	if (!settings_load(&worker_settings_table, file, environment, &s, &memory, warnings, errors))
		return false;
	s.log_level = level_of(s.log_level);
	size_t before = errors->len;
	s.backup.aws = s.aws; /* without the keys that the file has for the driver alone */
	if (s.storage_driver)
		settings_s3_read(s.storage_driver, &s, memory, warnings, errors);
	settings_s3_check(&s, warnings, errors);
	settings_roots_read(&s, memory, warnings, errors);
	settings_retention_check(&s, warnings, errors);
	settings_http_read(&s, errors);
	settings_events_read(&s, environment, memory, warnings, errors);
	check_tls(&s, errors);
	check_cluster(&s, errors);
	check_secret(&s, errors);
	check_storage(&s, errors);
	check_cache(&s, errors);
	check_collection(&s, errors);
	check_urls(&s, errors);
	check_logins(&s, warnings, errors);
	check_apikey(&s, warnings);
	check_access(&s, errors);
	check_metrics(&s, errors);
	check_lint(&s, errors);
	check_trust(&s, warnings);
	backup_settings_check(&s.backup, errors);
	if (errors->len != before)
		return false;
	s.file = file;
	*ret = s;
	*ret_memory = TAKE(memory);
	return true;
}
