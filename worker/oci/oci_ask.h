/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_ask - what somebody asks of the registry, as an endpoint sees it on whichever thread it runs.
 *
 * On a loop the texts are borrowed from the request; in a job (oci_job.h) they are copies of its own.
 */
#pragma once

#include "common/http.h"
#include "common/metrics.h"
#include "worker/oci/oci_route.h"

struct identity;
struct snapshot;
struct worker;
struct worker_counters;

struct oci_ask {
	struct worker *worker;
	struct worker_counters *counters; /* those of the loop that has the request: counter_add() */
	struct snapshot *snapshot;        /* a reference */
	struct identity *identity;        /* a reference */
	enum http_method method;
	struct oci_route route;
	struct str query; /* raw */
	struct str body;
	const char *content_type; /* headers, or NULL */
	const char *if_match, *if_none_match; /* all lines of them */
};
