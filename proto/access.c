/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/access.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/check.h"
#include "common/map.h"
#include "proto/glob.h"
#include "proto/patterns.h"

#define ACTION_NAMES (ACTION_DETECT_COLLISION + 1)
static const char *const action_names[ACTION_NAMES] = { "read", "create", "update", "delete",
	"detectManifestCollision" };

struct names {
	char **at;
	size_t len;
};

struct rule {
	struct names users, groups;
	unsigned actions; /* bits of enum action */
};

/* One repository pattern. */
struct entry {
	char *pattern;
	bool of_file; /* or of the state */
	struct rule *rules;
	size_t rules_len;
	unsigned authenticated, anonymous;
};

/* So many policies may differ from those of the one below. */
#define OVER_MOST 64

struct access {
	atomic_uint refs;
	struct access
		*base; /* whose policies and file count where this one has no others; NULL: this has all */
	bool open;
	struct state *state; /* the policies alone */
	struct patterns *entries;
	size_t policies;
	size_t file_policies, file_admins; /* of the settings file: of repositories; adminPolicy */
	size_t anonymous;                  /* policies that allow them something */
	struct rule admins[2];             /* adminPolicy of the file and of the state */
	bool has_file;
	struct names metrics_users;
	unsigned metrics_anonymous;
	struct map *groups; /* of the settings file: name -> struct names of users */
};

static bool names_have(const struct names *names, struct str name)
{
	for (size_t i = 0; i < names->len; i++)
		if (str_is(name, names->at[i]))
			return true;
	return false;
}

static void names_add(struct names *names, struct str name)
{
	char **grown = xnew_array(char *, names->len + 1);

	for (size_t i = 0; i < names->len; i++)
		grown[i] = names->at[i];
	grown[names->len] = check_strndup(name.at, name.len);
	free(names->at);
	names->at = grown;
	names->len++;
}

static void names_fini(struct names *names)
{
	for (size_t i = 0; i < names->len; i++)
		free(names->at[i]);
	free(names->at);
}

static void rule_fini(struct rule *rule)
{
	names_fini(&rule->users);
	names_fini(&rule->groups);
}

static void entry_free(struct entry *entry)
{
	for (size_t i = 0; i < entry->rules_len; i++)
		rule_fini(&entry->rules[i]);
	free(entry->rules);
	free(entry->pattern);
	free(entry);
}

static void groups_free(struct map *groups)
{
	void *value;

	for (size_t at = 0; groups && map_next(groups, &at, NULL, &value);) {
		names_fini(value);
		free(value);
	}
	map_free(groups);
}

struct access *access_ref(struct access *access)
{
	atomic_fetch_add_explicit(&access->refs, 1, memory_order_relaxed);
	return access;
}

