/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_call - what an endpoint uses of a request that is under way.
 *
 * Life    the request's: its owner makes it, and runs stream_done(stream) at the end of the request, however that came.
 *         What runs on other threads never holds one: jobs work on a struct oci_job of their own.
 * Thread  the request's loop.
 */
#pragma once

#include "common/http_server.h"
#include "worker/oci/oci_ask.h"

struct blob_fills;
struct http_client;
struct loop;
struct upload;

struct oci_call {
	struct oci_ask ask; /* first: inline endpoints look at this alone. Its texts are borrowed from the request */
	struct http_request *request;
	struct loop *loop;
	struct http_client *client; /* of this loop; NULL where nobody is to be called */
	struct blob_fills *fills;   /* NULL: there is no cache */
	char *body;                 /* collected; handed on to a job */
	bool keeps_bytes;           /* they pass through here whatever else could be: a quota counts them, or a peer asks */
	struct upload *upload;      /* of another worker, which gave it to us for this request: held, and the endpoint takes it; or NULL */
	/* Of an endpoint that streams: what it keeps, and how it hears of the end. */
	void *stream;
	void (*stream_done)(void *stream);
};
