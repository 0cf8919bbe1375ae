/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/user_prefs.h"

#include <stdlib.h>
#include <string.h>

#include "common/check.h"

static const struct {
	enum entity_kind kind;
	const char *action, *what;
} kinds[] = {
	{ ENTITY_STAR, "toggleStar", "starred" },
	{ ENTITY_BOOKMARK, "toggleBookmark", "bookmarked" },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static const char *what_of(enum entity_kind kind)
{
	return kinds[kind == ENTITY_BOOKMARK].what;
}

bool prefs_is_kind(enum entity_kind kind)
{
	return kind == ENTITY_STAR || kind == ENTITY_BOOKMARK;
}

bool prefs_parse_action(struct str action, enum entity_kind *ret)
{
	for (size_t i = 0; i < KINDS; i++)
		if (str_is(action, kinds[i].action)) {
			*ret = kinds[i].kind;
			return true;
		}
	return false;
}

const char *prefs_action(enum entity_kind kind)
{
	CHECK(prefs_is_kind(kind));
	return kinds[kind == ENTITY_BOOKMARK].action;
}

/* Looking. */

static const struct user_prefs *body_of(const struct entity *list)
{
	if (!list || entity_is_deleted(list))
		return NULL;
	return entity_kind(list) == ENTITY_STAR ? entity_star(list) : entity_bookmark(list);
}

const struct texts *prefs_repositories(const struct entity *list)
{
	static const struct texts none;
	const struct user_prefs *body = body_of(list);

	return body ? &body->repositories : &none;
}

/* The first place whose text is not before this one. */
static size_t place_of(const struct texts *texts, struct str text)
{
	size_t low = 0, high = texts->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (str_compare(str_of(texts->at[middle]), text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool prefs_contain(const struct entity *list, struct str repository)
{
	const struct texts *texts = prefs_repositories(list);
	size_t at = place_of(texts, repository);

	return at < texts->len && str_is(repository, texts->at[at]);
}

/* Changing. */

static bool check_room(
	const struct texts *texts, const struct prefs_toggle *toggle, size_t bytes, struct error *err)
{
	if (!toggle->there)
		return error_set(err, ERROR_UNKNOWN, "NAME_UNKNOWN", "there is no such repository");
	if (texts->len >= PREFS_MOST)
		return error_set(err, ERROR_CONFLICT, NULL,
			"this user has %s %u repositories, which is the most", what_of(toggle->kind),
			PREFS_MOST);
	return bytes + toggle->repository.len <= PREFS_BYTES_MAX ||
	       error_set(err, ERROR_CONFLICT, NULL,
		       "the names of all repositories that this user has %s take over %u bytes together",
		       what_of(toggle->kind), PREFS_BYTES_MAX);
}

static size_t bytes_of(const struct texts *texts)
{
	size_t bytes = 0;

	for (size_t i = 0; i < texts->len; i++)
		bytes += strlen(texts->at[i]);
	return bytes;
}

/* With it, or without. */
static struct texts toggled(const struct texts *texts, const char *repository, size_t at, bool on)
{
	struct texts into = { xnew_array(const char *, texts->len + 1), 0 };

	for (size_t i = 0; i < texts->len; i++) {
		if (i == at && on)
			into.at[into.len++] = repository;
		if (i != at || on)
			into.at[into.len++] = texts->at[i];
	}
	if (on && at == texts->len)
		into.at[into.len++] = repository;
	return into;
}

static struct entity *make(
	const struct user_prefs *before, const struct prefs_toggle *toggle, const char *call, bool on)
{
	const char *calls[PREFS_CALLS] = { call };
	AUTO_STR *name = str_dup(toggle->repository);
	struct user_prefs after = { .repositories = toggled(&before->repositories, name,
					    place_of(&before->repositories, toggle->repository), on),
		.calls = { calls, 1 } };
	struct entity *made;

	for (size_t i = 0; i < before->calls.len && after.calls.len < PREFS_CALLS; i++)
		calls[after.calls.len++] = before->calls.at[i];
	made = entity_new(toggle->kind, toggle->user, 0, &after);
	free(after.repositories.at);
	return made;
}

bool prefs_toggle(const struct entity *now, const struct prefs_toggle *toggle, struct entity **ret_made,
	bool *ret_on, struct error *err)
{
	static const struct user_prefs none;
	const struct user_prefs *body = body_of(now);
	bool on = !prefs_contain(now, toggle->repository);
	char call[2 * PREFS_CALL_BYTES + 1];

	CHECK(prefs_is_kind(toggle->kind));
	body = body ? body : &none;
	str_hex(toggle->call, sizeof(toggle->call), call);
	if (texts_have(&body->calls, str_of(call))) {
		*ret_made = NULL;
		*ret_on = !on;
		return true;
	}
	if (on && !check_room(&body->repositories, toggle, bytes_of(&body->repositories), err))
		return false;
	*ret_made = make(body, toggle, call, on);
	*ret_on = on;
	return true;
}

bool prefs_check(const void *body, struct error *err)
{
	const struct user_prefs *prefs = body;
	const struct texts *names = &prefs->repositories;

	if (names->len > PREFS_MOST || bytes_of(names) > PREFS_BYTES_MAX)
		return error_set(err, ERROR_TOO_LARGE, NULL,
			"repositories: %zu, with %zu bytes of names; at most %u with %u bytes are allowed",
			names->len, bytes_of(names), PREFS_MOST, PREFS_BYTES_MAX);
	if (prefs->calls.len > PREFS_CALLS)
		return error_set(err, ERROR_TOO_LARGE, NULL, "calls: %zu; at most %u are allowed",
			prefs->calls.len, PREFS_CALLS);
	for (size_t i = 1; i < names->len; i++)
		if (strcmp(names->at[i - 1], names->at[i]) >= 0)
			return error_set(err, ERROR_INVALID, NULL,
				"repositories: \"%.100s\" is there twice, or not in the order of bytes",
				names->at[i]);
	return true;
}
