/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regexp - the program of a pattern, run for all ways at once.
 */
#include "proto/regexp_priv.h"

#include <stdlib.h>
#include <string.h>

void regexp_free(struct regexp *regexp)
{
	free(regexp);
}

/* ---- matching ---- */

/* The steps at which the ways stand, each once. */
struct ways {
	size_t len;
	uint16_t at[REGEXP_STEPS_MAX];
	uint64_t there[(REGEXP_STEPS_MAX + 64) / 64];
};

struct matching {
	const struct regexp *regexp;
	struct str text;
	size_t at;
	bool found;
	struct ways ways[2];
};

static bool is_word(const struct matching *m, size_t at)
{
	unsigned char c = at < m->text.len ? (unsigned char)m->text.at[at] : 0;

	return (c >= '0' && c <= '9') || c == '_' || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool holds(const struct matching *m, enum step_kind kind)
{
	bool begin = !m->at, end = m->at == m->text.len;
	bool edge = is_word(m, m->at) != (m->at && is_word(m, m->at - 1));

	switch (kind) {
	case STEP_BEGIN:
		return begin;
	case STEP_END:
		return end;
	case STEP_LINE_BEGIN:
		return begin || m->text.at[m->at - 1] == '\n';
	case STEP_LINE_END:
		return end || m->text.at[m->at] == '\n';
	case STEP_WORD:
		return edge;
	case STEP_NO_WORD:
		return !edge;
	case STEP_SET:
	case STEP_FORK:
	case STEP_JUMP:
		break;
	}
	return false;
}

static void enter(struct matching *m, struct ways *ways, size_t step)
{
	if (step == m->regexp->steps_len)
		m->found = true;
	else if (!(ways->there[step / 64] >> step % 64 & 1)) {
		ways->there[step / 64] |= UINT64_C(1) << step % 64;
		ways->at[ways->len++] = (uint16_t)step;
	}
}

/* What stands at a step that takes no byte goes on, until all wait for one. */
static void settle(struct matching *m, struct ways *ways)
{
	for (size_t i = 0; i < ways->len && !m->found; i++) {
		const struct regexp_step *step = &m->regexp->steps[ways->at[i]];
		size_t at = ways->at[i];

		if (step->kind == STEP_FORK || step->kind == STEP_JUMP)
			enter(m, ways, at + (size_t)step->to);
		if (step->kind == STEP_FORK)
			enter(m, ways, at + (size_t)step->also);
		else if (step->kind > STEP_JUMP && holds(m, step->kind))
			enter(m, ways, at + 1);
	}
}

static void take_byte(struct matching *m, const struct ways *from, struct ways *into)
{
	unsigned char c = (unsigned char)m->text.at[m->at];

	into->len = 0;
	memset(into->there, 0, sizeof(into->there));
	for (size_t i = 0; i < from->len; i++) {
		const struct regexp_step *step = &m->regexp->steps[from->at[i]];

		if (step->kind == STEP_SET && regexp_set_has(&m->regexp->sets[step->to], c))
			enter(m, into, from->at[i] + 1u);
	}
}

bool regexp_match(const struct regexp *regexp, struct str text)
{
	struct matching m;

	m.regexp = regexp;
	m.text = text;
	m.found = false;
	m.ways[0].len = 0;
	memset(m.ways[0].there, 0, sizeof(m.ways[0].there));
	for (m.at = 0;; m.at++) {
		struct ways *ways = &m.ways[m.at % 2];

		enter(&m, ways, 0); /* a match may begin anywhere */
		settle(&m, ways);
		if (m.found || m.at == text.len)
			return m.found;
		take_byte(&m, ways, &m.ways[(m.at + 1) % 2]);
	}
}
