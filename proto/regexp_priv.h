/* SPDX-License-Identifier: Apache-2.0 */
/*
 * regexp_priv - the program that a pattern becomes, for who makes it and who runs it.
 *
 * The program of a part is a run of steps that ends behind its last one, and its jumps are relative: so parts are put one behind
 * the other, moved and copied as they are.
 *
 *     ab      a b                         a*      FORK +1 +3, a, JUMP -2
 *     a|b     FORK +1 +3, a, JUMP +2, b   a?      FORK +1 +2, a
 */
#pragma once

#include "proto/regexp.h"

enum step_kind {
	STEP_SET,
	STEP_FORK,
	STEP_JUMP,
	STEP_BEGIN,
	STEP_END,
	STEP_LINE_BEGIN,
	STEP_LINE_END,
	STEP_WORD,
	STEP_NO_WORD
};

struct regexp_step {
	enum step_kind kind;
	int to, also; /* FORK, JUMP: relative; SET: to is the place of its set */
};

struct regexp_set {
	uint64_t bits[4];
};

struct regexp {
	size_t steps_len;
	struct regexp_step *steps; /* behind the sets */
	struct regexp_set sets[];
};

static inline bool regexp_set_has(const struct regexp_set *set, unsigned char c)
{
	return set->bits[c / 64] >> c % 64 & 1;
}