void access_free(struct access *access)
{
	void *value;

	if (!access || atomic_fetch_sub_explicit(&access->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t at = 0; patterns_next(access->entries, &at, &value);)
		entry_free(value);
	patterns_free(access->entries);
	for (size_t i = 0; i < 2; i++)
		rule_fini(&access->admins[i]);
	state_free(access->state);
	names_fini(&access->metrics_users);
	groups_free(access->groups);
	access_free(access->base);
	free(access);
}

static bool action_bit(struct str name, unsigned *into)
{
	enum action action;

	if (!action_parse(name, &action))
		return false;
	*into |= 1u << action;
	return true;
}

static bool bad_action(struct str name, struct error *err)
{
	return error_set(err, ERROR_INVALID, NULL,
		"\"%.*s\" is no action; allowed: read, create, update, delete, detectManifestCollision",
		STR_ARGS(name));
}

/* From the settings file. */

static bool read_texts(const struct json *node, const char *key, struct names *into, struct error *err)
{
	const struct json *list = json_find(node, key);

	if (list && json_kind(list) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, NULL, "%s must be a list of texts", key);
	for (size_t i = 0; i < json_len(list); i++) {
		struct str text;
		if (!json_get_str(json_at(list, i), &text))
			return error_set(err, ERROR_INVALID, NULL, "%s[%zu] must be a text", key, i);
		names_add(into, text);
	}
	return true;
}

static bool read_actions(const struct json *node, const char *key, unsigned *into, struct error *err)
{
	const struct json *list = json_find(node, key);

	if (list && json_kind(list) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, NULL, "%s must be a list of actions", key);
	for (size_t i = 0; i < json_len(list); i++)
		if (!action_bit(json_str(json_at(list, i)), into)) {
			(void)bad_action(json_str(json_at(list, i)), err);
			return error_add(err, "%s[%zu]", key, i);
		}
	return true;
}

static bool known_keys(const struct json *node, const char *const *known, size_t len, struct error *err)
{
	const struct json *value;
	struct str key;

	if (json_kind(node) != JSON_OBJECT)
		return error_set(err, ERROR_INVALID, NULL, "must be an object, is %s",
			json_kind_name(json_kind(node)));
	for (void *it = NULL; json_next(node, &it, &key, &value);) {
		size_t i = 0;
		while (i < len && !str_is(key, known[i]))
			i++;
		if (i < len)
			continue;
		const char *near = str_nearest(key, known, len);
		return error_set(err, ERROR_INVALID, NULL, "\"%.*s\" is unknown%s%s%s", STR_ARGS(key),
			near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
	}
	return true;
}

/* A rule without its conditions would grant more than it says. */
static bool no_conditions(const struct json *conditions, struct error *err)
{
	bool none = json_kind(conditions) == JSON_NONE || json_kind(conditions) == JSON_NULL ||
		    (json_kind(conditions) == JSON_ARRAY && !json_len(conditions));

	return none || error_set(err, ERROR_INVALID, NULL, "conditions are not served by this version");
}

/* An object whose members have names of their own, or nothing. */
static bool is_table(const struct json *node, const char *key, struct error *err)
{
	return !node || json_kind(node) == JSON_OBJECT ||
	       error_set(err, ERROR_INVALID, NULL, "%s must be an object, is %s", key,
		       json_kind_name(json_kind(node)));
}

static bool read_rule(const struct json *node, struct rule *into, struct error *err)
{
	static const char *const known[] = { "users", "groups", "actions", "conditions" };

	if (!known_keys(node, known, 4, err))
		return false;
	return no_conditions(json_find(node, "conditions"), err) &&
	       read_texts(node, "users", &into->users, err) &&
	       read_texts(node, "groups", &into->groups, err) &&
	       read_actions(node, "actions", &into->actions, err);
}

static bool read_entry(const struct json *node, struct entry *entry, struct error *err)
{
	static const char *const known[] = { "policies", "defaultPolicy", "anonymousPolicy" };
	const struct json *list = json_find(node, "policies");

	if (!known_keys(node, known, 3, err))
		return false;
	if (list && json_kind(list) != JSON_ARRAY)
		return error_set(err, ERROR_INVALID, NULL, "policies must be a list");
	entry->rules = xnew_array(struct rule, json_len(list) + 1);
	for (; entry->rules_len < json_len(list); entry->rules_len++)
		if (!read_rule(json_at(list, entry->rules_len), &entry->rules[entry->rules_len], err)) {
			rule_fini(&entry->rules[entry->rules_len]);
			return error_add(err, "policies[%zu]", entry->rules_len);
		}
	return read_actions(node, "defaultPolicy", &entry->authenticated, err) &&
	       read_actions(node, "anonymousPolicy", &entry->anonymous, err);
}

/* Takes the entry. The last one of a pattern wins: policies of the state are added after the file's. */
static void add_entry(struct access *access, struct entry *entry)
{
	struct entry *old = patterns_put(access->entries, str_of(entry->pattern), entry);

	access->policies++;
	access->anonymous += entry->anonymous != 0;
	if (!old)
		return;
	access->anonymous -= old->anonymous != 0;
	entry_free(old);
}

static bool read_repositories(struct access *access, const struct json *node, struct error *err)
{
	const struct json *value;
	struct str pattern;

	if (!is_table(node, "repositories", err))
		return false;
	for (void *it = NULL; node && json_next(node, &it, &pattern, &value);) {
		struct entry *entry = xnew(struct entry);
		entry->pattern = check_strndup(pattern.at, pattern.len);
		entry->of_file = true;
		if (!glob_check(pattern, err) || !read_entry(value, entry, err)) {
			entry_free(entry);
			return error_add(err, "repositories.\"%.*s\"", STR_ARGS(pattern));
		}
		add_entry(access, entry);
	}
	access->file_policies = access->policies;
	return true;
}

static bool read_groups(struct access *access, const struct json *node, struct error *err)
{
	const struct json *value;
	static const char *const known[] = { "users" };
	struct str name;

	access->groups = map_new();
	if (!is_table(node, "groups", err))
		return false;
	for (void *it = NULL; node && json_next(node, &it, &name, &value);) {
		struct names *users = xnew(struct names);
		if (!known_keys(value, known, 1, err) || !read_texts(value, "users", users, err)) {
			names_fini(users);
			free(users);
			return error_add(err, "groups.%.*s", STR_ARGS(name));
		}
		(void)map_put(access->groups, name, users);
	}
	return true;
}

static bool only_read(unsigned actions, struct error *err)
{
	return !(actions & ~(1u << ACTION_READ)) ||
	       error_set(err, ERROR_INVALID, NULL, "anonymousPolicy: metrics can be read and nothing else");
}

static bool read_metrics(struct access *access, const struct json *node, struct error *err)
{
	static const char *const known[] = { "users", "anonymousPolicy" };

	if (!node ||
		(known_keys(node, known, 2, err) && read_texts(node, "users", &access->metrics_users, err) &&
			read_actions(node, "anonymousPolicy", &access->metrics_anonymous, err) &&
			only_read(access->metrics_anonymous, err)))
		return true;
	return error_add(err, "metrics");
}

static bool read_admin(struct access *access, const struct json *node, struct error *err)
{
	if (!node)
		return true;
	if (!read_rule(node, &access->admins[0], err))
		return error_add(err, "adminPolicy");
	if (access->admins[0].actions & 1u << ACTION_DETECT_COLLISION)
		return error_set(err, ERROR_INVALID, NULL,
			"adminPolicy: detectManifestCollision has no effect for those whom adminPolicy "
			"names; give it to others in repositories");
	access->policies++;
	access->file_admins = 1;
	return true;
}

static bool read_file(struct access *access, const struct json *file, struct error *err)
{
	static const char *const known[] = { "repositories", "adminPolicy", "groups", "metrics" };

	return known_keys(file, known, 4, err) &&
	       read_repositories(access, json_find(file, "repositories"), err) &&
	       read_groups(access, json_find(file, "groups"), err) &&
	       read_metrics(access, json_find(file, "metrics"), err) &&
	       read_admin(access, json_find(file, "adminPolicy"), err);
}

/* From the state. */

static void copy_texts(struct names *into, const struct texts *from)
{
	for (size_t i = 0; i < from->len; i++)
		names_add(into, str_of(from->at[i]));
}

/* Entities were validated when they were written; an action that we do not know grants nothing. */
static unsigned bits_of(const struct texts *actions)
{
	unsigned bits = 0;

	for (size_t i = 0; i < actions->len; i++)
		(void)action_bit(str_of(actions->at[i]), &bits);
	return bits;
}

static void add_policy(struct access *access, const struct entity *entity)
{
	const struct policy *policy = entity_policy(entity);
	struct entry *entry = xnew(struct entry);

	entry->pattern = check_strndup(entity_id(entity).at, entity_id(entity).len);
	entry->authenticated = bits_of(&policy->default_policy);
	entry->anonymous = bits_of(&policy->anonymous_policy);
	entry->rules = xnew_array(struct rule, policy->policies_len + 1);
	for (; entry->rules_len < policy->policies_len; entry->rules_len++) {
		const struct policy_rule *from = &policy->policies[entry->rules_len];
		struct rule *rule = &entry->rules[entry->rules_len];
		copy_texts(&rule->users, &from->users);
		copy_texts(&rule->groups, &from->groups);
		rule->actions = bits_of(&from->actions);
	}
	add_entry(access, entry);
}

static void add_admin_policy(struct access *access, const struct entity *entity)
{
	const struct admin_policy *policy = entity_admin_policy(entity);
	struct rule *rule = &access->admins[1];

	copy_texts(&rule->users, &policy->users);
	copy_texts(&rule->groups, &policy->groups);
	rule->actions = bits_of(&policy->actions);
	access->policies++;
}

#define POLICY_KINDS (1u << ENTITY_POLICY | 1u << ENTITY_ADMIN_POLICY)

static void read_state(struct access *access, const struct state *state)
{
	struct entity *admin = state_find(state, ENTITY_ADMIN_POLICY, STR("admin"));

	for (size_t i = 0; i < state_count(state, ENTITY_POLICY); i++)
		add_policy(access, state_at(state, ENTITY_POLICY, i));
	if (admin)
		add_admin_policy(access, admin);
	access->state = state_only(state, POLICY_KINDS);
}

bool access_obeys(const struct access *access, const struct state *state)
{
	return access->state && state_same_kind(access->state, state, ENTITY_POLICY) &&
	       state_same_kind(access->state, state, ENTITY_ADMIN_POLICY);
}

bool access_new(struct access **ret_access, const struct json *file, const struct state *state, bool open,
	struct error *err)
{
	AUTO(access) *access = xnew(struct access);

	atomic_init(&access->refs, 1);
	access->open = open;
	access->has_file = file != NULL;
	access->entries = patterns_new();
	if (file && !read_file(access, file, err))
		return error_add(err, "http.accessControl");
	if (state)
		read_state(access, state);
	patterns_settle(access->entries);
	*ret_access = TAKE(access);
	return true;
}

/* What the one below has of this name counts no more. */
static void change_policy(struct access *access, const struct state *state, struct str pattern)
{
	const struct entity *now = state_find(state, ENTITY_POLICY, pattern);
	const struct entity *before = state_find(access->base->state, ENTITY_POLICY, pattern);

	if (before)
		access->anonymous -= bits_of(&entity_policy(before)->anonymous_policy) != 0;
	if (now)
		add_policy(access, now);
	else
		patterns_take_out(access->entries, pattern);
}

struct access *access_new_over(struct access *old, const struct state *state)
{
	struct access *base = old->base ? old->base : old, *access;
	struct entity *admin = state_find(state, ENTITY_ADMIN_POLICY, STR("admin"));
	struct str changed[OVER_MOST];
	size_t len;

	if (!base->state || base->file_policies ||
		!state_differ(base->state, state, ENTITY_POLICY, changed, OVER_MOST, &len))
		return NULL;
	access = xnew(struct access);
	atomic_init(&access->refs, 1);
	access->base = access_ref(base);
	access->open = base->open;
	access->has_file = base->has_file;
	access->entries = patterns_over(base->entries);
	access->anonymous = base->anonymous;
	for (size_t i = 0; i < len; i++)
		change_policy(access, state, changed[i]);
	patterns_settle(access->entries);
	access->policies = base->file_admins + state_count(state, ENTITY_POLICY);
	if (admin)
		add_admin_policy(access, admin);
	access->state = state_only(state, POLICY_KINDS);
	return access;
}

/* Whose are the parts of the settings file. */
static const struct access *file_of(const struct access *access)
{
	return access->base ? access->base : access;
}

/* Questions. */

bool access_is_in_group(const struct access_who *who, struct str group)
{
	const struct entity *entity;

	if (texts_have(&who->groups, group))
		return true;
	entity = who->state && *who->user ? state_find(who->state, ENTITY_GROUP, group) : NULL;
	return entity && texts_have(&entity_group(entity)->users, str_of(who->user));
}

static bool in_group(const struct access *access, const struct access_who *who, const char *group)
{
	const struct names *users;

	if (access_is_in_group(who, str_of(group)))
		return true;
	users = file_of(access)->groups ? map_find(file_of(access)->groups, str_of(group)) : NULL;
	return users && names_have(users, str_of(who->user));
}

static bool rule_names(const struct access *access, const struct rule *rule, const struct access_who *who)
{
	if (names_have(&rule->users, str_of(who->user)))
		return true;
	for (size_t i = 0; i < rule->groups.len; i++)
		if (in_group(access, who, rule->groups.at[i]))
			return true;
	return false;
}

/* What decided: allowed or not, by which part of which policy. */

static struct access_decision decided(bool allowed, enum access_by by)
{
	return (struct access_decision){ .allowed = allowed, .by = by, .policy = "", .scope = "" };
}

static struct access_decision decided_by(const struct entry *entry, bool allowed, enum access_by by)
{
	struct access_decision decision = decided(allowed, by);

	decision.policy = entry->pattern;
	decision.of_file = entry->of_file;
	return decision;
}

/* No rule allows it: the policy's word for everybody does, or nothing. */
static struct access_decision decide_default(
	const struct entry *entry, unsigned granted, enum access_by by, unsigned bit)
{
	return decided_by(entry, granted & bit, granted & bit ? by : ACCESS_BY_NO_RULE);
}

static struct access_decision decide_entry(
	const struct access *access, const struct entry *entry, const struct access_who *who, unsigned bit)
{
	struct access_decision decision;

	if (who->anonymous)
		return decide_default(entry, entry->anonymous, ACCESS_BY_ANONYMOUS_POLICY, bit);
	for (size_t i = 0; i < entry->rules_len; i++) {
		if (!(entry->rules[i].actions & bit) || !rule_names(access, &entry->rules[i], who))
			continue;
		decision = decided_by(entry, true, ACCESS_BY_RULE);
		decision.rule = i;
		return decision;
	}
	return decide_default(entry, entry->authenticated, ACCESS_BY_DEFAULT_POLICY, bit);
}

/* "<glob>:<action>[,<action>]" */
static bool scope_grants(const char *scope, struct str name, enum action action)
{
	struct str glob, actions, one;

	if (!str_split_last(str_of(scope), ':', &glob, &actions) || !glob_match(glob, name))
		return false;
	while (str_next(&actions, ',', &one))
		if (str_is(one, action_names[action]))
			return true;
	return false;
}

/* The first scope that does, or NULL. */
static const char *find_scope(const struct access_who *who, struct str name, enum action action)
{
	const struct texts *scopes = who->key ? &entity_apikey(who->key)->scopes : NULL;

	for (size_t i = 0; scopes && i < scopes->len; i++)
		if (scope_grants(scopes->at[i], name, action))
			return scopes->at[i];
	return NULL;
}

/* scope: the one that names it, or NULL. */
static bool scopes_grant(const struct access_who *who, const char *scope, enum action action)
{
	/* A peer's key that is too new to be known here: the peer has looked at its scopes for the repository
	 * that is asked for. Reading another one, to mount from it, waits until we know. */
	if (!who->key)
		return !who->key_unknown || action != ACTION_READ;
	return scope || entity_apikey(who->key)->scopes.len == 0;
}

/* For is_of_admin_policy(): whatever it lets them do. */
#define ANY_ACTION 0u

static bool is_of_admin_policy(const struct access *access, const struct access_who *who, unsigned bit)
{
	const struct rule *admins[] = { &file_of(access)->admins[0], &access->admins[1] };

	for (size_t i = 0; i < 2 && !who->anonymous; i++)
		if ((admins[i]->actions & bit) == bit && rule_names(access, admins[i], who))
			return true;
	return false;
}

static struct access_decision decide_policies(
	const struct access *access, const struct access_who *who, struct str name, unsigned bit)
{
	const struct entry *entry = patterns_find(access->entries, name);
	struct access_decision decision =
		entry ? decide_entry(access, entry, who, bit) : decided(false, ACCESS_BY_NO_PATTERN);

	if (!decision.allowed && is_of_admin_policy(access, who, bit))
		decision = decided(true, ACCESS_BY_ADMIN_POLICY);
	return decision;
}

static struct access_decision decide_action(const struct access *access, const struct access_who *who,
	struct str name, enum action action, const char *scope)
{
	if (!scopes_grant(who, scope, action))
		return decided(false, ACCESS_BY_SCOPES);
	if (who->admin)
		return decided(true, ACCESS_BY_ROLE);
	if (!access->policies)
		return decided(access->open || !who->anonymous, ACCESS_BY_NO_POLICIES);
	return decide_policies(access, who, name, 1u << action);
}

static struct access_decision decide_collisions(
	const struct access *access, const struct access_who *who, struct str name, const char *scope)
{
	const struct entry *entry = patterns_find(access->entries, name);

	if (scope)
		return decided(true, ACCESS_BY_SCOPES);
	if (who->admin)
		return decided(false, ACCESS_BY_ROLE);
	if (is_of_admin_policy(access, who, ANY_ACTION))
		return decided(false, ACCESS_BY_ADMIN_POLICY);
	return entry ? decide_entry(access, entry, who, 1u << ACTION_DETECT_COLLISION)
		     : decided(false, ACCESS_BY_NO_PATTERN);
}

struct access_decision access_decide(
	const struct access *access, const struct access_who *who, struct str name, enum action action)
{
	const char *scope = find_scope(who, name, action);
	struct access_decision decision = action == ACTION_DETECT_COLLISION
						  ? decide_collisions(access, who, name, scope)
						  : decide_action(access, who, name, action, scope);

	decision.scope = scope ? scope : "";
	return decision;
}

bool access_allows_metrics(const struct access *access, const struct access_who *who)
{
	if (who->key && entity_apikey(who->key)->scopes.len)
		return false;
	if (who->admin)
		return true;
	if (!access->has_file)
		return access->open || !who->anonymous;
	if (who->anonymous)
		return file_of(access)->metrics_anonymous & 1u << ACTION_READ;
	return names_have(&file_of(access)->metrics_users, str_of(who->user));
}

#define ALL_ACTIONS (1u << ACTION_READ | 1u << ACTION_CREATE | 1u << ACTION_UPDATE | 1u << ACTION_DELETE)

bool access_is_admin(const struct access *access, const struct access_who *who)
{
	if (who->anonymous || who->key_unknown || (who->key && entity_apikey(who->key)->scopes.len))
		return false;
	return who->admin || !access->policies || is_of_admin_policy(access, who, ALL_ACTIONS);
}

bool access_has_anonymous(const struct access *access)
{
	return access->anonymous || (access->open && !access->policies);
}

size_t access_policies(const struct access *access)
{
	return access->policies;
}

/* Words. */

struct telling {
	access_match_f *fn;
	void *arg;
	const struct entry *deciding;
};

static void tell_match(void *arg, void *value)
{
	const struct telling *telling = arg;
	const struct entry *entry = value;

	telling->fn(telling->arg, entry->pattern, entry->of_file, entry == telling->deciding);
}

void access_each_match(const struct access *access, struct str name, access_match_f *fn, void *arg)
{
	struct telling telling = { fn, arg, patterns_find(access->entries, name) };

	patterns_each_match(access->entries, name, tell_match, &telling);
}

bool action_parse(struct str name, enum action *ret)
{
	for (unsigned i = 0; i < ACTION_NAMES; i++)
		if (str_is(name, action_names[i])) {
			*ret = (enum action)i;
			return true;
		}
	return false;
}

const char *action_name(enum action action)
{
	return action_names[action];
}

static const struct {
	const char *name, *allowed, *refused; /* the rest of a sentence */
} bys[] = {
	[ACCESS_BY_SCOPES] = { "scopes", "the API key's scopes give it",
		"the API key's scopes do not have it" },
	[ACCESS_BY_ROLE] = { "role", "the role admin may do everything",
		"the role admin is never kept from it" },
	[ACCESS_BY_NO_POLICIES] = { "no_policies",
		"there are no policies at all, so whoever is logged in may do everything",
		"there are no policies at all, so only who is logged in may" },
	[ACCESS_BY_RULE] = { "rule", "a rule of the policy that decides allows it", "" },
	[ACCESS_BY_DEFAULT_POLICY] = { "default_policy", "defaultPolicy of the policy that decides allows it",
		"" },
	[ACCESS_BY_ANONYMOUS_POLICY] = { "anonymous_policy",
		"anonymousPolicy of the policy that decides allows it", "" },
	[ACCESS_BY_NO_RULE] = { "no_rule", "", "nothing in the policy that decides allows it" },
	[ACCESS_BY_NO_PATTERN] = { "no_pattern", "", "no policy matches the repository" },
	[ACCESS_BY_ADMIN_POLICY] = { "admin_policy", "adminPolicy allows it",
		"whom adminPolicy names is never kept from it" },
};

const char *access_by_name(enum access_by by)
{
	return bys[by].name;
}

const char *access_decision_text(const struct access_decision *decision)
{
	return decision->allowed ? bys[decision->by].allowed : bys[decision->by].refused;
}
