/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/limits.h"

#include <stdio.h>
#include <string.h>

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

static const struct {
	const char *prefix;
	enum entity_kind kind;
} subjects[LIMITS_WHO] = {
	[LIMITS_OF_KEY] = { "", ENTITY_APIKEY },
	[LIMITS_OF_USER] = { "user:", ENTITY_USER },
	[LIMITS_OF_GROUP] = { "group:", ENTITY_GROUP },
};

enum limits_who limits_who(const char *subject)
{
	for (unsigned i = LIMITS_OF_USER; i < LIMITS_WHO; i++)
		if (str_starts(str_of(subject), subjects[i].prefix))
			return (enum limits_who)i;
	return LIMITS_OF_KEY;
}

static bool take(uint64_t into[LIMITS_KINDS], int64_t second, int64_t day, int64_t month, int64_t bytes)
{
	const int64_t quotas[LIMITS_KINDS] = {
		[LIMITS_SECOND] = second, [LIMITS_DAY] = day, [LIMITS_MONTH] = month, [LIMITS_BYTES] = bytes
	};
	bool any = false;

	for (unsigned i = 0; i < LIMITS_KINDS; i++) {
		into[i] = quotas[i] > 0 ? (uint64_t)quotas[i] : 0;
		any |= into[i] > 0;
	}
	return any;
}

#define TAKE_OF(into, body)                                                                                  \
	take((into), (body)->throttling_quota, (body)->daily_quota, (body)->monthly_quota,                   \
		(body)->monthly_bytes)

static bool numbers_of(const struct entity *entity, uint64_t into[LIMITS_KINDS], enum limits_who *ret_who)
{
	if (entity_kind(entity) == ENTITY_USER) {
		*ret_who = LIMITS_OF_USER;
		return TAKE_OF(into, entity_user(entity));
	}
	if (entity_kind(entity) == ENTITY_GROUP) {
		*ret_who = LIMITS_OF_GROUP;
		return TAKE_OF(into, entity_group(entity));
	}
	*ret_who = LIMITS_OF_KEY;
	return TAKE_OF(into, entity_apikey(entity));
}

bool limits_of(const struct entity *entity, struct limits *ret)
{
	enum limits_who who;

	if (!numbers_of(entity, ret->of, &who))
		return false;
	(void)snprintf(ret->subject, sizeof(ret->subject), "%s%.*s", subjects[who].prefix,
		STR_ARGS(entity_id(entity)));
	return true;
}

bool limits_has_any(const struct entity *entity)
{
	uint64_t of[LIMITS_KINDS];
	enum limits_who who;

	return numbers_of(entity, of, &who);
}

static struct entity *find(const struct state *state, const char *subject)
{
	enum limits_who who = limits_who(subject);
	struct str name = str_of(subject);

	(void)!str_skip(&name, subjects[who].prefix);
	return state_find(state, subjects[who].kind, name);
}

uint64_t limits_get(const struct state *state, const char *subject, enum limits_kind kind)
{
	const struct entity *entity = find(state, subject);
	uint64_t of[LIMITS_KINDS];
	enum limits_who who;

	return entity && numbers_of(entity, of, &who) ? of[kind] : 0;
}

bool limits_subject_exists(const struct state *state, const char *subject)
{
	return find(state, subject) != NULL;
}
