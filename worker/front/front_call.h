/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_call - one request under way: its place among the steps and everything that it owns.
 *
 * Made in on_request, freed in on_done. What runs on other threads never holds a front_call: jobs
 * work on a struct oci_job of their own, and waits hold a struct front_errand that is told when
 * the call ends.
 *
 * Thread  the request's loop.
 */
#pragma once

#include <stdint.h>

#include "common/ip.h"
#include "worker/cluster/cluster.h"
#include "worker/cluster/usage.h"
#include "worker/oci/oci_ask.h"
#include "worker/worker.h"

struct front_errand;
struct front_step;
struct peer_call;

struct front_call {
	uint32_t magic;
	struct worker_loop *loop;
	struct http_request *request;
	const struct front_step *step;
	struct oci_ask ask; /* its texts are borrowed from the request */
	char *body;         /* collected; handed on to a job */
	char *lists[2];     /* headers of several lines, joined, that ask points to */
	struct ip client; /* behind proxies that are trusted; for a peer's request what the peer says */
	struct place_found place;
	struct front_errand *errand; /* what this call waits for */
	struct peer_call *peer;
	struct admission_wait admission;
	bool admitted; /* counts as a call of its API key */
	bool granted;  /* and was admitted out of a grant */
	char day[11];  /* of the admission */
	bool is_metrics; /* asks for these, and not for the registry */
	bool is_routed; /* ask.route holds an endpoint of the registry's API */
	/* Of an endpoint that streams: what it keeps, and how it hears of the end. */
	void *stream;
	void (*stream_done)(void *stream);
};
