/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client - the leaders that are asked, and as whom.
 *
 *     leaders   --leader, else ZOT_LEADER_URL, CLUSTER_LEADER_URLS, CLUSTER_LEADER_URL, else http://127.0.0.1:8080; several with commas
 *               between: the first that is reached answers, and is asked first from then on
 *     as whom   --user (else ZOT_LEADER_USER, else "admin") with the password of --password-file, ZOT_API_KEY (zak_...; or
 *               <client id>:<secret>), ZOT_LEADER_PASSWORD, else asked for at the terminal without echo
 *     TLS       --ca FILE: the CA of its certificate, else the system's
 *
 * Another leader is tried where nothing of the request was processed for certain; a question (GET) also where the answer was cut or
 * did not come.
 *
 * Thread  main; waits.
 */
#pragma once

#include "common/cleanup.h"
#include "common/http_fetch.h"
#include "leader/ctl/ctl.h"

#define CLIENT_LEADERS_MAX 32
#define CLIENT_ANSWER_MAX (64u * 1024 * 1024)

struct client;
/* False: what is wrong was said, and is *ret_status. The call outlives it. */
bool client_new(struct client **ret_client, const struct command_call *call, int *ret_status) MUST_CHECK;
void client_free(struct client *client);
AUTO_DEFINE(client)

struct client_ask {
	const char *method;
	const char *path;   /* "/api/user?n=1000" */
	struct str body;    /* or bytes of a file */
	int body_fd;
	uint64_t body_fd_len;
	const char *type;   /* of the body; NULL: JSON */
	const char *accept; /* NULL: JSON */
	const char *if_match; /* a revision; NULL: whatever it is */
	bool quiet;         /* says nothing of leaders that are not reached */
};
/* CTL_DONE: *ret has an answer of 2xx or 304. Else it was said why, and *ret has what came; in any case it is the caller's to fini. */
int client_send(struct client *client, const struct client_ask *ask, struct http_result *ret) MUST_CHECK;
/* The same, and the body of 200 goes to fd as it comes. */
int client_fetch(struct client *client, const struct client_ask *ask, int fd) MUST_CHECK;
/* The same, and it is taken by `into`. CTL_UNREACHABLE too where it was cut. */
int client_follow(struct client *client, const struct client_ask *ask, const struct http_fetch_into *into) MUST_CHECK;
/* The path that `Link: <...>; rel="next"` names, into *path; false: there is none, or it leads elsewhere. */
bool client_next(const struct http_result *result, struct buf *path);
