/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/retention.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/check.h"
#include "common/settings.h"
#include "proto/glob.h"
#include "proto/regexp.h"

#define WITHIN_MAX_MS (INT64_C(1000) * 366 * 86400000)
#define COUNT_MAX     1000000000

struct retention {
	atomic_uint refs;
	bool dry_run, of_entity;
	int64_t delay_ms; /* RETENTION_UNKNOWN: none is named */
	struct retention_policy *policies;
	size_t len;
};

/* ---- values ---- */

static bool wrong_type(const struct json *node, const char *wanted, struct error *err)
{
	return error_set(
		err, ERROR_INVALID, NULL, "must be %s, not %s", wanted, json_kind_name(json_kind(node)));
}

static bool take_bool(void *into, const struct json *node, struct error *err)
{
	return json_get_bool(node, into) || wrong_type(node, "true or false", err);
}

static bool take_count(void *into, const struct json *node, struct error *err)
{
	int64_t count;

	if (!json_get_int(node, &count))
		return wrong_type(node, "a whole number", err);
	if (count < 0 || count > COUNT_MAX)
		return error_set(err, ERROR_INVALID, NULL, "%lld is out of bounds; allowed are 0 to %d",
			(long long)count, COUNT_MAX);
	*(int64_t *)into = count;
	return true;
}

static bool take_duration(void *into, const struct json *node, struct error *err)
{
	struct str text = json_str(node);
	int64_t ms = 0;

	if (json_kind(node) != JSON_STRING && json_kind(node) != JSON_INTEGER)
		return wrong_type(node, "a duration like \"24h\" or \"1h30m\"", err);
	if (!json_get_int(node, &ms) && !setting_parse_ms(text, &ms))
		return error_set(err, ERROR_INVALID, NULL,
			"\"%.*s\" is no duration of 0 or more; write it like \"24h\" or \"1h30m\" (units: h, "
			"m, s, ms)",
			(int)(text.len < 60 ? text.len : 60), text.at);
	if (ms < 0 || ms > WITHIN_MAX_MS)
		return error_set(err, ERROR_INVALID, NULL, "is out of bounds; allowed are 0 to 1000 years");
	*(int64_t *)into = ms;
	return true;
}

/* ---- objects ---- */

struct key {
	const char *name;
	bool (*take)(void *into, const struct json *node, struct error *err);
	size_t offset;
};

#define KEYS_MAX 16

static bool unknown_key(const struct key *keys, size_t len, struct str name, struct error *err)
{
	const char *names[KEYS_MAX], *near;
	int shown = (int)(name.len < 60 ? name.len : 60);

	for (size_t i = 0; i < len; i++)
		names[i] = keys[i].name;
	near = str_nearest(name, names, len);
	if (near)
		return error_set(err, ERROR_INVALID, NULL, "unknown key \"%.*s\"; did you mean \"%s\"?",
			shown, name.at, near);
	return error_set(err, ERROR_INVALID, NULL, "unknown key \"%.*s\"; the first known is \"%s\"", shown,
		name.at, keys[0].name);
}

static bool take_key(const struct key *keys, size_t len, unsigned *seen, struct str name,
	const struct json *node, void *into, struct error *err)
{
	size_t at = 0;

	while (at < len && !str_is_nocase(name, keys[at].name))
		at++;
	if (at == len)
		return unknown_key(keys, len, name, err);
	if (*seen >> at & 1)
		return error_set(err, ERROR_INVALID, NULL, "%s: is there twice", keys[at].name);
	*seen |= 1u << at;
	return json_kind(node) == JSON_NULL || keys[at].take((char *)into + keys[at].offset, node, err) ||
	       error_add(err, "%s", keys[at].name);
}

static bool take_object(
	const struct key *keys, size_t len, const struct json *node, void *into, struct error *err)
{
	const struct json *value;
	struct str name;
	unsigned seen = 0;

	CHECK(len <= KEYS_MAX);
	if (json_kind(node) != JSON_OBJECT)
		return wrong_type(node, "an object", err);
	for (void *it = NULL; json_next(node, &it, &name, &value);)
		if (!take_key(keys, len, &seen, name, value, into, err))
			return false;
	return true;
}
#define TAKE_OBJECT(keys, node, into, err)                                                                   \
	take_object(keys, sizeof(keys) / sizeof((keys)[0]), node, into, err)

static bool check_list(const struct json *node, size_t max, const char *of, struct error *err)
{
	if (json_kind(node) != JSON_ARRAY)
		return wrong_type(node, of, err);
	return json_len(node) <= max ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "has %zu items; at most %zu are allowed", json_len(node),
		       max);
}

/* ---- an entry ---- */

