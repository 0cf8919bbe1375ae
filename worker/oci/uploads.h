/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uploads - the upload sessions of this worker, shared by its loops.
 *
 *   uploads_start() ---> idle  --uploads_acquire()-->  held by one request  --upload_release()--> idle
 *                          |                                |
 *                          | an hour without a request      | upload_end(): stored, refused, or cancelled
 *                          v                                v
 *                         gone                             gone
 *
 * One request at a time holds a session; only the holder (on whatever thread it is then) touches
 * its bytes. Others may look at how far it is, or cancel it: it then ends when the holder lets go.
 * A session costs no file until its first byte comes.
 * Bounds: 100,000 sessions; their bytes are the spool's affair.
 *
 * Thread  any, but for what is marked.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "proto/digest.h"
#include "proto/upload_id.h"

struct hasher;
struct blob_places;
struct known_blobs;
struct spool_file;
struct worker;
struct uploads;

struct upload {
	uint32_t magic;
	struct uploads *uploads;
	struct upload_id id;
	char *name;         /* the repository */
	enum hash_kind alg; /* what the hasher hashes */
	struct hasher *hasher;
	struct spool_file *file; /* NULL: no byte yet */
	uint64_t size;           /* bytes in file and hasher; the holder's, others use uploads_look() */
	bool held, cancelled;    /* under the table's lock */
	int64_t touched_ms;
};

#define UPLOAD_IDLE_MS (60 * 60 * 1000)

/* The worker's settings, spool, loops and cluster are used from uploads_start() on. */
struct uploads *uploads_new(struct worker *worker);
void uploads_free(struct uploads *uploads);
AUTO_DEFINE(uploads)
/* Thread  loop 0, or before it runs. A timer there ends what was abandoned. */
void uploads_start(struct uploads *uploads);
void uploads_stop(struct uploads *uploads);

/* A new session, held by the caller. ERROR_BUSY when there are too many. */
bool uploads_open(struct uploads *uploads, struct str name, enum hash_kind alg, struct upload **ret,
	struct error *err) MUST_CHECK;
/* BLOB_UPLOAD_UNKNOWN; BLOB_UPLOAD_INVALID while another request holds it. */
bool uploads_acquire(struct uploads *uploads, struct str name, const struct upload_id *id,
	struct upload **ret, struct error *err) MUST_CHECK;
/* The size only, also while it is held. */
bool uploads_look(struct uploads *uploads, struct str name, const struct upload_id *id, uint64_t *ret_size,
	struct error *err) MUST_CHECK;
bool uploads_cancel(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err) MUST_CHECK;
/* By the holder: the session goes on (unless it was cancelled meanwhile) / is over and freed. */
void upload_release(struct upload *upload);
void upload_end(struct upload *upload);
/* By the holder: these bytes are in file and hasher. */
void upload_grew(struct upload *upload, uint64_t len);

/* What uploads became, for a while. */
struct known_blobs *uploads_known(struct uploads *uploads);
struct blob_places *uploads_places(struct uploads *uploads);
size_t uploads_len(struct uploads *uploads);
/* Ends sessions that nobody touched since then. */
void uploads_expire(struct uploads *uploads, int64_t before_ms);
