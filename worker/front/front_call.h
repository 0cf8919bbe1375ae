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

#include "worker/cluster/cluster.h"
#include "worker/cluster/usage.h"
#include "worker/front/front.h"
#include "worker/oci/oci_call.h"

struct front_bytes;
struct front_errand;
struct peer_call;

#define FRONT_PEERS_MOST 4 /* whose uploads move is looked for at so many, one after the other */

struct front_call {
	struct oci_call oci; /* first: what endpoints see, whose rows they are (oci/, and the pages of this folder) */
	uint32_t magic;
	unsigned step; /* front_step.h */
	struct front_loop *loop;
	char *lists[2]; /* headers of several lines, joined, that oci.ask points to */
	struct place_found place;
	struct front_errand *errand; /* what this call waits for */
	struct peer_call *peers[FRONT_PEERS_MOST]; /* the newest is under way */
	unsigned peers_len;
	bool proxied; /* and it is the request itself, not a question about it */
	struct admission_wait admission;
	bool admitted; /* counts as a call of its API key */
	bool granted, granted_month; /* and was admitted out of a grant of the day, of the month */
	char day[11];  /* of the admission */
	struct front_bytes *bytes; /* where a quota of bytes applies (front_bytes.h), or NULL */
	bool repository_is_there; /* of prefs_page.c */
	const char *refused_why; /* by ADMIT, where the quota is not used up; static, or NULL */
};
