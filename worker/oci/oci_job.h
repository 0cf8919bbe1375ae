/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_job - an endpoint's straight-line code on a pool thread, with a copy of all that was asked.
 *
 * It outlives its request: when the client goes away it runs to its end and the reply is dropped.
 * It ends by oci_job_reply(), now or later, from any thread, exactly once.
 */
#pragma once

#include "common/http_server.h"
#include "worker/oci/oci_ask.h"

struct oci_job;
typedef void oci_job_f(struct oci_job *job);

struct oci_job {
	uint32_t magic;
	struct oci_ask ask;
	struct http_ticket *ticket;
	oci_job_f *run;
	char *texts[5]; /* the copies that ask points to */
	void *own;      /* the endpoint's, freed with the job */
	void (*own_free)(void *own);
};

/* Takes *body (heap, may be NULL; ask.body says how long). Queue full: the request is answered 503. */
void oci_job_start(struct http_request *request, const struct oci_ask *ask, char **body, oci_job_f *run);
/* The same with something of the endpoint's own, which is freed with the job, also when it never runs. */
void oci_job_start_with(struct http_request *request, const struct oci_ask *ask, oci_job_f *run, void *own,
	void (*own_free)(void *own));
void oci_job_reply(struct oci_job *job, struct http_response *response);
