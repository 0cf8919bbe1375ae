/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entity_check - the rules that a body and an id must keep, whether they came as JSON or msgpack.
 */
#include "common/password.h"
#include "proto/entity_priv.h"
#include "proto/glob.h"
#include "proto/name.h"
#include "proto/trust_key.h"
#include "proto/user_prefs.h"

#define ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

static bool invalid(struct error *err, const char *why)
{
	return error_set(err, ERROR_INVALID, NULL, "%s", why);
}

static bool only_of(struct str s, const char *allowed)
{
	for (size_t i = 0; i < s.len; i++) {
		if (!s.at[i] || !strchr(allowed, s.at[i]))
			return false;
	}
	return true;
}

/* ---- the check column ---- */

bool check_password_hash(struct str text, struct error *err)
{
	return password_is_hash(text) ||
	       invalid(err,
		       "not a crypt(3) hash of the kinds $2a$ $2b$ $2y$ (bcrypt), $5$ or $6$ (sha-crypt)");
}

bool check_user_id(struct str text, struct error *err)
{
	return (text.len >= 1 && text.len <= ENTITY_ID_MAX && only_of(text, ALNUM "._@-")) ||
	       invalid(err, "a user's name has 1 to 255 of A-Z a-z 0-9 . _ @ -");
}

bool check_hex(struct str text, struct error *err)
{
	return only_of(text, "0123456789abcdef") || invalid(err, "only the digits 0-9 a-f are allowed");
}

bool check_glob(struct str text, struct error *err)
{
	return glob_check(text, err);
}

bool check_name(struct str text, struct error *err)
{
	struct name ignored;

	return name_parse(text, &ignored, err);
}

/* `text` need not be terminated: it may be a part of a scope. */
static bool check_choice(const char *choices, struct str text, struct error *err)
{
	struct str rest = str_of(choices);
	struct str choice;

	while (str_next(&rest, ',', &choice)) {
		if (str_equal(choice, text))
			return true;
	}
	return error_set(err, ERROR_INVALID, NULL, "\"%.*s\" is not one of: %s",
		(int)(text.len < 60 ? text.len : 60), text.at, choices);
}

bool check_scope(struct str text, struct error *err)
{
	struct str glob = STR_NONE;
	struct str actions = STR_NONE;
	struct str action;
	bool any = false;

	if (!str_split_last(text, ':', &glob, &actions))
		return invalid(err, "a scope is \"<glob>:<action>[,<action>...]\"");
	if (!glob_check(glob, err))
		return error_add(err, "the glob");
	while (str_next(&actions, ',', &action)) {
		if (!check_choice(ENTITY_ACTIONS, action, err))
			return false;
		any = true;
	}
	return any || invalid(err, "a scope needs an action after the last ':'");
}

bool check_role(struct str text, struct error *err)
{
	struct str group = text;

	if (str_is(text, "admin") || str_is(text, "reader") ||
		(str_skip(&group, "key-manager:") && group.len && group.len <= 255))
		return true;
	return error_set(err, ERROR_INVALID, NULL,
		"\"%.*s\" is not one of: admin, reader, key-manager:<group>",
		(int)(text.len < 60 ? text.len : 60), text.at);
}

/* ---- values ---- */

static bool check_utf8(struct str s, struct error *err)
{
	return str_is_utf8(s) || invalid(err, "not valid UTF-8");
}

static bool check_text(const struct field *field, const char *text, struct error *err)
{
	struct str s = str_of(text);

	if ((int64_t)s.len < field->min || (int64_t)s.len > field->max) {
		if (field->min == field->max)
			return error_set(err, ERROR_INVALID, NULL, "has %zu bytes, not %lld", s.len,
				(long long)field->min);
		return error_set(err, ERROR_INVALID, NULL, "has %zu bytes; allowed are %lld to %lld", s.len,
			(long long)field->min, (long long)field->max);
	}
	if (!check_utf8(s, err))
		return false;
	if (field->choices)
		return check_choice(field->choices, s, err);
	return !field->check || field->check(s, err);
}

static bool check_count(size_t len, struct error *err)
{
	return len <= ENTITY_ITEMS_MAX ||
	       error_set(err, ERROR_TOO_LARGE, NULL, "has %zu items; at most %d are allowed", len,
		       ENTITY_ITEMS_MAX);
}

static bool check_texts(const struct field *field, const struct texts *texts, struct error *err)
{
	if (!check_count(texts->len, err))
		return false;
	for (size_t i = 0; i < texts->len; i++) {
		if (!check_text(field, texts->at[i], err))
			return error_add(err, "[%zu]", i);
	}
	return true;
}

static bool check_pairs(const struct field *field, const struct pairs *pairs, struct error *err)
{
	static const struct field key_field = { .min = 1, .max = 255 };

	if (!check_count(pairs->len, err))
		return false;
	for (size_t i = 0; i < pairs->len; i++) {
		if (!check_text(&key_field, pairs->at[i].key, err))
			return error_add(err, "a key");
		if (!check_text(field, pairs->at[i].value, err))
			return error_add(err, "\"%.60s\"", pairs->at[i].key);
	}
	return true;
}

static bool check_number(const struct field *field, int64_t number, struct error *err)
{
	if (number >= field->min && number <= field->max)
		return true;
	return error_set(err, ERROR_INVALID, NULL, "%lld is out of bounds; allowed are %lld to %lld",
		(long long)number, (long long)field->min, (long long)field->max);
}

static bool check_table(const struct table *table, const void *body, struct error *err);

