/* SPDX-License-Identifier: Apache-2.0 */
/*
 * uploads - the upload sessions of this worker, shared by its loops.
 *
 *   uploads_open() ---> idle  --uploads_acquire()-->  held by one request  --upload_release()--> idle
 *                         |                                |
 *                         | UPLOAD_IDLE_MS without a       | upload_end(): stored, refused, or cancelled
 *                         v request, or room is needed     v
 *                        gone                             gone
 *
 * A session without a byte can go to another worker, where its bytes arrive (worker/front/front_upload.h):
 *
 *   here:   idle, empty --uploads_give()-->  moved: where to is known for UPLOAD_IDLE_MS after it was last asked for
 *   there:  uploads_adopt() --> coming --upload_adopted()--> held, as if it had been opened there
 *                                  `----upload_not_adopted()--> gone
 *
 * One request at a time holds a session; only the holder (on whatever thread it is then) touches
 * its bytes. Others may look at how far it is, or cancel it: it then ends when the holder lets go.
 * A session costs no file until its first byte comes, and has minutes until then.
 *
 * Bounds, so that nobody's sessions are in the way of all others' (upload_owners.h says who is one):
 *
 *   sessions         100,000; when there are so many the oldest that moved makes room, then the oldest without a byte
 *   sessions_each    of one owner, those that moved too, of which the oldest makes room: 429
 *   files            sessions with bytes; of these, and of the bytes of the spool, one owner has at most its share: 429, or 507 where
 *                    one upload alone is larger than that
 *   a full spool     what is idle for EVICT_IDLE_MS of who holds most goes first, the oldest before others
 *
 * Thread  any.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "common/cleanup.h"
#include "common/error.h"
#include "common/list.h"
#include "proto/digest.h"
#include "proto/upload_id.h"
#include "worker/storage/spool.h"

struct would;
struct hasher;
struct upload_owner;
struct uploads;

struct upload {
	uint32_t magic;
	struct uploads *uploads;
	struct upload_id id; /* of one that moved: at whom */
	char *name;         /* the repository */
	enum hash_kind alg; /* what the hasher hashes */
	struct hasher *hasher; /* NULL: it is not here */
	struct spool_file *file; /* NULL: no byte yet */
	uint64_t size;           /* bytes in file and hasher; the holder's, others use uploads_look() */
	/* Under the table's lock. */
	bool held, cancelled;
	bool moved;        /* another worker has it */
	bool coming;       /* whether this one will have it is being asked */
	bool has_file;     /* counted as one */
	uint64_t reserved; /* of its owner's share */
	int64_t touched_ms;
	struct upload_owner *owner;
	struct list by_age, of_owner; /* idle: among all without or with bytes, or moved; among its owner's with bytes, or moved */
};

#define UPLOADS_MAX           100000
#define UPLOAD_ALIGN          SPOOL_ALIGN /* of bytes that are appended: then no copy is made */
#define UPLOAD_IDLE_MS        (60 * 60 * 1000)
/* A client that has not gone on with its upload for so long has none under way: nobody waits for it who ends, or is evacuated. */
#define UPLOAD_REST_MS        5000
#define UPLOAD_EMPTY_IDLE_MS  (5 * 60 * 1000)
#define UPLOAD_EVICT_IDLE_MS  (60 * 1000)

struct uploads_bounds {
	size_t sessions, sessions_each, files;
	unsigned share; /* percent */
	int64_t evict_idle_ms;
};

struct uploads_settings {
	struct spool *spool; /* borrowed */
	const char *self;    /* our member name, which is in the ids; borrowed */
	struct uploads_bounds bounds;
};
struct uploads *uploads_new(const struct uploads_settings *settings);
void uploads_free(struct uploads *uploads);
AUTO_DEFINE(uploads)

/* A new session, held by the caller. owner: whose it is (upload_owners.h). ERROR_BUSY when there are too many, TOOMANYREQUESTS when this
 * owner has too many, ERROR_UNAVAILABLE after uploads_close(). */
bool uploads_open(struct uploads *uploads, struct str owner, struct str name, enum hash_kind alg, struct upload **ret,
	struct error *err) MUST_CHECK;
/* BLOB_UPLOAD_UNKNOWN; BLOB_UPLOAD_INVALID while another request holds it. */
bool uploads_acquire(struct uploads *uploads, struct str name, const struct upload_id *id,
	struct upload **ret, struct error *err) MUST_CHECK;
/* The size only, also while it is held; and its id here. */
bool uploads_look(struct uploads *uploads, struct str name, const struct upload_id *id, uint64_t *ret_size,
	struct upload_id *ret_id, struct error *err) MUST_CHECK;
bool uploads_cancel(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct error *err) MUST_CHECK;
enum upload_at { UPLOAD_NOT_HERE, UPLOAD_HERE, UPLOAD_MOVED };
/* Whichever worker its id names. MOVED: *ret_moved is its id at who has it. */
enum upload_at uploads_where(
	struct uploads *uploads, struct str name, const struct upload_id *id, struct upload_id *ret_moved);
/* It goes to the worker that `to` names, if nobody holds it and it has no byte; only one gets it. BLOB_UPLOAD_INVALID: it has bytes; else as
 * uploads_acquire(). */
bool uploads_give(struct uploads *uploads, struct str name, const struct upload_id *id, const struct upload_id *to,
	enum hash_kind *ret_alg, struct error *err) MUST_CHECK;
/* A session that another worker may give us, held by the caller, bounded as one that is opened here; one of the next two ends that.
 * Until then it is BUSY for all others, and has no hasher. False: as uploads_open(); BUSY: it is here. */
bool uploads_adopt(struct uploads *uploads, struct str owner, struct str name, const struct upload_id *id, struct upload **ret,
	struct error *err) MUST_CHECK;
bool upload_is_coming(const struct upload *upload); /* to its holder */
void upload_adopted(struct upload *upload, enum hash_kind alg);
void upload_not_adopted(struct upload *upload); /* who has it may be known on */
/* By the holder: the session goes on (unless it was cancelled meanwhile) / is over and freed. */
void upload_release(struct upload *upload);
void upload_end(struct upload *upload);
/* By the holder, on the pool: into the file, not into the hasher. ERROR_FULL; ERROR_BUSY and TOOMANYREQUESTS: over the owner's share. */
bool upload_append(struct upload *upload, const void *bytes, size_t len, struct error *err) MUST_CHECK;
/* By the holder: so many bytes came and are kept elsewhere (worker/oci/upload_stream.h), which who looks is told. 0: it is as if none had come. */
void upload_streams(struct upload *upload, uint64_t size);

/* No more are begun here: UNAVAILABLE. Those that are open go on. */
void uploads_close(struct uploads *uploads);
/* A request has a session now, or one had it since then (clock_ms()): its client is not through with it. */
bool uploads_are_moving(struct uploads *uploads, int64_t since_ms);

struct uploads_stats {
	size_t open, empty, owners;
	bool full; /* no session more, or none with bytes, without another that goes */
	uint64_t refused, evicted; /* since the start; evicted: to make room */
};
struct uploads_stats uploads_stats(struct uploads *uploads);
/* Ends what nobody touched for too long at this time (clock_ms()). Waits for disk. */
void uploads_expire(struct uploads *uploads, int64_t now_ms);
/* Tells those that it would end, by the names of their repositories. */
void uploads_would_expire(struct uploads *uploads, int64_t now_ms, const struct would *would);
