/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - the second table of routes: what is served beside the registry's API. /livez, /readyz, /startupz (health.c), /cluster/state (state_page.c), the metrics, what
 * members ask each other, what users do for themselves, and zot's extensions (worker/oci/extensions.h).
 *
 * To add one: a row in pages.c and its function, which is given a struct front_call (as struct oci_call, its first member).
 * Thread  the request's loop.
 */
#pragma once

#include "common/route.h"

struct front_call;

/* As oci_route_parse(): the row goes to call->oci.ask.route. One that the owner of a repository answers names it in ?repo=. */
enum route_found pages_find(struct front_call *call, unsigned *ret_allowed, struct error *err) MUST_CHECK;

/* For load balancers and platforms; nobody is asked who it is. */
route_inline_f health_live, health_started;
route_stream_f health_ready;
/* The state, for who knows the cluster's secret (state_page.c). */
route_stream_f pages_state;
/* Whoever may see the metrics (extensions.metrics, accessControl.metrics). */
route_inline_f pages_metrics;
/* A user's own API keys, and what they used (self_page.c). Keys are changed by who logs in as the user, not by a key: one with
 * scopes would make one without. */
route_authorise_f pages_by_user, pages_by_login;
route_stream_f pages_apikey, pages_usage;
/* How one logs in (mgmt_page.c). */
route_authorise_f pages_by_who_comes;
route_inline_f pages_mgmt, pages_mgmt_preflight;
/* zot's search (search_page.c). */
route_stream_f pages_search;
route_stream_f pages_search_part; /* what members ask each other for it */
route_inline_f pages_search_preflight;
/* Pages of other sites may read what is answered, without cookies or logins. */
struct http_response;
void pages_allow_sites(struct http_response *response, const char *methods);
/* A user's stars and bookmarks (prefs_page.c). */
route_stream_f pages_prefs;
/* Keys and certificates by which signatures of images count: administrators (trust_page.c). */
route_stream_f pages_trust;
/* What runs here, and how it is begun and ended: administrators (chores_page.c). */
route_authorise_f pages_by_admin;
route_stream_f pages_chores;
