/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload - what the endpoints of uploads share.
 */
#pragma once

#include <stdint.h>

#include "common/error.h"
#include "proto/digest.h"
#include "proto/upload_id.h"
#include "worker/oci/oci_ask.h"

struct oci_call;
struct http_response;
struct upload;

/* The closing PUT of a big blob to an object store takes its time: no bytes flow meanwhile. */
#define UPLOAD_FINISH_WAIT_MS (60u * 60 * 1000)

/* An answer about a session that goes on: Location, Range, Docker-Upload-UUID. */
struct http_response *upload_reply(
	unsigned status, const struct oci_ask *ask, const struct upload_id *id, uint64_t size);
/* A refusal after which the session goes on: the same headers beside the error. */
struct http_response *upload_reply_refused(unsigned status, const struct oci_ask *ask,
	const struct upload_id *id, uint64_t size, const struct error *err);
/* A new session of who asks, held by the caller; counted as one. Thread  any. */
bool upload_open(const struct oci_ask *ask, enum hash_kind alg, struct upload **ret, struct error *err) MUST_CHECK;
/* ?digest=, exactly one. */
bool upload_query_digest(struct str query, struct digest *ret, struct error *err) MUST_CHECK;
