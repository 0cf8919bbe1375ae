/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>

#include "common/check.h"
#include "common/clock.h"

#define DAY_S      INT64_C(86400)
#define MONTH_LEN  7
#define BYTES_MARK "#bytes"

/* Windows. */

void limits_window(enum limits_kind kind, int64_t now_s, char into[LIMITS_WINDOW_SIZE])
{
	char day[11];

	clock_day(now_s, day);
	switch (kind) {
	case LIMITS_SECOND:
		(void)snprintf(into, LIMITS_WINDOW_SIZE, "second");
		return;
	case LIMITS_DAY:
		(void)snprintf(into, LIMITS_WINDOW_SIZE, "%s", day);
		return;
	case LIMITS_MONTH:
		(void)snprintf(into, LIMITS_WINDOW_SIZE, "%.*s", MONTH_LEN, day);
		return;
	case LIMITS_BYTES:
		(void)snprintf(into, LIMITS_WINDOW_SIZE, "%.*s" BYTES_MARK, MONTH_LEN, day);
		return;
	}
}

static bool has_form(struct str text, const char *form)
{
	if (text.len != strlen(form))
		return false;
	for (size_t i = 0; i < text.len; i++)
		if (form[i] == 'N' ? text.at[i] < '0' || text.at[i] > '9' : text.at[i] != form[i])
			return false;
	return true;
}

bool limits_window_parse(struct str text, enum limits_kind *ret)
{
	static const char *const forms[LIMITS_KINDS] = {
		[LIMITS_SECOND] = "second",
		[LIMITS_DAY] = "NNNN-NN-NN",
		[LIMITS_MONTH] = "NNNN-NN",
		[LIMITS_BYTES] = "NNNN-NN" BYTES_MARK,
	};

	for (size_t i = 0; i < LIMITS_KINDS; i++) {
		if (!has_form(text, forms[i]))
			continue;
		*ret = (enum limits_kind)i;
		return true;
	}
	return false;
}

bool limits_window_is_near(const char *window, int64_t now_s, int64_t days)
{
	char first[11], last[11];
	enum limits_kind kind;
	size_t len;

	if (!limits_window_parse(str_of(window), &kind))
		return false;
	if (kind == LIMITS_SECOND)
		return true;
	len = kind == LIMITS_DAY ? sizeof(first) - 1 : MONTH_LEN;
	clock_day(now_s - days * DAY_S, first);
	clock_day(now_s + days * DAY_S, last);
	return strncmp(window, first, len) >= 0 && strncmp(window, last, len) <= 0;
}

bool limits_window_is_since(const char *window, const char *day)
{
	enum limits_kind kind;

	if (!limits_window_parse(str_of(window), &kind) || kind == LIMITS_SECOND)
		return true;
	return strncmp(window, day, kind == LIMITS_DAY ? strlen(day) : MONTH_LEN) >= 0;
}

/* At most 31 days are tried. */
static int64_t next_month_s(int64_t now_s)
{
	char day[11];

	do {
		now_s = clock_next_day_s(now_s);
		clock_day(now_s, day);
	} while (strcmp(day + MONTH_LEN, "-01") != 0);
	return now_s;
}

int64_t limits_window_end_s(enum limits_kind kind, int64_t now_s)
{
	switch (kind) {
	case LIMITS_SECOND:
		return now_s + 1;
	case LIMITS_DAY:
		return clock_next_day_s(now_s);
	case LIMITS_MONTH:
	case LIMITS_BYTES:
		break;
	}
	return next_month_s(now_s);
}

/* Subjects. */

void limits_subject_of_user(struct str name, struct buf *into)
{
	buf_format(into, LIMITS_USER "%.*s", STR_ARGS(name));
	CHECK(!into->failed);
}

static uint64_t not_negative(int64_t quota)
{
	return quota > 0 ? (uint64_t)quota : 0;
}

uint64_t limits_of_key(const struct apikey *key, enum limits_kind kind)
{
	const int64_t quotas[LIMITS_KINDS] = { [LIMITS_SECOND] = key->throttling_quota,
		[LIMITS_DAY] = key->daily_quota,
		[LIMITS_MONTH] = key->monthly_quota,
		[LIMITS_BYTES] = key->monthly_bytes };

	return not_negative(quotas[kind]);
}

uint64_t limits_of_user(const struct user *user, enum limits_kind kind)
{
	const int64_t quotas[LIMITS_KINDS] = { [LIMITS_SECOND] = user->throttling_quota,
		[LIMITS_DAY] = user->daily_quota,
		[LIMITS_MONTH] = user->monthly_quota,
		[LIMITS_BYTES] = user->monthly_bytes };

	return not_negative(quotas[kind]);
}

bool limits_has_any(const struct user *user)
{
	return user->throttling_quota > 0 || user->daily_quota > 0 || user->monthly_quota > 0 ||
	       user->monthly_bytes > 0;
}

static struct entity *find(const struct state *state, const char *subject)
{
	struct str name = str_of(subject);

	if (str_skip(&name, LIMITS_USER))
		return state_find(state, ENTITY_USER, name);
	return state_find(state, ENTITY_APIKEY, name);
}

uint64_t limits_get(const struct state *state, const char *subject, enum limits_kind kind)
{
	const struct entity *entity = find(state, subject);

	if (!entity)
		return 0;
	return entity_kind(entity) == ENTITY_USER ? limits_of_user(entity_user(entity), kind)
						  : limits_of_key(entity_apikey(entity), kind);
}

bool limits_subject_exists(const struct state *state, const char *subject)
{
	return find(state, subject) != NULL;
}
