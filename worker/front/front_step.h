/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_step - the steps of a request, and how a step that waited is gone on with.
 *
 * Thread  the request's loop.
 */
#pragma once

#include "worker/front/front_call.h"

#define FRONT_STEPS(STEP)                                                                                    \
	STEP(route) STEP(limit)                                                                              \
	STEP(authenticate) STEP(access) STEP(admit) STEP(place) STEP(collect) STEP(forward) STEP(serve)

enum front_turn {
	FRONT_MORE, /* the next step, now */
	FRONT_WAIT, /* replied, or somebody goes on with front_next() or front_again() */
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

void front_next(struct front_call *call);  /* goes on behind the step that waited */
void front_again(struct front_call *call); /* that step once more */

/* Something a call waits for and that may outlive it. on_done runs cancel(), which lets go of the call. */
struct front_errand {
	struct front_call *call;
	void (*cancel)(struct front_errand *errand);
};
