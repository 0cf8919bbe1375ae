/* SPDX-License-Identifier: Apache-2.0 */
/*
 * http_answer - the head of an answer as our own server writes it, read strictly (RFC 9112, 4 and 5).
 *
 *     "HTTP/1.1 200 OK\r\n"  "Name: value\r\n" ... "\r\n"
 *
 * Limits  64 KiB of fields, 200 of them (http.h); a Content-Length of at most 2^62, once. No Transfer-Encoding: who frames the answer says where it ends.
 * Thread  any; pure.
 */
#pragma once

#include "common/error.h"
#include "common/http.h"

#define HTTP_ANSWER_MAX ((size_t)80 * 1024)

struct http_answer {
	unsigned status;              /* 100..999 */
	int64_t length;               /* Content-Length; -1: none */
	struct http_headers *headers; /* the caller's to free */
};
/* A whole head, with the empty line at its end. ERROR_INVALID: it is none; *ret is untouched. */
bool http_answer_parse(struct str head, struct http_answer *ret, struct error *err) MUST_CHECK;
