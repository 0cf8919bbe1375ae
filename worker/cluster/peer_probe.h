/* SPDX-License-Identifier: Apache-2.0 */
/*
 * peer_probe - a question to a member, of which only matters who answers it:
 *
 *     GET <url>/cluster/hello, signed as any call between workers, over a connection of its own
 *
 * Thread  the cluster's loop.
 */
#pragma once

#include "common/error.h"
#include "proto/peer_token.h"

#define PEER_PROBE_PATH "/cluster/hello"

struct cluster;
struct http_call;
struct peer_probe;
struct snapshot;
struct str;

/* err: nothing came. The call is gone after this; probe->call is NULL. */
typedef void peer_probe_f(void *arg, struct http_call *call, const struct error *err);
struct peer_probe {
	struct cluster *cluster;
	struct http_call *call; /* NULL: none is under way */
	uint8_t key[PEER_KEY_BYTES];
	char *token; /* of the newest question, signed with that key */
	peer_probe_f *done;
	void *arg;
};
/* Nothing is under way. url: "http://10.0.0.7:8080"; receiver: what members call who should be there. */
void peer_probe_send(struct peer_probe *probe, const struct snapshot *snapshot, const char *url, const char *receiver, unsigned total_ms);
/* In done: who answered, where that is proven. */
bool peer_probe_who(const struct peer_probe *probe, struct http_call *call, struct peer_answer *ret);
/* No answer is waited for any more; what it holds is freed. */
void peer_probe_end(struct peer_probe *probe);
