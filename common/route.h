/* SPDX-License-Identifier: Apache-2.0 */
/*
 * route - what is served: one row for each operation, in one table for each area.
 *
 * A row says under which path and with which methods, to whom, where, after how much of a body, and how:
 *
 *   inline  on the loop, from memory, never waits; NULL: memory does not have it, the row's job does
 *   job     straight-line code on a pool thread, when the body (up to body_max) is there; NULL: the response comes later,
 *           by the application's own way
 *   stream  on the loop; owns the request's body and reply from here on
 *
 * What these are given is the application's own: its call for inline, stream and authorise, its job for job.
 *
 * Thread  any; immutable.
 */
#pragma once

#include "common/buf.h"
#include "common/http.h"

struct http_response;
struct route_about;

enum route_kind { ROUTE_INLINE, ROUTE_JOB, ROUTE_STREAM };

/* May who asks do this, here? NULL in a row: everybody may, and nobody is asked who it is. */
typedef bool route_authorise_f(const void *call);
typedef struct http_response *route_inline_f(void *call);
typedef struct http_response *route_job_f(void *job);
typedef void route_stream_f(void *call);

struct route {
	const char *operation; /* in metrics and logs */
	const char *path;      /* literal; with a star at the end also what lies below: "/api/users" is one of "/api/users*" */
	unsigned what;         /* the application's number: which operation, or which kind of things */
	unsigned shape;        /* where the application takes paths apart itself: what this one looks like */
	unsigned methods;      /* bits of ROUTE_M() */
	enum route_kind kind;
	unsigned flags;        /* the application's */
	route_authorise_f *authorise;
	unsigned place;        /* who answers: the application's */
	size_t body_max;       /* bytes that are collected before it runs */
	const char *const *parameters; /* names that its query may have, NULL behind the last; NULL: any */
	const struct route_about *about; /* the application's: what it is, for people */
	route_inline_f *inline_f;
	route_job_f *job_f;
	route_stream_f *stream_f;
};
#define ROUTE_M(method) (1u << HTTP_##method)
#define ROUTE_READS     (ROUTE_M(GET) | ROUTE_M(HEAD))

struct route_table {
	const struct route *rows;
	size_t len;
};

enum route_found {
	ROUTE_FOUND,
	ROUTE_NO_PATH,
	ROUTE_NO_METHOD,
	ROUTE_MALFORMED, /* said by applications alone, of what stands in a path */
};
/* ret_allowed (NO_METHOD): bits of the methods that the path knows; *ret is the first row of that path then. ret_rest: what lies below a path with a star. */
enum route_found route_find(struct route_table table, struct str path, enum http_method method, const struct route **ret,
	struct str *ret_rest, unsigned *ret_allowed) MUST_CHECK;
/* The same by shape. */
enum route_found route_find_shape(struct route_table table, unsigned shape, enum http_method method, const struct route **ret,
	unsigned *ret_allowed) MUST_CHECK;
/* False: the query has a parameter that the row does not know: its name, as it came. */
bool route_takes(const struct route *row, struct str query, struct str *ret_unknown) MUST_CHECK;
/* What it might have been; NULL: nothing is near. */
const char *route_nearest(const struct route *row, struct str unknown);
/* "GET, HEAD", for Allow. */
void route_allow(unsigned allowed, struct buf *into);
