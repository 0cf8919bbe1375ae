/* SPDX-License-Identifier: Apache-2.0 */
/*
 * glob - a nondeterministic automaton whose states are places in the pattern, each in one of some modes.
 *
 *   PLAIN   the text goes on as the pattern does from here
 *   START   the same, at the start of a component: here ** has its own meaning
 *   LOOP    at the start of a component, inside of ** : it may end, or take this component
 *   INSIDE  inside a component that ** takes
 *   AFTER   behind a ** that may end here: at '/' or at the end of the pattern
 *   TAIL    behind a '/' where the text has ended: only ** may follow
 *   LAST    behind the ** of TAIL
 *
 * Only PLAIN, LOOP and INSIDE take characters; the others are left as soon as they are entered. A
 * place in a mode is entered once for each character, which bounds the work.
 */
#include "proto/glob.h"

enum mode { PLAIN, START, LOOP, INSIDE, AFTER, TAIL, LAST };
#define MODES  7
#define PLACES (GLOB_MAX + 1)

struct pattern {
	struct str text;
	bool is_alternative[PLACES]; /* '{' ',' '}' with that meaning, not as plain characters */
	uint8_t next[PLACES];        /* of '{' and ',': the next ',' or '}' of the same group */
	uint8_t last[PLACES];        /* of '{' ',' and '}': the '}' of the group; of '[': its ']' */
};

struct states {
	uint64_t bits[MODES][PLACES / 64];
	bool matched; /* whatever follows */
};

/* Reading the pattern. */

/* The place of the ']' that ends the class at `at`, or 0. */
static size_t class_end(struct str text, size_t at)
{
	at++;
	if (at < text.len && (text.at[at] == '^' || text.at[at] == '!'))
		at++;
	if (at >= text.len || text.at[at] == ']')
		return 0;
	for (; at < text.len; at++) {
		if (text.at[at] == '\\')
			at++;
		else if (text.at[at] == ']')
			return at;
	}
	return 0;
}

struct group {
	uint8_t first, newest; /* places of '{', and of its last ',' or '{' so far */
};

static void close_group(struct pattern *pattern, struct group group, size_t at)
{
	pattern->is_alternative[at] = true;
	pattern->next[group.newest] = (uint8_t)at;
	pattern->last[at] = (uint8_t)at;
	for (size_t i = group.first; i < at; i = pattern->next[i])
		pattern->last[i] = (uint8_t)at;
}

static void open_alternative(struct pattern *pattern, struct group *group, size_t at)
{
	pattern->is_alternative[at] = true;
	pattern->next[group->newest] = (uint8_t)at;
	group->newest = (uint8_t)at;
}

/* NULL when the pattern is good, else what is wrong. */
static const char *pattern_read(struct str text, struct pattern *ret)
{
	struct group groups[GLOB_MAX];
	size_t depth = 0;

	if (text.len == 0 || text.len > GLOB_MAX)
		return "is not 1 to 255 bytes long";
	*ret = (struct pattern){ .text = text };
	for (size_t at = 0; at < text.len; at++) {
		char c = text.at[at];

		if (c == '\\' && ++at == text.len)
			return "ends with a backslash";
		if (c == '[') {
			size_t end = class_end(text, at);

			if (end == 0)
				return "has a [ without its ], or an empty class";
			ret->last[at] = (uint8_t)end;
			at = end;
		} else if (c == '{') {
			ret->is_alternative[at] = true;
			groups[depth++] = (struct group){ (uint8_t)at, (uint8_t)at };
		} else if (c == ',' && depth) {
			open_alternative(ret, &groups[depth - 1], at);
		} else if (c == '}') {
			if (depth == 0)
				return "has a } without its {";
			close_group(ret, groups[--depth], at);
		}
	}
	return depth ? "has a { without its }" : NULL;
}

bool glob_check(struct str pattern, struct error *err)
{
	struct pattern read;
	const char *wrong = pattern_read(pattern, &read);

	return !wrong ||
	       error_set(err, ERROR_INVALID, NULL, "the pattern \"%.*s\" %s",
		       (int)(pattern.len < 60 ? pattern.len : 60), pattern.at ? pattern.at : "", wrong);
}

/* One character of a class, with its backslash gone. */
static uint8_t class_char(struct str text, size_t *at)
{
	if (text.at[*at] == '\\')
		++*at;
	return (uint8_t)text.at[(*at)++];
}

