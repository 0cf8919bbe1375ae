/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - what a function of the admin API works on, and the functions themselves.
 *
 * Thread  pool.
 */
#pragma once

#include "common/endpoint.h"
#include "leader/leader.h"
#include "leader/login.h"
#include "proto/entity.h"

struct api_call {
	struct leader *leader;
	struct login_who who;
	struct endpoint_call *http;
	bool in_lane;           /* its turn has come: a large report */
	struct str rest;        /* of the path, after the route's prefix and a '/'; empty when there is none */
	enum entity_kind kind;  /* of the entity routes */
};
/* NULL: endpoint_reply() comes later, or has been. */
typedef struct http_response *api_call_f(struct api_call *call);

/* A parameter of the query, once, decoded into *into. False: it is there twice, or broken. */
bool api_parameter(const struct api_call *call, const char *name, struct buf *into, bool *ret_given) MUST_CHECK;
bool api_is_read(const struct api_call *call); /* GET, HEAD */
bool api_has_method(const char *allow, enum http_method method); /* "GET, HEAD" */
struct http_response *api_method_not_allowed(const char *allow);
struct http_response *api_bad_query(void);

/* api/entities.c */
struct http_response *entities_serve(struct api_call *call);
/* api/cluster.c */
struct http_response *cluster_report(struct api_call *call);
struct http_response *cluster_members(struct api_call *call);
/* api/usage.c */
struct http_response *usage_serve(struct api_call *call);
