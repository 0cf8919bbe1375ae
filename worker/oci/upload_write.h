/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_write - a request's body goes into its upload session.
 *
 *   client --loop--> [ slice ] [ slice ] --pool, in order--> spool file
 *                                        `-pool, in order--> hasher
 *
 * At most three slices of 1 MiB exist for one upload (64 KiB where all uploads together hold 96 MiB); while all are busy
 * the client is not read from.
 * A client that goes away in the middle leaves the session at the bytes that came.
 *
 * Thread  the request's loop; the session's file and hasher are each touched by one pool job at a time.
 */
#pragma once

#include "common/error.h"

struct oci_call;
struct upload;

/* All bytes are in (err NULL), or the body could not be kept. The session is the callee's again, held. */
typedef void upload_written_f(struct oci_call *call, struct upload *upload, const struct error *err);

/* Takes the held session; fills call->stream. When the request ends before `done` ran, the session is let
 * go by itself. */
void upload_write_start(struct oci_call *call, struct upload *upload, upload_written_f *done);