static bool class_has(const struct pattern *pattern, size_t at, uint8_t c)
{
	struct str text = pattern->text;
	size_t end = pattern->last[at];
	bool negated = text.at[at + 1] == '^' || text.at[at + 1] == '!';
	bool found = false;

	for (at += negated ? 2 : 1; at < end;) {
		uint8_t low = class_char(text, &at);
		uint8_t high = low;

		if (at + 1 < end && text.at[at] == '-') {
			at++;
			high = class_char(text, &at);
		}
		found |= low <= c && c <= high;
	}
	return found != negated;
}

/* Running it. */

static bool has(const struct states *states, enum mode mode, size_t at)
{
	return states->bits[mode][at / 64] >> (at % 64) & 1;
}

static bool is_char(const struct pattern *pattern, size_t at, char c)
{
	return at < pattern->text.len && pattern->text.at[at] == c;
}

static void enter(const struct pattern *pattern, struct states *states, enum mode mode, size_t at);

/* At a character or at the end of the pattern, not at a part of {,}. */
static void enter_plainly(const struct pattern *pattern, struct states *states, enum mode mode, size_t at)
{
	bool at_end = at == pattern->text.len;
	bool at_slash = is_char(pattern, at, '/');
	bool at_stars = is_char(pattern, at, '*') && is_char(pattern, at + 1, '*');

	switch (mode) {
	case PLAIN:
		if (is_char(pattern, at, '*'))
			enter(pattern, states, PLAIN, at + 1);
		break;
	case START:
		enter(pattern, states, PLAIN, at);
		if (at_stars)
			enter(pattern, states, LOOP, at);
		break;
	case LOOP:
		enter(pattern, states, AFTER, at + 2);
		break;
	case AFTER:
		states->matched |= at_end;
		if (at_slash)
			enter(pattern, states, START, at + 1);
		break;
	case TAIL:
		if (at_stars)
			enter(pattern, states, LAST, at + 2);
		break;
	case LAST:
		states->matched |= at_end;
		if (at_slash)
			enter(pattern, states, TAIL, at + 1);
		break;
	case INSIDE:
		break;
	}
}

static void enter(const struct pattern *pattern, struct states *states, enum mode mode, size_t at)
{
	if (has(states, mode, at))
		return;
	states->bits[mode][at / 64] |= (uint64_t)1 << (at % 64);
	if (!pattern->is_alternative[at]) {
		enter_plainly(pattern, states, mode, at);
	} else if (pattern->text.at[at] == '{') {
		for (size_t i = at; i < pattern->last[at]; i = pattern->next[i])
			enter(pattern, states, mode, i + 1);
	} else {
		enter(pattern, states, mode, pattern->last[at] + 1u);
	}
}

/* A state PLAIN at `at` takes c. */
static void take(const struct pattern *pattern, size_t at, char c, struct states *into)
{
	char wanted = at < pattern->text.len ? pattern->text.at[at] : '\0';

	if (at == pattern->text.len || pattern->is_alternative[at])
		return;
	if (wanted == '*' || wanted == '?') {
		if (c != '/')
			enter(pattern, into, PLAIN, wanted == '*' ? at : at + 1);
	} else if (wanted == '[') {
		if (class_has(pattern, at, (uint8_t)c))
			enter(pattern, into, PLAIN, pattern->last[at] + 1u);
	} else {
		if (wanted == '\\')
			wanted = pattern->text.at[++at];
		if (wanted == c)
			enter(pattern, into, c == '/' ? START : PLAIN, at + 1);
	}
}

static void step(const struct pattern *pattern, const struct states *from, char c, struct states *into)
{
	*into = (struct states){ 0 };
	for (size_t at = 0; at <= pattern->text.len; at++) {
		if (has(from, PLAIN, at))
			take(pattern, at, c, into);
		if (has(from, LOOP, at) || has(from, INSIDE, at))
			enter(pattern, into, c == '/' ? LOOP : INSIDE, at);
	}
}

/* The text has ended: at the end of the pattern, or only "/" and ** are left. */
static bool is_end(const struct pattern *pattern, struct states *states)
{
	if (has(states, PLAIN, pattern->text.len))
		return true;
	for (size_t at = 0; at < pattern->text.len; at++) {
		if (has(states, PLAIN, at) && !pattern->is_alternative[at] && is_char(pattern, at, '/'))
			enter(pattern, states, TAIL, at + 1);
	}
	return states->matched;
}

bool glob_match(struct str pattern, struct str text)
{
	struct pattern read;
	struct states now = { 0 };
	struct states next;

	if (pattern_read(pattern, &read))
		return false;
	enter(&read, &now, START, 0);
	for (size_t i = 0; i < text.len && !now.matched; i++) {
		step(&read, &now, text.at[i], &next);
		now = next;
	}
	return now.matched || is_end(&read, &now);
}
