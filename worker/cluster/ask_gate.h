/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask_gate - how much may be asked of all members (ask_all.h) at once, by one client and by all.
 *
 * One request that asks N members makes N times the work of another, so what is under way has a weight: for each member the bytes that its
 * answer may have, and at least ASK_WEIGHT_LEAST for the asking itself. A client has at most ASK_WEIGHT_EACH, but for one question that
 * alone is heavier; all have ASK_WEIGHT_ALL. Who comes beyond asks again later, and nothing was asked for it.
 * Thread  any.
 */
#pragma once

#include <stddef.h>

#include "common/cleanup.h"
#include "common/str.h"

#define ASK_WEIGHT_LEAST ((size_t)64 * 1024)
#define ASK_WEIGHT_EACH  ((size_t)32 * 1024 * 1024)
#define ASK_WEIGHT_ALL   ((size_t)256 * 1024 * 1024)

enum ask_entered { ASK_MAY, ASK_CLIENT_HAS_MANY, ASK_ALL_HAVE_MANY };

struct ask_gate;
struct ask_gate *ask_gate_new(void);
void ask_gate_free(struct ask_gate *gate);
AUTO_DEFINE(ask_gate)
size_t ask_weight(size_t members, size_t answer_max);
/* client: whoever is counted as one. MAY: ask_gate_leave() with the same, once, when all have answered. */
enum ask_entered ask_gate_enter(struct ask_gate *gate, struct str client, size_t weight) MUST_CHECK;
void ask_gate_leave(struct ask_gate *gate, struct str client, size_t weight);
