/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_client_priv - what the files of http_client share; nobody else includes it.
 *
 *   http_transfer.c   one exchange on one curl handle: the request's body, the answer's head,
 *                     what went wrong
 *   http_client.c     exchanges on a loop
 *   http_send.c       exchanges on the calling thread
 */
#pragma once

#include <curl/curl.h>

#include "common/http_client.h"

/* The most that curl hands to a write callback at once is 16 KiB, whatever this is. */
#define HTTP_RECEIVE_BUFFER 131072L
#define HTTP_SEND_BUFFER    131072L

struct http_transfer {
	CURL *easy;
	struct curl_slist *lines; /* of the request */
	char reason[CURL_ERROR_SIZE];

	/* The request's body. */
	struct str body;
	int fd;
	uint64_t fd_offset;
	struct pipe *pipe;
	int64_t body_len; /* -1 unknown */
	uint64_t sent;
	bool has_body, read_paused, write_paused;
	bool again; /* curl has begun the body anew: it was sent before */

	/* The answer. */
	struct http_headers *headers;
	unsigned status;
	bool head_done;
	int64_t length;

	int64_t moved_ms; /* when a byte went either way */
	unsigned stall_ms;
	bool failed; /* err says why, whatever curl says */
	struct error err;

	/* The owner's part. on_body returns how much it took, or CURL_WRITEFUNC_PAUSE, or 0 with failed set.
	 */
	void *owner;
	int64_t (*now_ms)(void *owner);
	void (*on_head)(void *owner);
	size_t (*on_body)(void *owner, const char *bytes, size_t len);
};

/* Fills the handle from the spec; body bytes stay borrowed. */
bool http_transfer_setup(
	struct http_transfer *transfer, const struct http_call_spec *spec, struct error *err) MUST_CHECK;
/* Frees what setup made, but not the handle. */
void http_transfer_fini(struct http_transfer *transfer);
/* True: answered. */
bool http_transfer_result(struct http_transfer *transfer, CURLcode code, struct error *err) MUST_CHECK;
/* The next of `multi` that curl is done with: its owner and curl's result; false when there is none now. */
bool http_transfer_next_over(CURLM *multi, void **ret_owner, CURLcode *ret_code) MUST_CHECK;
/* ms until it counts as stalled, 0 = it does. Pauses and connecting are not stalling. */
int64_t http_transfer_stalls_in(struct http_transfer *transfer);
