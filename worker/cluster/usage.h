/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage - what was used, by key and by repository, until a leader has it; and daily quotas.
 *
 * Counting is done on the loop that served the request, into its own tables, without a lock; counts.c
 * collects them by a post. What no leader has acknowledged lies in a journal on disk and is
 * sent again after a restart, under the boot that counted it: exactly once.
 *
 * Admission: a call to which quotas of its key, its user or their groups apply is admitted only out of a grant of each (quota.h).
 *   ADMIT   go on
 *   WAIT    no grant at hand: resume(arg) runs on `loop`, once and in any case, when it is worth asking again or the wait
 *           is over; ask again then, with the same `wait`. `arg` must live until it has run, client or no client.
 *   REFUSE  the quota is used up (or no leader answers and the grant is used up): 429, with ms until it may work again
 * The day of a call is the leader's at its admission (usage_clock.h).
 * Thread  each call says.
 */
#pragma once

#include <stdint.h>

#include "proto/entity.h"
#include "proto/limits.h"

struct loop;
struct state;
struct usage;
struct usage_bytes;

enum admission { ADMIT, WAIT, REFUSE };
/* Of one call, zeros at first: since when it waits, and what had been heard then. */
struct admission_wait { int64_t since_ms; uint64_t turn; };
struct admission_info {
	/* Of the quota that refused it, or is nearest to its end; limit 0: there is none. */
	uint64_t limit, remaining;
	int64_t reset_s;
	enum limits_kind kind;
	enum limits_who who;
	int64_t retry_after_s;
	int64_t wait_ms; /* quotas_admit() */
	bool is_held;    /* it was refused, though not all of it is used: calls under way hold the rest, or workers that are away */
	const char *why; /* it was refused, where the quota is not used up; NULL */
	char day[11];    /* of the call */
	bool granted, granted_month; /* it is a part of a grant of its key, of the day and of the month */
};
#define ADMISSION_LIMITS_MOST 32
struct admission_ask {
	struct loop *loop;
	const struct limits *limits; size_t limits_len; /* of its key, its user, its groups; at most ADMISSION_LIMITS_MOST */
	struct usage_bytes *bytes;   /* of the call (usage_bytes.h), or NULL */
	uint64_t body;               /* so many of them it will send, as far as it says */
	struct admission_wait *wait; /* the call's */
	void (*resume)(void *arg);
	void *arg;
};
/* Thread  a loop. */
enum admission usage_admit(struct usage *usage, const struct admission_ask *ask, struct admission_info *ret_info);
/* Thread  any. The state that holds from now on: grants of keys whose quota was lowered are given back. */
void usage_state_changed(struct usage *usage, const struct state *state);

struct usage_event {
	const char *apikey;       /* client id, "" = none */
	const char *day;          /* of its admission; "" = today */
	bool granted, granted_month; /* it was admitted out of a grant of its key, of the day and of the month */
	struct str repository;    /* may be empty */
	bool pull, push;          /* a manifest was pulled / pushed */
	uint64_t bytes_in, bytes_out;
	uint64_t granted_bytes;   /* of these: part of a grant of its key */
};
/* Thread  a loop: at the end of each client's request (not of peers'). */
void usage_count(struct usage *usage, struct loop *loop, const struct usage_event *event);
/* Thread  any. For how long no leader has acknowledged anything while counts waited for it; 0: none wait. */
int64_t usage_waits_ms(const struct usage *usage);
