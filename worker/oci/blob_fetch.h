/* SPDX-License-Identifier: Apache-2.0 */
/*
 * blob_fetch - a GET of a blob, or of a part of it, from a store that is asked over HTTP.
 *
 * Until its head has come it may be asked again: an overloaded store gets BLOB_FETCH_TRIES requests, with
 * growing pauses, each signed anew, since signatures age. One whose keys are refused is sent again as soon as there are others. What
 * does not come within BLOB_HEAD_MS is not waited for.
 *
 * Life    embedded in its owner; zeroed memory is one that was never started.
 * Thread  its loop, the request's where it is a request's.
 */
#pragma once

#include "common/loop.h"
#include "proto/digest.h"
#include "proto/name.h"
#include "worker/oci/blob_range.h"
#include "worker/storage/store.h"

struct http_call;
struct http_client;
struct oci_call;

#define BLOB_FETCH_TRIES 4
#define BLOB_HEAD_MS     6000

struct blob_fetch_events {
	void *arg;
	/* 200, 206, 404 or 416: the callee chooses where the body goes (http_client.h). */
	void (*on_head)(void *arg, struct http_call *transfer);
	/* The end, once: the last thing that a fetch does, so it may be started anew from here. err: there was no
	 * such head, or the body was cut. It may run inside of blob_fetch_start(). */
	void (*on_done)(void *arg, const struct error *err);
};

/* Which blob, and who asks. */
struct blob_fetch_of {
	struct loop *loop;          /* borrowed, all three */
	struct http_client *client; /* of this loop */
	struct store *store;
	struct name name;
	struct digest digest;
};
/* The blob of call's route, by its loop. */
struct blob_fetch_of blob_fetch_of_call(const struct oci_call *call);

struct blob_fetch {
	uint32_t magic;
	struct blob_fetch_of of;
	struct blob_fetch_events events;
	struct http_call *transfer;
	struct loop_timer timer, late;
	unsigned tries;
	bool answered;
	bool awaits_keys;         /* the timer looks whether they are there */
	struct store_signed with; /* the newest request */
	char range[BLOB_RANGE_SIZE]; /* "": the whole blob */
};
/* range: "" or as blob_range.h makes them. */
void blob_fetch_start(struct blob_fetch *fetch, const struct blob_fetch_of *of, const char *range, struct blob_fetch_events events);
/* No callback after this. */
void blob_fetch_stop(struct blob_fetch *fetch);
