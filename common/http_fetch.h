/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_fetch - one answer of any length, taken piece by piece as it comes, for a program that has nothing else to do meanwhile.
 *
 *     http_call_start() --> a pipe of 256 KiB --> take()      on a loop of its own, which ends with the answer
 *
 * Only the body of a 200 is taken. That of any other answer says why, and is kept: HTTP_FETCH_WHY_MAX bytes of it at most, more is
 * ERROR_TOO_LARGE. Memory is constant; who takes slowly slows the sender. Deadlines are the spec's.
 *
 * Thread  any that may wait; take() is called on it. http_client_init() was called.
 */
#pragma once

#include "common/http_client.h"

#define HTTP_FETCH_WHY_MAX 65536

struct http_fetch_into {
	/* False with *err: it is over, and http_fetch() returns that. */
	bool (*take)(void *arg, struct str piece, struct error *err);
	void *arg;
};

struct http_fetched {
	unsigned status; /* 0: no head came */
	struct buf why;  /* the body, unless it was a 200 */
};
void http_fetched_fini(struct http_fetched *fetched);

/* True: a whole answer came, whatever its status. *ret is set in any case. */
bool http_fetch(const struct http_call_spec *spec, const struct http_fetch_into *into, struct http_fetched *ret,
		struct error *err) MUST_CHECK;
/* A take() that writes to the file descriptor that arg points at. */
bool http_fetch_take_file(void *arg, struct str piece, struct error *err) MUST_CHECK;
/* The body of a 200 goes to fd. */
bool http_fetch_file(const struct http_call_spec *spec, int fd, struct http_fetched *ret, struct error *err) MUST_CHECK;
