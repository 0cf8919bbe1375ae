/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_stream - a body whose digest and length were announced goes to the store while it comes (store_push_begin()), without the spool.
 *
 *   client --loop--> [ part ] --pool, in order--> hashed: the digest, and the part's crc32c
 *                    [ part ] --pool, side by side--> the store
 *
 *   one part holds it   nothing is sent before its digest is right; then one PUT
 *   more                HEAD and create when the first bytes came; each part when it is hashed; complete when the digest is right
 *
 * Memory    at most STREAM_PARTS_MAX parts of one upload, and of all what push_memory.h gives. While all are busy the client is not read
 *           from: a bucket that is slow makes its client slow. Each part has a minute (store_push_send()), then the push fails.
 * The session  is held meanwhile, at the bytes that came. It keeps none of them: when the client goes away, or the store fails (503), it
 *           is at 0 again, and what the store has is removed at once. A digest that is wrong (400) ends it.
 * A cache   before the bucket takes the slices where they are hashed (each byte once, in order, on one thread at a time) into a file of its own, which is
 *           an entry when the digest is right.
 *
 * Thread    the request's loop.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct digest;
struct oci_call;
struct upload;

#define STREAM_PARTS_MAX 4

/* How the session goes on after a failure that may pass: nobody but this request knows its id, or its client may come again. */
enum upload_stream_session { STREAM_SESSION_ENDS, STREAM_SESSION_STAYS };

/* Takes the held session, and replies. False: this is not for it (the store takes files, the session has bytes, the length is not known, there is no
 * memory), and nothing has been done. */
bool upload_stream_start(struct oci_call *call, struct upload *upload, const struct digest *digest, enum upload_stream_session session);
