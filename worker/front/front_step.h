/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_step - the steps of a request, and how a step that waited is gone on with.
 *
 *   route -> limit -> authenticate -> access -> admit -> place -> collect -> forward -> serve
 *      `-- a page for which nobody is asked who it is -----------------------------------^
 *
 * A request that is sent on (forward) comes back to serve when its member cannot be reached and the storage is shared. With
 * log level debug each step is told (request.step).
 * Thread  the request's loop.
 */
#pragma once

#include "common/error.h"
#include "worker/front/front_call.h"

#define FRONT_STEPS(STEP)                                                                                    \
	STEP(route) STEP(limit)                                                                              \
	STEP(authenticate) STEP(access) STEP(admit) STEP(place) STEP(collect) STEP(forward) STEP(serve)

enum front_at {
#define STEP(name) FRONT_AT_##name,
	FRONT_STEPS(STEP)
#undef STEP
};

enum front_turn {
	FRONT_MORE, /* the next step, now */
	FRONT_WAIT, /* replied, or somebody goes on with front_next(), front_again() or front_serve_now() */
};
typedef enum front_turn front_step_f(struct front_call *call);

#define STEP(name) front_step_f front_##name;
FRONT_STEPS(STEP)
#undef STEP

/* 401, told in the log at most once a second: the peer's call is not what it should be, or none. Kind CONFLICT: it came before. */
void front_refuse_peer(struct front_call *call, const struct error *err);

/* Whom the connection is from, behind proxies that are trusted. */
struct ip front_limit_client(const struct front_call *call);
/* Takes a token of the client's bucket; false: there is none, and 429 was replied. */
bool front_limit_take(struct front_call *call) MUST_CHECK;

void front_next(struct front_call *call);      /* goes on behind the step that waited */
void front_again(struct front_call *call);     /* that step once more */
void front_serve_now(struct front_call *call); /* from route or forward: no step between */

/* An upload is where its bytes are (front_upload.h). */
struct front_forwarding {
	const struct ring_member *member;
	const char *takes; /* peer.h */
};
/* To this member; false: too many were asked already. */
bool front_forward_to(struct front_call *call, const struct front_forwarding *to) MUST_CHECK;
void front_reply_upload_unknown(struct front_call *call);

/* Something a call waits for and that may outlive it. on_done runs cancel(), which lets go of the call. */
struct front_errand {
	struct front_call *call;
	void (*cancel)(struct front_errand *errand);
};