static bool take_patterns(void *into, const struct json *node, struct error *err)
{
	struct retention_entry *entry = into;
	struct str text;

	if (!check_list(node, RETENTION_PATTERNS_MAX, "a list of regular expressions", err))
		return false;
	entry->patterns = xnew_array(struct regexp *, json_len(node) + 1);
	for (size_t i = 0; i < json_len(node); i++) {
		if (!json_get_str(json_at(node, i), &text)) {
			(void)wrong_type(json_at(node, i), "a regular expression", err);
			return error_add(err, "[%zu]", i);
		}
		if (!regexp_new(&entry->patterns[i], text, err))
			return error_add(
				err, "[%zu]: \"%.*s\"", i, (int)(text.len < 60 ? text.len : 60), text.at);
		entry->patterns_len++;
	}
	return true;
}

#define RULES                                                                                                \
	{ "pulledWithin", take_duration, offsetof(struct retention_entry, pulled_within_ms) },               \
		{ "pushedWithin", take_duration, offsetof(struct retention_entry, pushed_within_ms) },       \
		{ "mostRecentlyPulledCount", take_count, offsetof(struct retention_entry, pulled_count) },   \
		{ "mostRecentlyPushedCount", take_count, offsetof(struct retention_entry, pushed_count) },

static const struct key tags_keys[] = { RULES{ "patterns", take_patterns, 0 } };
static const struct key untagged_keys[] = { RULES };

static void entry_init(struct retention_entry *entry)
{
	*entry = (struct retention_entry){ .pulled_within_ms = RETENTION_UNKNOWN,
		.pushed_within_ms = RETENTION_UNKNOWN };
}

static void entry_fini(struct retention_entry *entry)
{
	for (size_t i = 0; i < entry->patterns_len; i++)
		regexp_free(entry->patterns[i]);
	free(entry->patterns);
}

/* ---- a policy ---- */

static bool take_repositories(void *into, const struct json *node, struct error *err)
{
	struct retention_policy *policy = into;
	struct str text;

	if (!check_list(node, RETENTION_GLOBS_MAX, "a list of globs over repositories", err))
		return false;
	policy->repositories = xnew_array(char *, json_len(node) + 1);
	for (size_t i = 0; i < json_len(node); i++) {
		if (!json_get_str(json_at(node, i), &text)) {
			(void)wrong_type(json_at(node, i), "a glob", err);
			return error_add(err, "[%zu]", i);
		}
		if (!glob_check(text, err))
			return error_add(
				err, "[%zu]: \"%.*s\"", i, (int)(text.len < 60 ? text.len : 60), text.at);
		policy->repositories[policy->repositories_len++] = str_dup(text);
	}
	return true;
}

static bool take_keep_tags(void *into, const struct json *node, struct error *err)
{
	struct retention_policy *policy = into;

	if (!check_list(node, RETENTION_ENTRIES_MAX, "a list of objects", err))
		return false;
	policy->keep_tags = xnew_array(struct retention_entry, json_len(node) + 1);
	for (size_t i = 0; i < json_len(node); i++) {
		struct retention_entry *entry = &policy->keep_tags[policy->keep_tags_len++];

		entry_init(entry);
		if (!TAKE_OBJECT(tags_keys, json_at(node, i), entry, err))
			return error_add(err, "[%zu]", i);
	}
	return true;
}

static bool take_keep_untagged(void *into, const struct json *node, struct error *err)
{
	struct retention_policy *policy = into;

	policy->keep_untagged = xnew(struct retention_entry);
	entry_init(policy->keep_untagged);
	return TAKE_OBJECT(untagged_keys, node, policy->keep_untagged, err);
}

#define POLICY                                                                                               \
	{ "deleteReferrers", take_bool, offsetof(struct retention_policy, delete_referrers) },               \
		{ "deleteUntagged", take_bool, offsetof(struct retention_policy, delete_untagged) },         \
		{ "keepTags", take_keep_tags, 0 }, { "keepUntagged", take_keep_untagged, 0 },

static const struct key policy_keys[] = { POLICY{ "repositories", take_repositories, 0 } };

static void policy_fini(struct retention_policy *policy)
{
	for (size_t i = 0; i < policy->repositories_len; i++)
		free(policy->repositories[i]);
	free(policy->repositories);
	for (size_t i = 0; i < policy->keep_tags_len; i++)
		entry_fini(&policy->keep_tags[i]);
	free(policy->keep_tags);
	free(policy->keep_untagged);
}

/* ---- all ---- */

static struct retention *retention_of(size_t policies)
{
	struct retention *retention = xnew(struct retention);

