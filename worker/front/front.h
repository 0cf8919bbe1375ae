/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front - the worker's HTTP application: from a request's head to its reply, in named steps.
 *
 *   ROUTE  LIMIT  AUTHENTICATE  ACCESS  ADMIT  PLACE  COLLECT  FORWARD or SERVE
 *
 * A step either goes on to the next one, waits (for the pool, a grant, the body, a peer), or has
 * replied. Everything of a request hangs in one struct front_call (front_call.h), freed in on_done.
 *
 * Life    its owner fills in struct front and a struct front_loop for each loop, before the loops run, and keeps them until they
 *         have ended. What hangs there is borrowed.
 * Thread  the loop's.
 */
#pragma once

#include <stdatomic.h>

#include "common/http_server.h"
#include "common/loop.h"
#include "common/metrics.h"
#include "worker/cluster/peer_channels.h"
#include "worker/front/traffic.h"
#include "worker/oci/extensions.h"
#include "worker/oci/oci_ask.h"
#include "worker/oci/oci_others.h"

struct ask_gate;
struct audit;
struct auth;
struct blob_fills;
struct channel_spread;
struct chores;
struct cluster;
struct few_each;
struct http_client;
struct metadata;
struct moves;
struct own_keys;
struct own_prefs;
struct own_trust;
struct peer_guard;
struct prefs;
struct proxies;
struct rate_limit;
struct events;
struct registry;
struct search;
struct usage;
struct collect_chore;
struct weigh_chore;

/* COUNTER(name, type, labels, help) */
#define COUNTER(name, type, labels, help) counter name;
struct front_counters {
#include "worker/front/front_counters.def"
};
#undef COUNTER

struct front_loop {
	struct front *front;
	struct loop *loop;
	struct http_server *server;
	struct http_client *client; /* NULL: nobody is called */
	struct peer_channels *channels; /* NULL: there are none */
	struct peer_channel_counts channel_counts;
	struct front_counters counters;
	struct oci_counters oci_counters;
	struct traffic traffic;
	unsigned delays; /* refused logins whose answer is held back */
	struct loop_timer beat;
	int64_t beat_ms; /* when this loop turned last, give or take a second; others look */
};

struct front {
	struct registry *registry;
	struct channel_spread *channel_spread; /* of the loops' channels */
	struct blob_fills *fills; /* NULL: there is no cache */
	struct cluster *cluster;
	struct auth *auth;
	struct peer_guard *state_guard; /* of GET /cluster/state; NULL: there is no such state */
	struct own_keys *own_keys; /* of users, where no leaders have them; NULL: none */
	struct own_prefs *own_prefs; /* stars and bookmarks, the same; NULL: the leaders', or none */
	struct own_trust *own_trust; /* keys of who signs images; NULL: the leaders', or extensions.trust is off */
	struct prefs *prefs;   /* all that are to be seen here; NULL: extensions.userprefs is off */
	_Atomic int64_t prefs_kept_ms; /* own ones of users who are gone were looked for */
	struct moves *moves; /* of repositories, where each worker's storage is its own; NULL: none */
	struct usage *usage;
	struct rate_limit *rate_limit; /* NULL: none */
	struct proxies *proxies;       /* NULL: X-Forwarded-For is believed from nobody */
	struct audit *audit;           /* NULL: none */
	struct events *events;         /* NULL: nobody is told of changes */
	struct oci_others others;      /* front_others_init(); mounts NULL: there are none */
	struct ask_gate *ask_gate;     /* of what all members are asked; NULL: it is not bounded */
	struct few_each *refusals, *challenges; /* lines of the log: front_refused.h */
	struct chores *chores;
	struct weigh_chore *weigh;     /* what the storage holds; with the chores */
	struct collect_chore *collect; /* what goes from it; the same */
	struct scrub_chore *scrub;     /* what is rotten in it; the same, NULL: it is not looked for */
	struct metadata *metadata;     /* what a search needs; NULL: there is none (extensions.search.enable) */
	struct search *search;         /* who answers it; the same */
	struct front_loop *loops;
	unsigned loops_len;
	/* Towards https members; each may be NULL. */
	const char *peer_ca, *peer_cert, *peer_key;
	bool channels_off;             /* none is opened, and none given */
	struct extensions extensions;  /* which are on */
	const char *metrics_path;      /* NULL: there are no metrics */
	const char *data;              /* a folder that /readyz looks at, or NULL */
	unsigned wait_ms;              /* for an answer that needs the store, but for uploads; 0: as the server has it */
	int64_t stale_after_ms;        /* a state that is older is told by /readyz */
	bool ready_when_stale;
	bool writes_refused;           /* several workers on a store without conditional writes */
	_Atomic int64_t tell_peers_ms; /* not before: that a peer's call was refused */
	int64_t started_ms;
};

/* The application for the server of this loop. */
struct http_app front_app(struct front_loop *loop);
/* Begun and not ended. Thread  any. */
uint64_t front_open_requests(const struct front *front);
/* Each loop has turned within this time. Thread  any. */
bool front_loops_turn(const struct front *front, int64_t within_ms);
