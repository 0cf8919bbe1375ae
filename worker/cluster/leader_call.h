/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leader_call - one call to a leader, with who we are in its headers.
 *
 * Thread  the cluster's loop, or the one that it names.
 */
#pragma once

#include "common/http_client.h"

struct cluster;
struct loop;
struct member_settings;

struct leader_call {
	struct cluster *cluster;
	struct loop *loop;          /* with the client of it; NULL: the cluster's own */
	struct http_client *client;
	const char *leader; /* URL */
	const char *method, *path;
	struct str body;
	unsigned total_ms;
	bool accept_gzip;
};

/* Who we are to them: appends the value of Authorization. A login over 1 KiB: `into` is failed. */
void leader_call_login(const struct member_settings *settings, struct buf *into);
struct http_call *leader_call_start(const struct leader_call *call, struct http_call_events events);
