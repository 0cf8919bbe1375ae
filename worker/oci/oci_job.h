/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_job - an endpoint's straight-line code on a pool thread, with a copy of all that was asked.
 *
 * It outlives its request: when the client goes away it runs to its end and the reply is dropped.
 * It ends with the response that it returns; or, where that is NULL, by oci_job_reply(), later, from any thread, exactly once.
 */
#pragma once

#include "common/http_server.h"
#include "common/route.h"
#include "worker/oci/oci_ask.h"

struct oci_call;

struct oci_job {
	uint32_t magic;
	struct oci_ask ask;
	struct http_ticket *ticket;
	route_job_f *run;
	char *texts[6]; /* the copies that ask points to */
	void *own;      /* the endpoint's, freed with the job */
	void (*own_free)(void *own);
};

/* Own loop. Takes the call's body. Queue full: the request is answered 503. */
void oci_job_start(struct oci_call *call, route_job_f *run);
/* The same with something of the endpoint's own, which is freed with the job, also when it never runs. */
void oci_job_start_with(struct oci_call *call, route_job_f *run, void *own, void (*own_free)(void *own));
/* Who asks, for who follows changes (index.h). The texts are the job's, but for the address. */
struct oci_asker {
	struct index_asker asker;
	char address[INET6_ADDRSTRLEN];
};
void oci_job_asker(const struct oci_job *job, struct oci_asker *into);
/* Runs it once more, which it asked for by returning NULL and keeping itself somewhere. Thread  any. */
void oci_job_again(struct oci_job *job);
/* Thread  any. */
void oci_job_reply(struct oci_job *job, struct http_response *response);
