/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_call - a question to a leader for a user who asked this worker: about his own API keys, stars and bookmarks (the leader's api/self.c, api/self_prefs.c).
 *
 * Each leader is asked once, from any of them on, until one answers. A change whose answer was lost is not sent again: it may have been made. One that
 * has an id is, and so twice where there is one leader alone.
 * Life    from self_call_start() to done(), or to self_call_cancel().
 * Thread  the loop that it is started on, any of the worker's.
 */
#pragma once

#include "common/http.h"
#include "common/str.h"

#define SELF_ANSWER_MAX (1024u * 1024)

struct cluster;
struct http_client;
struct loop;

/* The texts are copied. */
struct self_ask {
	struct cluster *cluster; /* with leaders */
	struct loop *loop;
	struct http_client *client; /* of that loop */
	enum http_method method;
	const char *path; /* and query */
	struct str body;
	bool made_once; /* a change with an id, under which the leaders make it once: one whose answer was lost is sent again */
};
/* status 0: no leader answered, or not in time. body: borrowed. */
typedef void self_done_f(void *arg, unsigned status, struct str body);
struct self_call;
/* done() runs later, once. */
struct self_call *self_call_start(const struct self_ask *ask, self_done_f *done, void *arg);
/* done() does not run any more; not after it ran. */
void self_call_cancel(struct self_call *call);
