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
#include "worker/registry/registry.h"

struct extensions;
struct identity;
struct oci_others;
struct snapshot;

/* Of a loop; read by any. */
#define COUNTER(name, type, labels, help) counter name;
struct oci_counters {
#include "worker/oci/oci_counters.def"
};
#undef COUNTER

struct oci_ask {
	struct registry *registry;
	struct oci_counters *counters; /* those of the loop that has the request: counter_add() */
	struct snapshot *snapshot;     /* a reference */
	struct identity *identity;     /* a reference */
	const struct oci_others *others; /* NULL: nothing lies at other workers alone */
	const struct extensions *extensions; /* NULL: none is on */
	const char *realm;             /* to log in to */
	struct ip client;              /* behind proxies that are trusted; for a peer's request what the peer says */
	enum http_method method;
	struct oci_route route;
	struct str query; /* raw */
	struct str body;
	const uint8_t *body_sha256; /* the identity's: a peer has signed it and it was compared; NULL: nobody has looked */
	const char *content_type; /* headers, or NULL */
	const char *if_match, *if_none_match; /* all lines of them */
	const char *user_agent;   /* of the client, also where a peer sent it on; or NULL */
	struct registry_call call; /* of a change that another worker sent to us, or that we sent to one who may have done it */
};
