/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ask_all - one question to many members at once, until all have answered or the time is over.
 *
 *     ask_all_start() --+--> member: answered, with these bytes                          --+
 *                       +--> member: not reached, refused, a stranger, too large: why    --+--> done(answers), once
 *                       +--> member: silent ---------------------- within_ms ------------- +
 *
 * It knows nothing of what is asked. A question is as any of peer_question.h: it changes nothing, is asked as somebody, and goes over the members'
 * channels where there are some. One that gets lost is signed anew and asked once more, over a connection of its own, within the same time.
 * A member that is known to be away is not asked, so a dead one costs nothing but its line in the answers.
 *
 * Limits  answer_max bytes of each. How many may ask at once is ask_gate.h's.
 * Life    from ask_all_start() until done() has returned, or ask_all_cancel(), which ends all calls that are under way.
 * Thread  own loop.
 */
#pragma once

#include "worker/cluster/peer_question.h"

struct http_client;
struct loop;
struct peer_channels;

struct ask_all_spec {
	struct loop *loop;
	struct http_client *client;     /* of the loop; so are the channels, NULL: there are none */
	struct peer_channels *channels;
	struct peer_question question;  /* member is set for each. Texts and body are copied, snapshot and identity are references that are taken */
	const struct ring_member *const *members; /* of the snapshot's ring; the list itself is copied */
	size_t members_len;
	size_t answer_max;
	int64_t within_ms;
};
/* The body is done()'s to take: what is left is freed. */
struct ask_all_answer {
	const struct ring_member *member;
	bool answered;   /* proven, whole */
	unsigned status;
	char *body;      /* with a NUL behind it; NULL: not answered */
	size_t body_len;
	struct error err; /* not answered: why */
};
typedef void ask_all_done_f(void *arg, struct ask_all_answer *answers, size_t len);
struct ask_all;
/* done() runs later, from the loop, never from in here; answers in the order of the members. */
struct ask_all *ask_all_start(const struct ask_all_spec *spec, ask_all_done_f *done, void *arg);
/* No done() after this. */
void ask_all_cancel(struct ask_all *all);