static bool check_rows(const struct field *field, const void *body, struct error *err)
{
	size_t len = field_rows_len(field, body);

	if (!check_count(len, err))
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!check_table(field->rows, field_row(field, body, i), err))
			return error_add(err, "[%zu]", i);
	}
	return true;
}

static bool check_field(const struct field *field, const void *body, struct error *err)
{
	switch (field->type) {
	case FIELD_TEXT:
		if (!*field_text(field, body) && (field->flags & FIELD_REQUIRED))
			return invalid(err, "is required");
		if (!*field_text(field, body) && !field->min)
			return true;
		return check_text(field, field_text(field, body), err);
	case FIELD_TEXTS:
		return check_texts(field, field_texts(field, body), err);
	case FIELD_PAIRS:
		return check_pairs(field, field_pairs(field, body), err);
	case FIELD_NUMBER:
	case FIELD_TIME:
		return check_number(field, field_number(field, body), err);
	case FIELD_ROWS:
		return check_rows(field, body, err);
	case FIELD_BOOL:
	case FIELD_PASSWORD:
	case FIELD_SECRET:
		return true;
	}
	return true;
}

static bool check_table(const struct table *table, const void *body, struct error *err)
{
	for (size_t i = 0; i < table->len; i++) {
		if (!check_field(&table->fields[i], body, err))
			return error_add(err, "%s", table->fields[i].name);
	}
	return true;
}

/* ---- what one field cannot say ---- */

static bool check_settings(const void *body, struct error *err)
{
	const struct cluster_settings *settings = body;

	if (settings->push_every_ms < settings->lease_ms)
		return true;
	return error_set(err, ERROR_INVALID, NULL, "pushEveryMs: %lld must be less than leaseMs, %lld",
		(long long)settings->push_every_ms, (long long)settings->lease_ms);
}

/* It is compared as a whole. */
static bool check_apikey(const void *body, struct error *err)
{
	size_t len = strlen(((const struct apikey *)body)->secret_hash_before);

	return !len || len == 64 ||
	       error_set(err, ERROR_INVALID, NULL, "secretHashBefore: has %zu bytes, not 64", len);
}

static int by_id(const void *a, const void *b)
{
	const struct ring_row *const *x = a;
	const struct ring_row *const *y = b;

	return strcmp((*x)->id, (*y)->id);
}

static bool check_ring(const void *body, struct error *err)
{
	const struct ring_body *ring = body;
	const struct ring_row *sorted[ENTITY_ITEMS_MAX];

	for (size_t i = 0; i < ring->members_len; i++)
		sorted[i] = &ring->members[i];
	qsort(sorted, ring->members_len, sizeof(sorted[0]), by_id);
	for (size_t i = 1; i < ring->members_len; i++) {
		if (!by_id(&sorted[i - 1], &sorted[i]))
			return error_set(err, ERROR_INVALID, NULL, "members: \"%.100s\" is there twice",
				sorted[i]->id);
	}
	return true;
}

/* ---- ids ---- */

static bool check_apikey_id(struct str id, struct error *err)
{
	return (id.len >= 8 && id.len <= 128 && only_of(id, ALNUM "_-")) ||
	       invalid(err, "a client id has 8 to 128 of A-Z a-z 0-9 _ -");
}

static bool check_pattern_id(struct str id, struct error *err)
{
	return glob_check(id, err) || error_add(err, "the id is a glob over repositories");
}

static bool check_settings_id(struct str id, struct error *err)
{
	return str_is(id, "cluster") || invalid(err, "the id of settings is \"cluster\"");
}

static bool check_ring_id(struct str id, struct error *err)
{
	return str_is(id, "ring") || invalid(err, "the id of the ring is \"ring\"");
}

static bool check_group_id(struct str id, struct error *err)
{
	for (size_t i = 0; i < id.len; i++)
		if ((unsigned char)id.at[i] < ' ' || id.at[i] == 0x7f)
			return invalid(err, "a group's name has no control characters");
	return true;
}

static bool check_admin_policy_id(struct str id, struct error *err)
{
	return str_is(id, "admin") || invalid(err, "the id of the admin policy is \"admin\"");
}

static bool check_worker_id(struct str id, struct error *err)
{
	return only_of(id, ALNUM "._@-") ||
	       invalid(err, "a worker's name has 1 to 255 of A-Z a-z 0-9 . _ @ -");
}

static bool check_sessionkey_id(struct str id, struct error *err)
{
	return str_is(id, "session") || invalid(err, "the id of the sessions' key is \"session\"");
}

/* A member's name is what its worker says. */
static bool check_drain_id(struct str id, struct error *err)
{
	return id.len <= ENTITY_ID_MAX || invalid(err, "a member's name has 1 to 255 bytes");
}

/* ---- the whole ---- */

static const struct {
	field_check_f *check_id;
	bool (*check)(const void *body, struct error *err); /* or NULL */
} kinds[ENTITY_KINDS] = {
#define KIND(constant, name, plural, noun, flags, check_id, check) { check_id, check },
#include "proto/entity_kinds.def"
#undef KIND
};

bool entity_check_body(enum entity_kind kind, const void *body, struct error *err)
{
	return check_table(entity_table(kind), body, err) &&
	       (!kinds[kind].check || kinds[kind].check(body, err));
}

bool entity_check_id(enum entity_kind kind, struct str id, struct error *err)
{
	if (!id.len || id.len > ENTITY_ID_MAX)
		return error_set(err, ERROR_INVALID, NULL, "the id has %zu bytes; allowed are 1 to %d",
			id.len, ENTITY_ID_MAX);
	if (memchr(id.at, '\0', id.len) || !check_utf8(id, NULL))
		return invalid(err, "the id is not valid UTF-8");
	return kinds[kind].check_id(id, err);
}
