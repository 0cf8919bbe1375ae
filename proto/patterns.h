/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patterns - globs over repositories, each with a value, and the rule of which one decides.
 *
 * Among all patterns that match a name the longest one decides alone: byte length, ties to the smaller text; a pattern without a
 * wildcard goes before others of its length. So it is for policies, and for what a repository may hold.
 *
 * Few that differ from very many: patterns_over() has those of another one, but for what is put into it or taken out of it.
 *
 * Life    made, filled by patterns_put(), settled once; from then on nobody changes it. Texts are copied, values are the caller's.
 * Thread  any, once settled.
 */
#pragma once

#include <stdbool.h>

#include "common/cleanup.h"
#include "common/str.h"

struct patterns;
struct patterns *patterns_new(void);
struct patterns *patterns_ref(struct patterns *patterns); /* once settled */
/* Over a settled one, which it keeps, and which is over none itself. Each question looks at both. */
struct patterns *patterns_over(struct patterns *base);
void patterns_free(struct patterns *patterns); /* drops a reference; values are the caller's affair; NULL is fine */
AUTO_DEFINE(patterns)
/* Returns the value that the same pattern had, or NULL. value is not NULL. */
void *patterns_put(struct patterns *patterns, struct str pattern, void *value);
void  patterns_take_out(struct patterns *patterns, struct str pattern); /* that the one below may have */
void  patterns_settle(struct patterns *patterns); /* after the last one, before the first question */

void *patterns_find(const struct patterns *patterns, struct str name); /* the value that decides, or NULL */
/* Each value whose pattern matches: one without a wildcard first, then the longest. */
typedef void patterns_match_f(void *arg, void *value);
void  patterns_each_match(const struct patterns *patterns, struct str name, patterns_match_f *fn, void *arg);
/* All values that were put into it, in no order: for (size_t at = 0; patterns_next(patterns, &at, &value);) ... Also before it is settled. */
bool  patterns_next(const struct patterns *patterns, size_t *at, void **ret_value);