	atomic_init(&retention->refs, 1);
	retention->delay_ms = RETENTION_UNKNOWN;
	retention->policies = xnew_array(struct retention_policy, policies + 1);
	return retention;
}

static struct retention_policy *add_policy(struct retention *retention)
{
	struct retention_policy *policy = &retention->policies[retention->len++];

	policy->delete_untagged = true;
	return policy;
}

static bool take_policies(void *into, const struct json *node, struct error *err)
{
	struct retention *retention = into;

	if (!check_list(node, RETENTION_POLICIES_MAX, "a list of objects", err))
		return false;
	free(retention->policies);
	retention->policies = xnew_array(struct retention_policy, json_len(node) + 1);
	for (size_t i = 0; i < json_len(node); i++) {
		struct retention_policy *policy = add_policy(retention);

		if (!TAKE_OBJECT(policy_keys, json_at(node, i), policy, err))
			return error_add(err, "[%zu]", i);
	}
	return true;
}

static const struct key settings_keys[] = {
	{ "dryRun", take_bool, offsetof(struct retention, dry_run) },
	{ "delay", take_duration, offsetof(struct retention, delay_ms) },
	{ "policies", take_policies, 0 },
};

bool retention_new(struct retention **ret, const struct json *node, struct error *err)
{
	AUTO(retention) *retention = retention_of(0);

	if (!TAKE_OBJECT(settings_keys, node, retention, err))
		return false;
	*ret = TAKE(retention);
	return true;
}

/* What an entity has in one object. */
struct entity_reading {
	struct retention_policy policy; /* first: POLICY has its places */
	bool dry_run;
	int64_t delay_ms;
};
_Static_assert(offsetof(struct entity_reading, policy) == 0, "the keys of a policy are read into it");

static const struct key entity_keys[] = { POLICY{ "dryRun", take_bool,
						  offsetof(struct entity_reading, dry_run) },
	{ "delay", take_duration, offsetof(struct entity_reading, delay_ms) } };

static bool read_entity(struct retention *retention, const struct json *node, struct error *err)
{
	struct entity_reading reading = { .policy = { .delete_untagged = true },
		.delay_ms = RETENTION_UNKNOWN };
	bool ok = TAKE_OBJECT(entity_keys, node, &reading, err);

	retention->of_entity = true;
	retention->dry_run = reading.dry_run;
	retention->delay_ms = reading.delay_ms;
	*add_policy(retention) = reading.policy;
	return ok;
}

bool retention_new_of_entity(struct retention **ret, struct str text, struct error *err)
{
	AUTO(retention) *retention = NULL;
	AUTO(json_doc) *doc = NULL;

	if (text.len > RETENTION_TEXT_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL, "has %zu bytes; at most %d are allowed",
			text.len, RETENTION_TEXT_MAX);
	if (!json_parse(text, &doc, err))
		return false;
	retention = retention_of(1);
	if (!read_entity(retention, json_root(doc), err))
		return false;
	*ret = TAKE(retention);
	return true;
}

bool retention_check(struct str text, struct error *err)
{
	AUTO(retention) *retention = NULL;

	return retention_new_of_entity(&retention, text, err);
}

struct retention *retention_ref(struct retention *retention)
{
	atomic_fetch_add_explicit(&retention->refs, 1, memory_order_relaxed);
	return retention;
}

void retention_free(struct retention *retention)
{
	if (!retention || atomic_fetch_sub_explicit(&retention->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < retention->len; i++)
		policy_fini(&retention->policies[i]);
	free(retention->policies);
	free(retention);
}

size_t retention_policy_for_none(const struct retention *retention)
{
	size_t at = 0;

	if (!retention || retention->of_entity)
		return SIZE_MAX;
	while (at < retention->len && retention->policies[at].repositories_len)
		at++;
	return at < retention->len ? at : SIZE_MAX;
}

static bool is_for(const struct retention_policy *policy, struct str repository)
{
	for (size_t i = 0; i < policy->repositories_len; i++)
		if (glob_match(str_of(policy->repositories[i]), repository))
			return true;
	return false;
}

struct retention_terms retention_terms(
	const struct retention *retention, struct str repository, int64_t delay_ms)
{
	struct retention_terms terms = { .delay_ms = delay_ms };

	if (!retention)
		return terms;
	terms.is_set = true;
	terms.of_entity = retention->of_entity;
	terms.dry_run = retention->dry_run;
	if (retention->delay_ms != RETENTION_UNKNOWN)
		terms.delay_ms = retention->delay_ms;
	for (size_t i = 0; i < retention->len && !terms.policy; i++)
		if (retention->of_entity || is_for(&retention->policies[i], repository)) {
			terms.policy = &retention->policies[i];
			terms.at = i;
		}
	return terms;
}
