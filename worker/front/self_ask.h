/* SPDX-License-Identifier: Apache-2.0 */
/*
 * self_ask - a user's question about himself goes to the leaders (worker/cluster/self_call.h), and what they refuse is said in the registry's form.
 *
 * Thread  the request's loop.
 */
#pragma once

#include "common/error.h"
#include "common/http.h"
#include "common/str.h"

struct front_call;

struct self_question {
	enum http_method method;
	const char *path; /* and query */
	struct str body;
	bool made_once;   /* a change with an id: whose answer was lost is asked again, of another leader too */
};
/* Once, unless the request ends before. status 0: no leader answered, or not in time. body: borrowed. It replies. */
typedef void self_answered_f(struct front_call *call, unsigned status, struct str body);
/* The texts are copied. */
void self_ask_leaders(struct front_call *call, const struct self_question *question, self_answered_f *answered);

/* What a leader refused the user; what it refused us, or that none answered, is 503. */
void self_reply_refused(struct front_call *call, unsigned status, struct str body);
void self_reply_error(struct front_call *call, unsigned status, enum error_kind kind, const char *text);
/* 429: changes are counted in minutes. */
void self_reply_often(struct front_call *call, const char *text);
