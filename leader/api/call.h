/* SPDX-License-Identifier: Apache-2.0 */
/*
 * call - what the functions of the API work on, and the functions themselves.
 *
 *     struct api_call   a request on the loop, of whom it is known who asks: inline, stream, authorise
 *     struct api_job    a request with its body, on the pool: job
 *
 * Each function is named in one row of api/route.c at least, and is given the void * that common/route.h says.
 *
 * Thread  as said.
 */
#pragma once

#include "common/endpoint.h"
#include "common/route.h"
#include "leader/api/describe.h"
#include "leader/leader.h"
#include "leader/login.h"
#include "leader/session.h"
#include "proto/entity.h"

struct api_call {
	struct leader *leader;
	struct http_request *request;
	const struct route *route;
	struct str rest;        /* of the path, below the route's; borrowed from the request */
	struct ip from;         /* the client; behind proxies that are trusted whom they tell of */
	struct login_who who;
	struct session session; /* where who asks is known by a cookie (api/cookie.h) */
	char csrf[SESSION_CSRF_SIZE]; /* of it; "" otherwise */
};

struct api_job {
	struct leader *leader;
	struct endpoint_call *http;
	struct str rest;        /* of the path, below the route's and a '/'; empty when there is none */
	struct login_who who;
	struct ip from;         /* as struct api_call's */
	char from_text[INET6_ADDRSTRLEN];
	bool in_lane;           /* its turn has come: a large report */
	enum entity_kind kind;  /* of the entity routes */
};

/* A parameter of the query, once, decoded into *into. False: it is there twice, or broken. */
bool api_parameter(const struct api_job *job, const char *name, struct buf *into, bool *ret_given) MUST_CHECK;
bool api_is_read(const struct api_job *job); /* GET, HEAD */
/* Bits of ROUTE_M(): these are allowed. */
struct http_response *api_method_not_allowed(unsigned allowed);
struct http_response *api_bad_query(void);
struct http_response *api_no_csrf(void);
struct http_response *api_later(unsigned retry_after_s); /* too many logins */

/* Own loop, inline. How the process is (api/system.c). */
struct http_response *system_livez(void *call);
struct http_response *system_readyz(void *call);
struct http_response *system_metrics(void *call);
struct http_response *system_pages(void *call);
/* Own loop, stream. */
void cluster_state(void *call); /* api/cluster.c */
void cluster_live(void *call);
void session_serve(void *call); /* api/session.c */
void export_serve(void *call); /* api/export.c */
/* Pool. NULL: endpoint_reply() comes later, or has been. */
struct http_response *entities_serve(void *job);  /* api/entities.c */
struct http_response *entity_template(void *job);
struct http_response *entity_bulk(void *job);     /* api/entity_bulk.c */
struct http_response *import_serve(void *job);    /* api/import.c */
struct http_response *cluster_report(void *job);  /* api/cluster.c */
struct http_response *cluster_members(void *job);
struct http_response *cluster_figures(void *job);
struct http_response *cluster_ring(void *job);
struct http_response *cluster_rescue(void *job);
struct http_response *cluster_drain(void *job);   /* api/drain.c */
struct http_response *cluster_chores(void *job);  /* api/chores.c */
struct http_response *member_chores_serve(void *job);
struct http_response *usage_serve(void *job);     /* api/usage.c */
struct http_response *backup_serve(void *job);    /* api/backup.c */
struct http_response *self_keys(void *job);       /* api/self.c */
struct http_response *self_usage(void *job);
struct http_response *self_prefs(void *job);      /* api/self_prefs.c */
struct http_response *self_trust(void *job);      /* api/self_trust.c */
struct http_response *access_serve(void *job);    /* api/access.c */
struct http_response *audit_serve(void *job);     /* api/audit.c */
struct http_response *openapi_serve(void *job);   /* api/openapi.c */

/* What is said of each row, beside its function (api/describe.h). */
extern const struct route_about about_livez[], about_readyz[], about_metrics[], about_state[], about_report[], about_members[], about_backup[],
	about_export[], about_import[], about_usage[], about_audit[], about_access[], about_bulk[], about_template[], about_entities[],
	about_openapi[], about_self_keys[], about_self_usage[], about_self_prefs[], about_self_trust[], about_session[], about_figures[], about_ring[], about_rescue[], about_live[],
	about_pages[], about_assets[], about_chores[];
