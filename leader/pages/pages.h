/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pages - what a browser shows of the leader: the files of static/, built into the program.
 *
 *     /                  index.html
 *     /assets/<path>     static/<path>
 *
 * They hold nothing of the cluster, so whoever comes gets them; all they show they ask of the API, as their user. Each reply forbids
 * what none of them does: other hosts, scripts or styles in the page, to be framed (Content-Security-Policy).
 * Each file is kept plain and, where that is shorter, compressed; its ETag is of its bytes, and browsers ask each time whether they have the
 * newest.
 *
 * Thread  pages_new, pages_free: any, once. pages_reply: any.
 */
#pragma once

#include "common/http_server.h"

struct pages;
struct pages *pages_new(void);
void pages_free(struct pages *pages); /* no reply is under way */
AUTO_DEFINE(pages)
/* The file that a path is, or 304 where the browser has it. NULL: it is none. */
struct http_response *pages_reply(const struct pages *pages, const struct http_request *request) MUST_CHECK;
