/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_condition - If-Match, If-None-Match and If-Range on what has a digest (RFC 9110, 13.1 and 13.2.2).
 *
 * The entity-tag of a blob or a manifest is its digest in quotes, always strong. If-Match is looked at
 * first, then If-None-Match; both only for what is there. Dates never count: nothing has a Last-Modified,
 * and to recognise a date that does not match is to go on without it.
 *
 * Thread  any; pure.
 */
#pragma once

#include <stdbool.h>

#include "proto/digest.h"

struct http_response;
struct oci_ask;

enum oci_condition {
	OCI_CONDITION_MET,          /* or there is none */
	OCI_CONDITION_NOT_MODIFIED, /* 304: the client has it */
	OCI_CONDITION_FAILED,       /* 412: the client wants another one */
};
/* Header values, several lines of a header joined by commas; NULL: absent. */
enum oci_condition oci_condition(const char *if_match, const char *if_none_match, const struct digest *digest);
/* Does Range count beside this If-Range? It names exactly one strong tag. */
bool oci_if_range(const char *if_range, const struct digest *digest);

/* The answer where a condition of the request ends it, with ETag and Docker-Content-Digest; NULL: go on. */
struct http_response *oci_condition_reply(const struct oci_ask *ask, const struct digest *digest);
