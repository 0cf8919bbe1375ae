/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upload_id - the name of an upload session, which says on which worker its spool lies.
 *
 *     <31 hex, random><1 hex, how it stands>-<worker, base64url of its member name without padding>
 *
 * 124 bits of randomness make it unguessable and are the session; what is behind the dash routes it, and is another one when the session
 * goes to another worker. A plain worker without
 * peers writes "-" and an empty name. At most 32 + 1 + 172 characters of [A-Za-z0-9_-].
 *
 * How it stands: bit 0, it has been told with a byte in it; bit 1, it was begun for sha512. Who has the text of one that was told without a byte
 * and cannot ask the worker that it names may begin it anew: nothing is lost by that. Workers of before wrote a random digit there.
 * Thread  any; pure.
 */
#pragma once

#include "common/crypto.h"
#include "common/error.h"
#include "common/str.h"

#define UPLOAD_ID_SIZE 224
#define MEMBER_NAME_MAX 128

struct upload_id {
	char text[UPLOAD_ID_SIZE];
	char worker[MEMBER_NAME_MAX + 1];
};
void upload_id_new(const char *worker, enum hash_kind alg, struct upload_id *ret);
/* The same session, told with a byte in it. */
void upload_id_begun(struct upload_id *id);
bool upload_id_is_begun(const struct upload_id *id);
enum hash_kind upload_id_alg(const struct upload_id *id);
/* The same session at this worker. `ret` may be `id`. */
void upload_id_at(const struct upload_id *id, const char *worker, struct upload_id *ret);
/* The half that does not change, borrowed. */
struct str upload_id_session(const struct upload_id *id);
bool upload_id_parse(struct str text, struct upload_id *ret, struct error *err) MUST_CHECK; /* BLOB_UPLOAD_UNKNOWN */
