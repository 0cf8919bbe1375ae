/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - what was used, by key and by repository, until a leader has it; and daily quotas.
 *
 * Counting is done on the loop that served the request, into its own tables, without a lock; the
 * push collects them by a post. What no leader has acknowledged lies in a journal on disk and is
 * sent again after a restart, under the boot that counted it: exactly once.
 *
 * Admission: a call of a key with a daily quota is admitted only out of a grant (proto/usage.h).
 *   ADMIT   go on
 *   WAIT    no grant at hand: resume(arg) runs on `loop`, once and in any case, when an answer came or
 *           the wait is over; ask again then. `arg` must live until it has run, client or no client.
 *   REFUSE  the quota is used up (or no leader answers and the grant is used up): 429, with ms until it may work again
 * Thread  each call says.
 */
#pragma once

#include <stdint.h>

#include "proto/entity.h"

struct loop;
struct usage;

enum admission { ADMIT, WAIT, REFUSE };
struct admission_info { uint64_t limit, remaining; int64_t reset_s; int64_t retry_after_s; };
/* Thread  a loop. `waited`: this call waited already once; then the answer is ADMIT or REFUSE. */
enum admission usage_admit(struct usage *usage, struct loop *loop, const struct entity *apikey, bool waited,
			   struct admission_info *ret_info, void (*resume)(void *arg), void *arg);

struct usage_event {
	const char *apikey;       /* client id, "" = none */
	struct str repository;    /* may be empty */
	bool pull, push;          /* a manifest was pulled / pushed */
	uint64_t bytes_in, bytes_out;
};
/* Thread  a loop: at the end of each client's request (not of peers'). */
void usage_count(struct usage *usage, struct loop *loop, const struct usage_event *event);
