/* SPDX-License-Identifier: Apache-2.0 */
/*
 * limits - which quotas somebody has, and the windows of time that they are counted in.
 *
 * A subject has them: an API key ("<client id>"), a user ("user:<name>") or a group ("group:<name>"). Whoever makes a call is several subjects at once, and
 * each quota of each of them is counted on its own, by (subject, window). A window is a text:
 *
 *     LIMITS_SECOND   "second"          calls in each second; the row stands, it is of no time
 *     LIMITS_DAY      "2026-11-20"      calls of a UTC day
 *     LIMITS_MONTH    "2026-11"         calls of a UTC month
 *     LIMITS_BYTES    "2026-11#bytes"   bytes of bodies, in and out, of a UTC month
 *
 * Texts of one kind are in the order of time. A client id has no colon, so no key is taken for another subject.
 * Thread  any; pure.
 */
#pragma once

#include "proto/state.h"

enum limits_kind { LIMITS_SECOND, LIMITS_DAY, LIMITS_MONTH, LIMITS_BYTES };
#define LIMITS_KINDS 4
#define LIMITS_WINDOW_SIZE 14
#define LIMITS_SUBJECT_MAX (ENTITY_ID_MAX + 6) /* bytes */

/* The one of this moment, by the clock of a leader. */
void limits_window(enum limits_kind kind, int64_t now_s, char into[LIMITS_WINDOW_SIZE]);
bool limits_window_parse(struct str text, enum limits_kind *ret) MUST_CHECK;
/* Is it one of the day at now_s, or of those up to `days` before or after it? A month is where one of these days is in it. */
bool limits_window_is_near(const char *window, int64_t now_s, int64_t days);
/* Is it of this day or later, or is the day in it? */
bool limits_window_is_since(const char *window, const char *day);
/* When the next one begins. */
int64_t limits_window_end_s(enum limits_kind kind, int64_t now_s);

/* Whose it is. */
enum limits_who { LIMITS_OF_KEY, LIMITS_OF_USER, LIMITS_OF_GROUP };
#define LIMITS_WHO 3
enum limits_who limits_who(const char *subject);

/* A subject and what it may use in each kind of window; 0: there is no limit. */
struct limits {
	char subject[LIMITS_SUBJECT_MAX + 1];
	uint64_t of[LIMITS_KINDS];
};
/* Of a key, a user or a group. False: it has no quotas. */
bool limits_of(const struct entity *entity, struct limits *ret);
bool limits_has_any(const struct entity *entity);
/* 0: there is no limit, or no such subject. */
uint64_t limits_get(const struct state *state, const char *subject, enum limits_kind kind);
/* False: there is nobody of that name. */
bool limits_subject_exists(const struct state *state, const char *subject);
