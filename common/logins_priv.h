/* SPDX-License-Identifier: Apache-2.0 */
/*
 * logins_priv - what the parts of logins share: the verification under way, the queues, the failures.
 *
 *   logins.c        what is remembered, who waits, answers
 *   logins_queue.c  a queue that serves addresses in turn
 *   logins_limit.c  failures
 *
 * Thread  the lock's holder.
 */
#pragma once

#include "common/logins.h"
#include "common/recent.h"

struct map;

/* Whose failures count where. */
struct logins_who {
	struct recent_key address, account, pair;
};

/* One verification, queued or running, and all who wait for it. */
struct logins_flight {
	struct recent_key key;
	struct logins_who who;
	struct ip network;
	char *password, *hash; /* hash NULL: nobody's */
	unsigned cost;
	bool known;            /* was right before */
	bool renewal;          /* goes on without anybody who waits */
	struct logins_queue *queue; /* NULL: it runs */
	struct logins_flight *next; /* of its address */
	struct logins_wait *waits;
	size_t waits_len;
};

/* logins_queue.c */
struct logins_line;
struct logins_queue {
	struct map *lines; /* network -> struct logins_line */
	struct logins_line *first, **last;
	size_t len;
};
void   logins_queue_init(struct logins_queue *queue);
void   logins_queue_fini(struct logins_queue *queue); /* empty */
size_t logins_queue_of(const struct logins_queue *queue, const struct ip *network); /* how many of this address */
void   logins_queue_push(struct logins_queue *queue, struct logins_flight *flight);
struct logins_flight *logins_queue_pop(struct logins_queue *queue); /* or NULL */
void   logins_queue_remove(struct logins_flight *flight);           /* it is in one */

/* logins_limit.c */
struct logins_limit {
	struct recent *failures; /* key -> int64_t, when all of them are forgotten */
	struct recent *places;   /* pair -> int64_t, until when an account is trusted at an address */
};
void    logins_limit_init(struct logins_limit *limit);
void    logins_limit_fini(struct logins_limit *limit);
/* The account succeeded at this address lately. */
bool    logins_limit_trusts(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms);
int64_t logins_limit_wait(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms); /* 0: none */
void    logins_limit_failed(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms);
void    logins_limit_succeeded(struct logins_limit *limit, const struct logins_who *who, int64_t now_ms);
