/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oci_error - from struct error to an HTTP status and an OCI error body, by one table.
 *
 * status: that of err->code in oci_error.def; without a code of the table that of the kind: INVALID 400,
 * DENIED 403, UNKNOWN 404, CONFLICT 409, TOO_LARGE 413, BUSY and TIMEOUT and UNAVAILABLE 503,
 * FULL 507, INTERNAL 500. Kinds TOO_LARGE, BUSY, UNAVAILABLE, TIMEOUT and FULL win over the code's, but
 * BUSY with TOOMANYREQUESTS is 429.
 * body: {"errors":[{"code","message","detail":{"reason"}}]}; an error without code of the spec
 * gets the nearest one (UNSUPPORTED as last resort), the sentence is in detail.reason. The text of
 * INTERNAL errors and of those that come from the machine (err->sys: paths, addresses) is not shown to
 * clients, a general sentence is. Bytes that are not UTF-8 become '?'.
 * Source  OCI distribution-spec "Error Codes".   Thread  any; pure.
 */
#pragma once

#include "common/buf.h"
#include "common/error.h"

unsigned oci_error_status(const struct error *err);
void     oci_error_body(const struct error *err, struct buf *into);
/* The same with the sentence as the message: docker shows that and no details. */
void     oci_error_body_saying(const struct error *err, struct buf *into);
