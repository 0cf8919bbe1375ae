/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_ask - what somebody asks of the registry, as an endpoint sees it on whichever thread it runs.
 *
 * On a loop the texts are borrowed from the request; in a job (oci_job.h) they are copies of its own.
 */
#pragma once

#include "common/http.h"
#include "common/ip.h"
#include "common/metrics.h"
#include "worker/oci/oci_route.h"
#include "worker/index/index.h"

struct identity;
struct snapshot;
struct worker;
struct worker_counters;

struct oci_ask {
	struct worker *worker;
	struct worker_counters *counters; /* those of the loop that has the request: counter_add() */
	struct snapshot *snapshot;        /* a reference */
	struct identity *identity;        /* a reference */
	struct ip client;                 /* set where an upload begins: front_call.client */
	enum http_method method;
	struct oci_route route;
	struct str query; /* raw */
	struct str body;
	const char *content_type; /* headers, or NULL */
	const char *if_match, *if_none_match; /* all lines of them */
	/*
	 * A change that another worker sent to us, or that we sent to one who may have done it: done once under this id, however often it
	 * comes. The index change of it gets all four: id = call, is_call = has_call, sent_ms = call_sent_ms, issued_ms = call_issued_ms.
	 */
	bool has_call;
	struct change_id call;
	int64_t call_sent_ms; /* wall clock when it was first sent to somebody who did not answer; 0: to nobody */
	int64_t call_issued_ms; /* store_clock_s() in ms, of its sender when it was first sent; 0: not a call */
};
